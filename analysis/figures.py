"""The figures of a run: its order parameters against rho, and the top-layer KL during training.

    python analysis/figures.py RUN [--out DIR]

RUN is the folder of a run. The figures go to RUN/figures, or to DIR, as .png and .svg:
`order_parameters` shows the curves of each cell, by default its top-layer KL over its top-layer
information, each with its critical rho; `training` the top-layer KL against the optimizer step, one line a
member, so that the drift of the transition with the budget is seen; `phase_diagram` the critical rho against
the size of the latents, as `analysis/phase_diagram.py` does for several runs together. Thresholds are
computed from the members by the run's own rule, as for its own table.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from analysis import TableError, style
from analysis.phase_diagram import located_of, plot_phase_diagram
from analysis.statistics.censored import Array
from analysis.statistics.curves import Curves, curves, mean_curve, trained_range
from analysis.statistics.summary import read_rule, thresholds_table
from analysis.streams import open_streams
from analysis.tables.files import read_members_and_history, table_path
from analysis.tables.replacing import user_path
from analysis.tables.schema import LOST, Row
from analysis.text.words import cell_names, common_words, ends_within, estimate, heading, interval_kind
from ouvae.declared import ORDER_PARAMETERS, OrderParameter

LostMembers: TypeAlias = dict[str, dict[str, list[float]]]

_CHARACTERS_PER_INCH = 16  # of a panel's title
_LOST_MARKS = {"diverged": ("x", 4), "failed": ("s", 6.5)}  # marker and its size: a cross fits into a square
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1, 1.5)))


def plot_order_parameters(members: pa.Table, thresholds: pa.Table) -> Figure:
    """Draw the order parameters against rho: a stack of panels a cell, a panel a row of `thresholds`.

    Seeds are thin lines with markers, their mean is the bold line, and seeds of a single member, the probes,
    are dots; rho_c is a vertical line with its interval as a band, an exact rho_c a dashed one. The
    horizontal line is the value from which a member counts as active, the shade around an estimate lies
    between the means of its bounds. Members without a value stand at the upper edge, those that diverged as
    crosses, those that failed as squares.
    Raises TableError if the two tables are not about the same cells.
    """
    rows = thresholds.to_pylist()
    lost = _lost(members)
    _check_cells(rows, list(lost))
    by_order: dict[str, list[Row]] = {}
    for row in rows:
        by_order.setdefault(row["order_parameter"], []).append(row)
    watched = [ORDER_PARAMETERS[name] for name in by_order]
    with style.figure_style():
        labels = [_axis_label(order) for order in watched]
        figure, stacks = style.panel_grid(len(lost), r"smoothing parameter $\rho$", labels)
        for order, axes in zip(watched, stacks, strict=True):
            by_cell = curves(members, order.metric)
            bounds = [curves(members, metric) for metric in order.bounds or ()]
            for ax, row in zip(axes, by_order[order.name], strict=True):
                cell_id = row["cell_id"]
                _draw_threshold(ax, row, by_cell[cell_id], interval_kind(rows))
                _draw_bounds(ax, [by_cell[cell_id] for by_cell in bounds])
                _draw_curves(ax, by_cell[cell_id])
                _draw_lost(ax, lost[cell_id])
            _fit_axes(axes[0], members["rho"].to_numpy(), lost)
            _write_titles(figure, axes, by_order[order.name], named=order is watched[0])
        figure.suptitle(heading(rows), fontsize=9)
        _write_legend(figure, [ax for axes in stacks for ax in axes])
    return figure


def _axis_label(order: OrderParameter) -> str:
    return f"{order.words} (nats)" if order.unit == "nats" else order.words


def plot_training(history: pa.Table, thresholds: pa.Table) -> Figure:
    """Draw top-layer KL (nats) against the optimizer step, a panel a cell of `thresholds`.

    Each member is a thin line with the colour of its rho; up to four seeds differ in their dashes.
    The horizontal line is the KL from which a member counts as active. Raises TableError if
    `history` has cells that `thresholds` lacks.
    """
    rows = list({row["cell_id"]: row for row in reversed(thresholds.to_pylist())}.values())[::-1]
    lines = _training_lines(history)
    _check_cells(rows, sorted({cell for cell, _, _ in lines}), all_needed=False)
    rhos = [rho for _, _, rho in lines] or [0.0, 1.0]
    low, high = min(rhos), max(max(rhos), min(rhos) + 1e-3)
    colours = style.rho_colormap()
    seeds = sorted({seed for _, seed, _ in lines})
    dashes = dict(zip(seeds, _DASHES, strict=False)) if len(seeds) <= len(_DASHES) else {}
    with style.figure_style():
        figure, (axes,) = style.panel_grid(len(rows), "optimizer step", ["top-layer KL (nats)"])
        panels = {row["cell_id"]: ax for ax, row in zip(axes, rows, strict=True)}
        alike: dict[tuple[str, Any, float], list[tuple[ArrayLike, ArrayLike]]] = {}
        for (cell, seed, rho), line in lines.items():
            alike.setdefault((cell, dashes.get(seed, "-"), rho), []).append(line)
        for (cell, dash, rho), own in alike.items():
            panels[cell].plot(*_as_one(own), color=colours((rho - low) / (high - low)), lw=0.8, ls=dash)
        for ax, row in zip(axes, rows, strict=True):
            if row["order_parameter"] == "kl_top":
                _draw_active_from(ax, row)
            if not any(cell == row["cell_id"] for cell, _, _ in lines):
                ax.text(0.5, 0.5, "no evaluations", transform=ax.transAxes, ha="center")
        axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes[0].set_ylim(bottom=min(0.0, axes[0].get_ylim()[0]))
        for seed, dash in dashes.items() if len(seeds) > 1 else ():
            axes[0].plot([], [], color=style.BLACK, lw=0.8, ls=dash, label=f"seed {seed}")
        scale = ScalarMappable(Normalize(low, high), colours)
        figure.colorbar(scale, ax=axes, label=r"smoothing parameter $\rho$", aspect=30)
        _write_titles(figure, axes, rows, share=0.87)
        figure.suptitle(heading(rows), fontsize=9)
        _write_legend(figure, axes)
    return figure


def plot_first_cells(
    plot: Callable[[pa.Table, pa.Table], Figure], table: pa.Table, thresholds: pa.Table
) -> Figure:
    """Draw a figure of the first `style.MOST_CELLS` cells, a panel each; its heading says if there are more.

    Raises TableError as `plot` does, which takes both tables.
    """
    cell_ids = list(dict.fromkeys(thresholds["cell_id"].to_pylist()))
    shown = pa.array(cell_ids[: style.MOST_CELLS], pa.string())
    own_table, own_thresholds = (one.filter(pc.is_in(one["cell_id"], shown)) for one in (table, thresholds))
    figure = plot(own_table, own_thresholds)
    if len(cell_ids) > len(shown):
        figure.suptitle(f"{figure.get_suptitle()}, the first {len(shown)} of {len(cell_ids)} cells")
    return figure


def write_figures(run: str | Path, out: str | Path | None = None) -> list[Path]:
    """Write the figures of a run to `out`, by default its folder `figures`; return their paths.

    Those with a panel a cell show `style.MOST_CELLS` cells, the first ones.
    Raises TableError if the members or the history cannot be read, with the problems of both, and
    before anything is written.
    """
    members, history = read_members_and_history(run)
    rule = read_rule(run)
    thresholds = thresholds_table(members, rule)
    folder = table_path(run, "members").parent / "figures" if out is None else Path(out)
    figures = {
        "order_parameters": plot_first_cells(plot_order_parameters, members, thresholds),
        "training": plot_first_cells(plot_training, history, thresholds),
    }
    order = ORDER_PARAMETERS[next(iter(rule.active_from))]
    if cells := located_of(members, thresholds, order):
        figures["phase_diagram"] = plot_phase_diagram(cells, order)
    return [path for stem, figure in figures.items() for path in style.save(figure, folder, stem)]


def _check_cells(rows: Sequence[Row], cells: list[str], all_needed: bool = True) -> None:
    known = {row["cell_id"] for row in rows}
    strange = sorted(set(cells) - known)
    lacking = sorted(known - set(cells)) if all_needed else []
    if strange or lacking or not rows:
        raise TableError(
            "the tables are not of one run: cells without a threshold: "
            f"{', '.join(strange) or 'none'}; thresholds without a cell: "
            f"{', '.join(lacking) or 'none'}; compute the thresholds from these members"
        )


def _lost(members: pa.Table) -> LostMembers:
    """The rho of the members without a KL, by cell and status; every cell has an entry."""
    rhos: LostMembers = {}
    for row in members.select(["cell_id", "rho", "status"]).to_pylist():
        own = rhos.setdefault(row["cell_id"], {})
        if row["status"] in LOST:
            own.setdefault(row["status"], []).append(row["rho"])
    return rhos


def _draw_active_from(ax: Axes, row: Row) -> None:
    ax.axhline(row["active_from"], color=style.GREY, lw=0.6, ls=":", zorder=0.4, label="active from here")


def _draw_threshold(ax: Axes, row: Row, seeds: Curves, interval_label: str) -> None:
    _draw_active_from(ax, row)
    if row["rho_c"] is not None:
        band = ax.axvspan(
            *ends_within(row, trained_range(seeds)),
            facecolor=style.VERMILLION,
            edgecolor="none",
            alpha=0.2,
            zorder=0.5,
            label=interval_label,
        )
        band.set_gid(f"interval {row['order_parameter']} {row['cell_id']}")
        ax.axvline(row["rho_c"], color=style.VERMILLION, lw=1.1, zorder=2, label=r"$\rho_c$")
    if row["rho_c_exact"] is not None:
        ax.axvline(
            row["rho_c_exact"],
            color=style.BLACK,
            lw=1.0,
            ls=(0, (4, 2)),
            zorder=2.5,
            label=r"$\rho_c$ exact",
        )


def _draw_bounds(ax: Axes, bounds: Sequence[dict[int, tuple[Array, Array]]]) -> None:
    """Shade what lies between the means over seeds of two bounds."""
    if not bounds:
        return
    (rho, lower), (_, upper) = map(mean_curve, bounds)
    if rho.size:
        ax.fill_between(rho, lower, upper, color=style.BLUE, alpha=0.15, lw=0, zorder=1, label="its bounds")


def _draw_curves(ax: Axes, seeds: dict[int, tuple[Array, Array]]) -> None:
    own: dict[str, Any] = {"marker": "o", "ms": 2.2, "mew": 0, "zorder": 4}
    if own_curves := [(rho, kl) for rho, kl in seeds.values() if rho.size > 1]:
        ax.plot(*_as_one(own_curves), color=style.SKY_BLUE, lw=0.7, label="one seed", **own)
    if probes := [(float(rho[0]), float(kl[0])) for rho, kl in seeds.values() if rho.size == 1]:
        ax.plot(*zip(*probes, strict=True), color=style.ORANGE, ls="none", alpha=0.6, label="probes", **own)
    rho, kl = mean_curve(seeds)
    if rho.size:
        ax.plot(rho, kl, color=style.BLUE, lw=2.0, zorder=3, label="mean of seeds")


def _as_one(lines: Iterable[tuple[ArrayLike, ArrayLike]]) -> Array:
    """Return lines as one with gaps, [2, n], which is drawn many times as fast."""
    gap = np.full((2, 1), np.nan)
    parts = [part for line in lines for part in (gap, np.asarray(line, dtype=float))]
    return np.concatenate(parts[1:], axis=1)


def _draw_lost(ax: Axes, rhos: dict[str, list[float]]) -> None:
    for status, own in rhos.items():
        marker, size = _LOST_MARKS[status]
        ax.plot(
            own,
            [0.96] * len(own),
            transform=ax.get_xaxis_transform(),
            color=style.BLACK,
            ls="none",
            marker=marker,
            ms=size,
            mew=1.0,
            mfc="none",
            zorder=5,
            label=status,
        )


def _fit_axes(ax: Axes, swept: Array, lost: LostMembers) -> None:
    """Show the rho that were swept, and room for lost members; both axes are those of all panels."""
    low, high = float(swept.min()), float(swept.max())
    margin = 0.04 * (high - low) or 0.02
    ax.set_xlim(low - margin, high + margin)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if any(lost.values()):
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top + 0.1 * (top - bottom))


def _training_lines(
    history: pa.Table,
) -> dict[tuple[str, int, float], tuple[list[int], list[float]]]:
    """Steps and top-layer KL of each member that has any, by cell, seed and rho."""
    columns = ["cell_id", "seed", "rho", "step", "kl_top_nats"]
    lines: dict[tuple[str, int, float], tuple[list[int], list[float]]] = {}
    for row in sorted(history.select(columns).to_pylist(), key=lambda row: row["step"]):
        if row["kl_top_nats"] is not None and np.isfinite(row["kl_top_nats"]):
            member = row["cell_id"], row["seed"], row["rho"]
            step, kl = lines.setdefault(member, ([], []))
            step.append(row["step"])
            kl.append(row["kl_top_nats"])
    return dict(sorted(lines.items()))


def _write_titles(
    figure: Figure, axes: list[Axes], rows: Sequence[Row], named: bool = True, share: float = 1.0
) -> None:
    """Write estimate, and name where it is `named`, over each panel, in two lines where one is too narrow.

    `share` is that of the figure's width which the panels of a row have together.
    """
    estimates = [estimate(row) for row in rows]
    if not named:
        for ax, text in zip(axes, estimates, strict=True):
            ax.set_title(text)
        return
    inches = share * figure.get_figwidth()
    room = int(inches / min(len(axes), style.COLUMNS) * _CHARACTERS_PER_INCH)
    names = cell_names(rows)
    shared = common_words(names)
    short = [name.removeprefix(shared).strip() for name in names]
    # of "$\rho_c$" two characters are seen; three more stand between name and estimate
    longest = max(
        len(n) + 3 + len(e.replace(r"$\rho_c$", "rc")) for n, e in zip(short, estimates, strict=True)
    )
    for ax, name, text in zip(axes, short, estimates, strict=True):
        if longest <= room:
            ax.set_title(f"{name} \u00b7 {text}")
        else:
            ax.set_title("\n".join([*textwrap.wrap(name, room), text]))


def _write_legend(figure: Figure, axes: list[Axes]) -> None:
    """Put one legend for all panels under them, each label once."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    order = sorted(entries, key=lambda label: (label if label in LOST else "", -entries[label].get_zorder()))
    columns = min(len(entries), 3 if figure.get_figwidth() < 6 else 6)
    figure.legend([entries[label] for label in order], order, loc="outside lower center", ncols=columns)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw the figures of a run.")
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="folder to write to (default: RUN/figures)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    open_streams()
    arguments = _parser().parse_args(argv)
    return style.run_script(lambda: write_figures(arguments.run, arguments.out))


if __name__ == "__main__":
    sys.exit(main())
