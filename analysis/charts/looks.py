"""The look of all charts: colours, markers, dashes, lettering.

The colours are those of Okabe and Ito (2008), which readers with any colour vision tell apart.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

Spec: TypeAlias = dict[str, Any]

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY = "#7F7F7F"

SHAPES = {
    "circle": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "square": "M-3.5,-3.5h7v7h-7z",
    "triangle-up": "M0,-4.5L4.5,4H-4.5z",
    "diamond": "M0,-5L5,0L0,5L-5,0z",
    "triangle-down": "M0,4.5L4.5,-4H-4.5z",
    "cross": "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
}
"""Vega's names of markers, each with its path around the origin for a legend in HTML."""


@dataclass(frozen=True)
class Look:
    """The look of a cell in every chart: colour, marker, and the pixels of its dashes and gaps."""

    colour: str
    shape: str
    dashes: tuple[float, ...]


STYLES = (
    Look(BLUE, "circle", (1, 0)),
    Look(VERMILLION, "square", (7.5, 2.25)),
    Look(GREEN, "triangle-up", (2.25, 1.5)),
    Look(PURPLE, "diamond", (7.5, 2.25, 1.5, 2.25)),
    Look(ORANGE, "triangle-down", (4.5, 1.5)),
    Look(BLACK, "cross", (1.5, 3)),
)
"""The looks of curves that lie over one another."""

MOST_CELLS = len(STYLES) ** 2
"""Maximum number of cells in a chart: with more, colour, marker and dashes would repeat."""

VALUE_SCHEME = {"name": "viridis", "extent": [0, 0.92]}
"""Colours of a quantity: viridis without its pale end, perceptually uniform and legible on white paper."""

SCREEN: Spec = {
    "font": 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif',
    "background": "#ffffff",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "#ececea",
        "domainColor": "#8a8a86",
        "tickColor": "#8a8a86",
    },
    "axisX": {"grid": False},
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "orient": "bottom"},
}
"""Vega-Lite's settings of charts in the page."""

PRINT: Spec = {
    "font": "DejaVu Sans, Verdana, sans-serif",
    "aria": False,
    "background": "#ffffff",
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "grid": False,
        "labelFontSize": 7,
        "titleFontSize": 8,
        "titleFontWeight": "normal",
        "titlePadding": 4,
        "labelPadding": 2,
        "tickSize": 3,
        "tickWidth": 0.6,
        "domainWidth": 0.6,
        "domainColor": BLACK,
        "tickColor": BLACK,
    },
    "legend": {
        "labelFontSize": 7,
        "titleFontSize": 8,
        "titleFontWeight": "normal",
        "titleLimit": 0,
        "labelLimit": 0,
    },
    "title": {"fontSize": 8, "fontWeight": "normal", "offset": 4, "limit": 0},
    "concat": {"spacing": 10},
}
"""Vega-Lite's settings of charts on paper, in points."""


def looks(cells: int) -> list[Look]:
    """Return the looks of up to `MOST_CELLS` cells, no two the same."""
    kinds = len(STYLES)
    places = ((place % kinds, (place + place // kinds) % kinds) for place in range(cells))
    return [Look(STYLES[colour].colour, STYLES[kind].shape, STYLES[kind].dashes) for colour, kind in places]
