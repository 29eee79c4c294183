"""The look of the figures: colours, sizes, the grid of panels; how one is saved, and what scripts say of it.

Figures are made without pyplot and leave matplotlib's global settings as they were. The colours are
those of Okabe and Ito (2008), which readers with any colour vision tell apart. A figure saved twice
gives the same bytes.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from analysis import TableError
from analysis.tables.replacing import replacing

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#7F7F7F"

STYLES = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", (0, (5, 1.5))),
    (GREEN, "^", (0, (1.5, 1))),
    (PURPLE, "D", (0, (5, 1.5, 1, 1.5))),
    (ORANGE, "v", (0, (3, 1))),
    (BLACK, "x", (0, (1, 2))),
)
"""Colour, marker and dashes of curves that lie over one another."""

MOST_CELLS = len(STYLES) ** 2
"""Cells that colour, marker and dashes together tell apart; and panels of a figure, of which more are too
small to read, and take minutes to lay out."""

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "figure.dpi": 100,
    "svg.fonttype": "path",
    "svg.hashsalt": "order-parameters",
}

COLUMNS = 3
"""Panels in a row of a figure, at most."""
_PANEL_INCHES = (2.4, 1.9)
_PNG_DPI = 200


def cell_styles(cells: int) -> list[tuple[str, str, Any]]:
    """Return colour, marker and dashes of each of up to `MOST_CELLS` cells, no two of them the same."""
    kinds = len(STYLES)
    places = ((place % kinds, (place + place // kinds) % kinds) for place in range(cells))
    return [(STYLES[colour][0], *STYLES[kind][1:]) for colour, kind in places]


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the settings of the figures inside the block and restore the others after it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def rho_colormap() -> ListedColormap:
    """Return viridis without its pale end: perceptually uniform and legible on white paper."""
    return ListedColormap(mpl.colormaps["viridis"](np.linspace(0, 0.92, 256)), name="rho")


def panel_grid(panels: int, xlabel: str, ylabels: Sequence[str]) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with stacks of panels, up to three side by side: a list of stacks for each y label.

    A stack has a panel for each of `ylabels`, over one another. All panels share the x axis, those of one
    label the y axis. Labels and tick labels stand at the left and wherever no other stack is below.
    """
    columns, stack = min(panels, COLUMNS), len(ylabels)
    blocks = -(-panels // columns)
    width, height = _PANEL_INCHES
    size = (max(columns * width, 4.2), blocks * stack * height + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(blocks * stack, columns)
    axes: list[list[Axes]] = [[] for _ in ylabels]
    for index in range(panels):
        block, column = divmod(index, columns)
        for level, ylabel in enumerate(ylabels):
            sharex = axes[0][0] if axes[0] else None
            sharey = axes[level][0] if axes[level] else None
            ax = figure.add_subplot(grid[block * stack + level, column], sharex=sharex, sharey=sharey)
            lowest, leftmost = level == stack - 1 and index + columns >= panels, column == 0
            ax.tick_params(labelbottom=lowest, labelleft=leftmost)
            ax.set_xlabel(xlabel if lowest else "")
            ax.set_ylabel(ylabel if leftmost else "")
            axes[level].append(ax)
    return figure, axes


def save(figure: Figure, folder: str | Path, stem: str) -> list[Path]:
    """Write a figure as `stem.png` and `stem.svg` into a folder, atomically; return both paths.

    Both have the layout of the first, which takes as long as drawing it.
    """
    paths = []
    for kind in ("png", "svg"):
        path = Path(folder) / f"{stem}.{kind}"
        metadata = {"Date": None} if kind == "svg" else None
        with figure_style(), replacing(path) as file:
            figure.savefig(file, format=kind, dpi=_PNG_DPI, metadata=metadata)
        figure.set_layout_engine("none")
        paths.append(path)
    return paths


def run_script(draw: Callable[[], Sequence[Path]]) -> int:
    """Draw, print which files were written, and return a script's exit code: 2 after a TableError."""
    try:
        paths = draw()
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(f"wrote {path}")
    return 0
