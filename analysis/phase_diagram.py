"""The phase diagram of one run or several: rho_c against the size of the latents.

    python analysis/phase_diagram.py RUN... [--order-parameter NAME] [--out DIR]

Above, a panel for each model but for its latents: rho_c with its interval against the size of the top layer,
a line a depth; a median that lies beyond what was trained is an arrow. Below, a map for each depth: the order
parameter, its mean over seeds, over rho and the size, with rho_c as a line. Written as phase_diagram.png and
.svg to the folder `figures` of the first run, or to DIR. Cells of several runs stand side by side, each by
the rule of its own run.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis import TableError, style
from analysis.statistics.censored import Array
from analysis.statistics.curves import Curves, curves, mean_curve, trained_range
from analysis.statistics.summary import read_rule, thresholds_table
from analysis.streams import open_streams
from analysis.style import STYLES
from analysis.tables.files import read_members, table_path
from analysis.tables.replacing import user_path
from analysis.tables.schema import Row
from analysis.text.words import common_words, ends_within, interval_kind
from ouvae.declared import ORDER_PARAMETERS, OrderParameter, labels

_PANEL_INCHES = 2.6
_HEIGHT_INCHES, _MAP_INCHES = 2.4, 1.5


@dataclass(frozen=True)
class Located:
    """A cell: its row of the thresholds table, and the curves of the order parameter."""

    row: Row
    curves: Curves

    @property
    def size(self) -> int:
        """The size of its top layer."""
        return int(self.row["latents"][-1])

    @property
    def trained(self) -> tuple[float, float]:
        """The lowest and highest rho that were trained."""
        return trained_range(self.curves)


def located_cells(runs: Sequence[str | Path], order: OrderParameter) -> list[Located]:
    """Return the cells of runs, each by the rule of its own run; without those of which no member counts.

    Raises TableError where a run cannot be read, or does not watch the order parameter.
    """
    found: dict[str, Located] = {}
    for run in runs:
        members, rule = read_members(run), read_rule(run)
        if order.name not in rule.active_from:
            raise TableError(
                f"{run} has no threshold of {order.name}; choose from {', '.join(rule.active_from)}, or "
                "sweep with it in active_from"
            )
        found |= {
            one.row["cell_id"]: one for one in located_of(members, thresholds_table(members, rule), order)
        }
    return list(found.values())


def located_of(members: pa.Table, thresholds: pa.Table, order: OrderParameter) -> list[Located]:
    """Return the cells of two tables of a run; without those of which no member counts."""
    by_cell = curves(members, order.metric)
    return [
        Located(row, by_cell[row["cell_id"]])
        for row in thresholds.to_pylist()
        if row["order_parameter"] == order.name and row["status"] != "unresolved"
    ]


def models(cells: Sequence[Located]) -> dict[str, list[Located]]:
    """Return the cells by the name of their model, which is all but the latents."""
    names = labels({**one.row, "latents": ()} for one in cells)
    groups: dict[str, list[Located]] = {}
    for name, one in zip(names, cells, strict=True):
        groups.setdefault(" ".join(name.replace("none", "").split()), []).append(one)
    return groups


def plot_phase_diagram(cells: Sequence[Located], order: OrderParameter) -> Figure:
    """Draw rho_c against the size of the latents, a panel a model, over maps of the order parameter.

    Raises TableError without any cell that has a threshold.
    """
    if not cells:
        raise TableError("no cell has members that count, so that there is no threshold to draw")
    groups = models(cells)
    depths = sorted({one.row["depth"] for one in cells})
    highest = max(float(mean_curve(one.curves)[1].max()) for one in cells)
    scale = Normalize(0.0, max(highest, order.active_from))
    rows = 1 + len(depths)
    with style.figure_style():
        size = (max(4.4, 1.2 + _PANEL_INCHES * len(groups)), _HEIGHT_INCHES + _MAP_INCHES * len(depths) + 0.6)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        ratios = [_HEIGHT_INCHES, *[_MAP_INCHES] * len(depths)]
        grid = figure.subplots(rows, len(groups), squeeze=False, gridspec_kw={"height_ratios": ratios})
        for column, (name, own) in enumerate(groups.items()):
            sizes = sorted({one.size for one in own})
            grid[0, column].sharey(grid[0, 0])
            _draw_thresholds(grid[0, column], own, depths)
            grid[0, column].set_title(name)
            for depth, ax in zip(depths, grid[1:, column], strict=True):
                _draw_map(ax, [one for one in own if one.row["depth"] == depth], sizes, scale)
                if column == 0:
                    ax.set_ylabel(f"{depth} layers,\nsize of z_{depth}")
            grid[-1, column].set_xlabel(r"smoothing parameter $\rho$")
        grid[0, 0].set_ylabel(r"$\rho_c$")
        bar = figure.colorbar(
            ScalarMappable(scale, style.rho_colormap()), ax=grid[1:, :].ravel().tolist(), aspect=25
        )
        bar.set_label(f"{order.words} ({order.unit})" if order.unit != "1" else order.words)
        handles, texts = grid[0, 0].get_legend_handles_labels()
        for ax in grid[0, 1:]:
            for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
                if text not in texts:
                    handles.append(handle)
                    texts.append(text)
        figure.legend(handles, texts, loc="outside lower center", ncols=min(4, len(texts)))
        shared = common_words(list(groups))
        figure.suptitle(
            f"{shared} " * bool(shared) + rf"critical $\rho$ of the {order.words}, "
            f"{interval_kind([one.row for one in cells])}",
            fontsize=9,
        )
    return figure


def _draw_thresholds(ax: Axes, cells: Sequence[Located], depths: Sequence[int]) -> None:
    """Draw rho_c with its interval against the size, a line a depth, arrows where there is a bound alone."""
    for depth, (colour, marker, dash) in zip(depths, STYLES * len(depths), strict=False):
        own = sorted((one for one in cells if one.row["depth"] == depth), key=lambda one: one.size)
        if not own:
            continue
        known = [one for one in own if one.row["rho_c"] is not None]
        places = np.array([one.size for one in known], dtype=np.float64)
        values = np.array([[one.row["rho_c"], *ends_within(one.row, one.trained)] for one in known])
        label = f"{depth} layer{'s' if depth > 1 else ''}"
        if known:
            rho_c, low, high = values.T
            bars = np.stack([np.maximum(rho_c - low, 0), np.maximum(high - rho_c, 0)])
            ax.errorbar(
                places,
                rho_c,
                bars,
                color=colour,
                marker=marker,
                ls=dash,
                ms=3.5,
                lw=1,
                capsize=2,
                label=label,
            )
        for one in own:
            if one.row["rho_c"] is None:
                above = one.row["rho_c_high"] is None
                ax.plot(
                    one.size,
                    one.trained[1 if above else 0],
                    color=colour,
                    marker="^" if above else "v",
                    ms=6,
                    mfc="none",
                    ls="none",
                    label=f"{label}: rho_c lies beyond",
                )
    sizes = sorted({one.size for one in cells})
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    margin = 2**0.35
    ax.set_xlim(sizes[0] / margin, sizes[-1] * margin)
    ax.set_xlabel("size of the top layer")


def _draw_map(ax: Axes, cells: Sequence[Located], sizes: Sequence[int], scale: Normalize) -> None:
    """Draw a row of colours a size: the mean curve over rho, and rho_c as a line from size to size."""
    ax.set_yticks(range(len(sizes)), [str(size) for size in sizes])
    ax.set_ylim(-0.5, len(sizes) - 0.5)
    ends = []
    for one in cells:
        rho, values = mean_curve(one.curves)
        place = sizes.index(one.size)
        ends_of_rho = edges(rho)
        ax.pcolormesh(
            ends_of_rho,
            [place - 0.5, place + 0.5],
            values[None, :],
            norm=scale,
            cmap=style.rho_colormap(),
            rasterized=True,
        )
        if one.row["rho_c"] is not None:
            ends.append((one.row["rho_c"], place))
    for rho_c, place in ends:
        ax.plot([rho_c] * 2, [place - 0.5, place + 0.5], color=style.VERMILLION, lw=1.5)
    for (first, low), (second, high) in pairwise(sorted(ends, key=lambda end: end[1])):
        if high == low + 1:
            ax.plot([first, second], [low + 0.5] * 2, color=style.VERMILLION, lw=1.5)
    if not cells:
        ax.text(0.5, 0.5, "not swept", transform=ax.transAxes, ha="center", va="center", color=style.GREY)


def edges(rho: Array) -> Array:
    """Return the edges of cells around values of rho: halfway between neighbours, as wide beyond the ends."""
    if rho.size == 1:
        return np.array([rho[0] - 0.02, rho[0] + 0.02])
    middles = (rho[1:] + rho[:-1]) / 2
    found: Array = np.concatenate([[2 * rho[0] - middles[0]], middles, [2 * rho[-1] - middles[-1]]])
    return found


def write_phase_diagram(
    runs: Sequence[str | Path], order: OrderParameter, out: str | Path | None = None
) -> list[Path]:
    """Draw the phase diagram of runs and return the paths of its files. Raises TableError as its parts do."""
    folder = table_path(runs[0], "members").parent / "figures" if out is None else Path(out)
    return style.save(plot_phase_diagram(located_cells(runs, order), order), folder, "phase_diagram")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw the phase diagram of one run or several.")
    parser.add_argument("runs", type=user_path, metavar="RUN", nargs="+", help="folder of a run")
    parser.add_argument(
        "--order-parameter",
        choices=tuple(ORDER_PARAMETERS),
        default="kl_top",
        help="whose thresholds are drawn (default: kl_top)",
    )
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="folder to write to (default: RUN/figures of the first)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    open_streams()
    arguments = _parser().parse_args(argv)
    order = ORDER_PARAMETERS[arguments.order_parameter]
    return style.run_script(lambda: write_phase_diagram(arguments.runs, order, arguments.out))


if __name__ == "__main__":
    sys.exit(main())
