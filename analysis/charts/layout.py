"""How a chart lies: cells over one another, as in the page, or a panel per cell, as in a figure."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from analysis.charts.control import ControlNames
from analysis.charts.looks import BLACK, BLUE, GREY, ORANGE, SCREEN, SKY_BLUE, VERMILLION, Look, Spec

COLUMNS = 3
"""Panels in a row of a figure, at most."""

HEIGHT = 240
"""Pixels of a chart's height in the page."""

PANEL_HEIGHT = 120
"""Points of a panel's height in a figure."""

Y_AXIS = 26
"""Points beside a panel for the labels of its vertical axis."""

PANEL_COLOURS = {"seed": SKY_BLUE, "probe": ORANGE, "mean": BLUE, "critical_value": VERMILLION, "lost": BLACK}
"""What the colours of a panel with one cell stand for."""

LEVEL: Spec = {"color": GREY, "strokeWidth": 0.6, "strokeDash": [1.5, 2.5]}
"""The line of the level from which a member is active."""

_GAP = 12
_CHARACTER = 4.3  # points of a letter, at 7 points
_SWATCH = 22
_LEGEND_WIDTH = 220


def layer(mark: str, encoding: Spec, data: str = "", where: str = "", **properties: Any) -> Spec:
    """Return a layer: a mark for each row of a table at which a condition on `datum` holds."""
    made: Spec = {"data": {"name": data}} if data else {}
    if where:
        made["transform"] = [{"filter": where}]
    return made | {"mark": {"type": mark, **properties}, "encoding": encoding}


def number(field: str, **more: Any) -> Spec:
    """Return the encoding of a column of numbers."""
    return {"field": field, "type": "quantitative", **more}


def nominal(field: str, domain: Iterable[Any], values: Sequence[Any]) -> Spec:
    """Return the encoding of a column whose values have these colours, markers or dashes."""
    scale = {"domain": list(domain), "range": list(values)}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def colour_bar(length: int) -> Spec:
    """Return the legend of a panel's colours, beside it, with its length in points."""
    return {"orient": "right", "gradientLength": length, "gradientThickness": 8, "titleOrient": "right"}


def control_axis(
    field: str, trained: tuple[float, float], control: ControlNames, labelled: bool = True
) -> Spec:
    """Return a horizontal axis of the control parameter, the same in all charts of the same trained range."""
    scale = control.scale
    low, high = map(scale.place, trained)
    margin = 0.03 * (high - low) or 0.02
    kind: Spec = {"zero": False} if scale.kind == "linear" else {"type": "log"}
    return {
        "field": field,
        "type": "quantitative",
        "title": control.title if labelled else None,
        "scale": {"domain": [scale.value(low - margin), scale.value(high + margin)], "nice": False, **kind},
        "axis": {"tickCount": 6, "format": "~g", "labels": labelled},
    }


@dataclass(frozen=True)
class Overlay:
    """Cells over one another, each with its look; switches say which cells and groups of seeds are seen.

    `names` are short enough for an axis, `groups` is the number of groups of seeds, `trained` the range of
    the control parameter over all members.
    """

    looks: Sequence[Look]
    names: Sequence[str]
    groups: int
    trained: tuple[float, float]
    control: ControlNames
    seen = "indexof(cells, datum.cell) >= 0"
    seen_seed = "indexof(cells, datum.cell) >= 0 && indexof(groups, datum.group) >= 0"
    sizes: ClassVar[Spec] = {"seed": 0.9, "mean": 2.2, "point": 34, "lost": 50, "opacity": 0.4}

    def base(self) -> Spec:
        """Return what all charts of a page have, the parameters of the switches among it."""
        return {
            "width": "container",
            "autosize": {"type": "fit-x", "contains": "padding"},
            "params": [
                {"name": "cells", "value": list(range(len(self.looks)))},
                {"name": "groups", "value": list(range(self.groups))},
            ],
            "config": SCREEN,
        }

    def x(self, field: str) -> Spec:
        """Return the axis of the control parameter."""
        return control_axis(field, self.trained, self.control)

    def colour(self, role: str = "") -> Spec:
        """Return the colours of the cells. The role of the mark does not matter."""
        return self._by_cell("colour")

    def shape(self) -> Spec:
        """Return the markers of the cells."""
        return self._by_cell("shape")

    def dash(self) -> Spec:
        """Return the dashes of the cells."""
        return self._by_cell("dashes")

    def _by_cell(self, trait: str) -> Spec:
        return nominal("cell", range(len(self.looks)), [getattr(look, trait) for look in self.looks])


@dataclass(frozen=True)
class Panel:
    """The cell at a place by itself: colours say what a mark is. `trained` is the range over all panels."""

    cell: int
    trained: tuple[float, float]
    control: ControlNames
    labelled: bool = True
    sizes: ClassVar[Spec] = {"seed": 0.7, "mean": 1.8, "point": 6, "lost": 16, "opacity": 1}

    @property
    def seen(self) -> str:
        """The filter of rows of the cell."""
        return f"datum.cell == {self.cell}"

    seen_seed = seen

    def x(self, field: str) -> Spec:
        """Return the axis of the control parameter."""
        return control_axis(field, self.trained, self.control, self.labelled)

    def colour(self, role: str) -> Spec:
        """Return the colour of a mark by its role."""
        if role != "member":
            return {"value": PANEL_COLOURS[role]}
        of_curves = {"test": "datum.curve", "value": PANEL_COLOURS["seed"]}
        return {"condition": of_curves, "value": PANEL_COLOURS["probe"]}

    def shape(self) -> Spec:
        """Return the marker of all members."""
        return {"value": "circle"}

    def dash(self) -> Spec:
        """Return a line without gaps."""
        return {"value": [1, 0]}


def panel_width(panels: int) -> int:
    """Return the points of a panel's width where so many are drawn."""
    return {1: 220, 2: 185}.get(panels, 145)


def has_none_below(index: int, panels: int) -> bool:
    """Tell whether no panel lies below one in rows of `COLUMNS`."""
    return index + min(panels, COLUMNS) >= panels


def y_axis(title: str, leftmost: bool, **axis: Any) -> Spec:
    """Return title and axis of a panel's vertical axis, of which the leftmost panel only has the labels."""
    if not leftmost:
        return {"title": None, "axis": {"labels": False, **axis}}
    return {"title": title, "axis": {"minExtent": Y_AXIS, "maxExtent": Y_AXIS, **axis}}


def titles(names: Sequence[str], estimates: Sequence[str], width: int) -> list[list[str]]:
    """Return the lines above panels: name and estimate in one line where all fit, else under one another."""
    room = int(1.05 * width / _CHARACTER)
    lines = [f"{name} \u00b7 {text}" for name, text in zip(names, estimates, strict=True)]
    if max(map(len, lines)) <= room:
        return [[line] for line in lines]
    return [[*textwrap.wrap(name, room), text] for name, text in zip(names, estimates, strict=True)]


@dataclass(frozen=True)
class Entry:
    """An entry of a figure's legend: its text, and the properties of the marks that it has."""

    label: str
    line: Spec | None = None
    point: Spec | None = None
    band: Spec | None = None

    @property
    def width(self) -> float:
        """Points that it takes."""
        return _SWATCH + 5 + _CHARACTER * len(self.label) + 12


def line_entry(label: str, look: Look, size: int = 14) -> Entry:
    """Return the entry of a line with markers."""
    point = {"shape": look.shape, "color": look.colour, "size": size, "filled": True, "opacity": 1}
    return Entry(label, {"color": look.colour, "strokeWidth": 1, "strokeDash": list(look.dashes)}, point)


def legend(entries: Sequence[Entry], width: float) -> Spec:
    """Return a legend as a view of its own, in columns of one width, centred in a `width`."""
    widest = max(entry.width for entry in entries)
    columns = max(1, min(len(entries), int(width / widest)))
    rows = -(-len(entries) // columns)
    columns = -(-len(entries) // rows)
    left = max(0.0, (width - columns * widest) / 2)
    marks: list[Spec] = []
    for index, entry in enumerate(entries):
        x, y = left + index % columns * widest, 11 * (index // columns) + 5
        ends = {"x": {"value": x}, "x2": {"value": x + _SWATCH}}
        if entry.band is not None:
            heights = {"y": {"value": y - 4}, "y2": {"value": y + 4}}
            marks.append(layer("rect", ends | heights, **entry.band))
        if entry.line is not None:
            marks.append(layer("rule", ends | {"y": {"value": y}}, **entry.line))
        if entry.point is not None:
            middle = {"x": {"value": x + _SWATCH / 2}, "y": {"value": y}}
            marks.append(layer("point", middle, **entry.point))
        place = {"x": {"value": x + _SWATCH + 5}, "y": {"value": y}}
        look: Spec = {"align": "left", "baseline": "middle", "fontSize": 7}
        marks.append(layer("text", place, text=entry.label, **look))
    return {"data": {"values": [{}]}, "width": width, "height": 11 * rows, "layer": marks}


def figure(
    stacks: Sequence[Sequence[Spec]], heading: str, entries: Sequence[Entry], columns: int = COLUMNS
) -> Spec:
    """Return a figure: a heading, stacks of panels side by side in rows, and one legend below them."""
    rows = [
        {"hconcat": list(panels), "spacing": _GAP}
        for place in range(0, len(stacks), columns)
        for panels in zip(*stacks[place : place + columns], strict=True)
    ]
    parts: list[Spec] = [{"vconcat": rows, "spacing": _GAP}]
    if entries:
        width = sum(stack[0]["width"] + _GAP for stack in stacks[:columns]) - _GAP
        parts.append(legend(entries, max(width, _LEGEND_WIDTH)))
    title = {"title": {"text": heading, "fontSize": 9, "anchor": "middle", "offset": 8}} if heading else {}
    return {**title, "vconcat": parts, "spacing": 10}
