"""What the drawings share: styles that do not rest on colour alone, panels side by side, one legend."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def panels(
    count: int, height: float, lines: int = 1, panel_width: float = 2.3, sharey: bool | Literal["row"] = True
) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels in so many lines, from left to right and top to bottom.

    `height` (of the figure) and `panel_width` are in inches; the panels share the axis of y, or those
    of a line alone.
    """
    columns = -(-count // lines)
    width = max(4.4, min(7.4, 1.4 + panel_width * columns))
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, sharey=sharey, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def shared_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend below the panels, with an entry for each label that any of them has."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=min(4, len(entries))
        )
