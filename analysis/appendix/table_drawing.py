"""A table as a figure: a panel a quantity, a line a row.

Ours are filled circles with intervals, published numbers hollow diamonds, so that neither rests on
colour alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis import style
from analysis.appendix.compare import published_value, replicates, shown_rows
from analysis.appendix.drawing import panels, shared_legend
from analysis.appendix.published import PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.statistics.intervals import Interval, student
from analysis.tables.schema import Row


@dataclass(frozen=True)
class Panel:
    """A panel: the key of a column, its label, and how many entries from the top layer are added."""

    column: str
    label: str
    entries: int = 1


def plot_table(table: PublishedTable, shown: Sequence[Panel], run: PaperRun) -> Figure:
    """Draw a table's numbers, ours and the published ones, in the panels that are `shown`."""
    rows = shown_rows(table, run.rows)
    labels = [row.label for row in rows]
    figure, axes = panels(len(shown), height=0.27 * len(labels) + 1.1)
    for ax, panel in zip(axes, shown, strict=True):
        for place, row in enumerate(rows):
            published = _published(table, row, panel)
            if published is not None:
                ax.plot(published, place - 0.16, ls="none", marker="D", ms=4.5, mfc="white",
                        mec=style.VERMILLION, mew=1.1, label="published")  # fmt: skip
            ours = _ours(table, row, panel, run.rows)
            if ours is not None:
                _draw_interval(ax, ours, place + 0.16)
        ax.set_xlabel(panel.label)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.grid(axis="y", color=style.GREY, lw=0.3, alpha=0.5)
    axes[0].set_yticks(np.arange(len(labels)), labels)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    shared_legend(figure, axes)
    return figure


def _published(table: PublishedTable, row: PublishedRow, panel: Panel) -> float | None:
    value = published_value(table, row, table.column(panel.column))
    return float(sum(value[: panel.entries])) if isinstance(value, tuple) else value


def _ours(table: PublishedTable, row: PublishedRow, panel: Panel, rows: Sequence[Row]) -> Interval | None:
    column = table.column(panel.column)
    own = {key: sum(numbers[: panel.entries]) for key, numbers in replicates(rows, row, column).items()}
    if column.ratio:
        base = replicates(rows, table.row(row.baseline), column)
        own = {key: value / base[key][0] for key, value in own.items() if key in base}
    return student(list(own.values()))


def _draw_interval(ax: Axes, ours: Interval, place: float) -> None:
    label = "ours"
    if ours.low is not None and ours.high is not None:
        ax.plot([ours.low, ours.high], [place, place], color=style.BLUE, lw=1.2, zorder=2)
        label += ", with 95 % interval"
    ax.plot(ours.mean, place, ls="none", marker="o", ms=4.5, color=style.BLUE, zorder=3, label=label)
