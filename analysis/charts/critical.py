"""Marks of critical values: estimates with intervals, and triangles for bounds."""

from collections.abc import Sequence

import numpy as np

from analysis.charts.control import ControlNames
from analysis.charts.layout import Entry, layer, y_axis
from analysis.charts.looks import GREY, Spec
from analysis.tables.schema import Row

_SIDES = {"above": "triangle-up", "below": "triangle-down"}
"""Markers of bounds, by the side of the bound on which the critical value lies."""

POINT_SIZE = 22
"""Area of a figure's marker in square points; a page has larger ones."""


def critical_scale(rows: Sequence[Row], control: ControlNames) -> Spec:
    """Return the scale of an axis that holds the ends of all intervals, bounds and exact critical values."""
    names = ("low", "high", "bound", "exact")
    ends = [row[name] for row in rows for name in names if row[name] is not None]
    places = control.scale.places(ends)
    margin = 0.08 * float(np.ptp(places)) or 0.02
    domain = [control.scale.value(place) for place in (places.min() - margin, places.max() + margin)]
    kind: Spec = {"type": "log"} if control.scale.kind == "log" else {}
    return {"domain": [control.within(end) for end in domain], "nice": False, **kind}


def critical_axis(control: ControlNames, leftmost: bool) -> Spec:
    """Return the title and the axis of critical values; only the leftmost panel of a row has labels.

    A label at the end of the axis would stand out over the panel, and move its title.
    """
    return y_axis(control.critical, leftmost, tickCount=5, labelBound=True)


def critical_marks(
    sides: set[str], y: Spec, point: Spec, line: Spec, data: str = "", where: str = "", size: int = POINT_SIZE
) -> list[Spec]:
    """Return the marks of critical values from back to front: a line, intervals, points and bounds.

    Args:
        sides: on which critical values lie of their bounds, see `bound_sides`.
        y: the axis of critical values.
        point: encoding of colour, shape and tooltip.
        line: encoding of the line's colour and dashes.
        data: name of the table; empty for the table of the panel.
        where: condition on its rows.
        size: area of a marker.
    """
    width = 2 if size > POINT_SIZE else 1
    of_rows = f"{where} && " if where else ""
    has_estimate = f"{of_rows}isValid(datum.critical_value)"
    y = {"type": "quantitative", **y}
    middle = {"y": {"field": "critical_value", **y}}
    ends = {"y": {"field": "low", **y}, "y2": {"field": "high"}, "color": point["color"]}
    marks = [
        layer("line", middle | line, data, has_estimate, strokeWidth=0.6 * width),
        layer("rule", ends, data, has_estimate, strokeWidth=width),
        layer("point", middle | point, data, has_estimate, filled=True, size=size, opacity=1),
    ]
    bound = {"y": {"field": "bound", **y}} | {name: part for name, part in point.items() if name != "shape"}
    for side in sorted(sides):
        has_bound = f"{of_rows}isValid(datum.bound) && datum.side == '{side}'"
        marks.append(layer("point", bound, data, has_bound, shape=_SIDES[side], size=size, strokeWidth=width))
    return marks


def bound_sides(rows: Sequence[Row]) -> set[str]:
    """Return the sides, `above` or `below`, on which critical values lie of the bounds of rows."""
    return {row["side"] for row in rows if row["bound"] is not None}


def bound_entries(rows: Sequence[Row], control: ControlNames) -> list[Entry]:
    """Return the entries of a legend for the bounds of rows."""
    look = {"color": GREY, "size": POINT_SIZE, "strokeWidth": 1, "opacity": 1}
    return [
        Entry(f"{control.critical} lies {side}", point={"shape": _SIDES[side], **look})
        for side in sorted(bound_sides(rows))
    ]
