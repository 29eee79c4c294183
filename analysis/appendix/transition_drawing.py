"""Curves of the top-layer KL against rho, with the thresholds above them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.appendix.drawing import panels
from analysis.appendix.runs import PaperRun
from analysis.appendix.transitions import sizes
from analysis.statistics.censored import Array
from analysis.statistics.curves import curves, mean_curve, trained_range
from analysis.style import STYLES
from analysis.tables.schema import Row
from analysis.text.words import STATUS, ends_within

CAPTION = "Ours: thin lines are seeds, bold lines their means; marks above are ρ_c with its interval."


def plot_transitions(run: PaperRun, panel: str) -> Figure:
    """Draw top-layer KL against rho, a panel a value of the column `panel`, a curve a latent size.

    Seeds are thin lines, their mean the bold one. Above the curves stands each cell's rho_c with its
    interval, or its status where it has none.
    """
    rows = run.thresholds
    by_cell = curves(run.members)
    values = sorted({row[panel] for row in rows}, key=lambda value: (value == "conv", value))
    most = max(Counter(row[panel] for row in rows).values())
    widths = sorted({row["latents"][0] for row in rows}) if panel == "depth" else []
    figure, axes = panels(len(values), height=2.7 + 0.17 * most)
    for ax, value in zip(axes, values, strict=True):
        own = sorted((row for row in rows if row[panel] == value), key=lambda row: sum(row["latents"]))
        for place, row in enumerate(own):
            index = widths.index(row["latents"][0]) if widths else place
            _draw_cell(ax, row, by_cell[row["cell_id"]], index, place)
        ax.set_xlabel(r"smoothing parameter $\rho$")
        ax.set_title(f"{value} layers" if panel == "depth" else str(value))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), handlelength=3)
    axes[0].set_ylabel("top-layer KL (nats)")
    figure.suptitle(r"marks above the curves: $\rho_c$ with its interval", fontsize=7)
    _leave_room_above(axes, [kl for seeds in by_cell.values() for _, kl in seeds.values()], most)
    return figure


def _leave_room_above(axes: Sequence[Axes], kl: Sequence[Array], marks: int) -> None:
    """Set the range of the panels' common axis: the curves, and so many marks above them."""
    highest = max([float(own.max()) for own in kl if own.size] or [1.0])
    axes[0].set_ylim(-0.03 * highest, highest * (1.1 + 0.06 * marks))


def _draw_cell(ax: Axes, row: Row, seeds: Mapping[int, tuple[Array, Array]], index: int, place: int) -> None:
    colour, marker, dash = STYLES[index % len(STYLES)]
    for rho, kl in seeds.values():
        ax.plot(rho, kl, color=colour, lw=0.5, alpha=0.5)
    rho, kl = mean_curve(seeds)
    status = "" if row["rho_c"] is not None else f" ({STATUS[row['status']]})"
    ax.plot(rho, kl, color=colour, lw=1.5, ls=dash, marker=marker, ms=3, label=sizes(row) + status)
    if row["rho_c"] is not None:
        height = 0.97 - 0.05 * place
        where = ax.get_xaxis_transform()
        ends = ends_within(row, trained_range(seeds))
        ax.plot(ends, [height, height], color=colour, lw=1.1, transform=where)
        ax.plot(row["rho_c"], height, color=colour, marker=marker, ms=4, ls="none", transform=where)
