"""Phase boundaries: critical values against another key in which cells differ."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, get_args

from analysis import TableError
from analysis.charts.cells import ChartCell
from analysis.charts.chart import Chart
from analysis.charts.control import names_of
from analysis.charts.critical import (
    POINT_SIZE,
    bound_entries,
    bound_sides,
    critical_axis,
    critical_marks,
    critical_scale,
)
from analysis.charts.data import Columns, columns_of, drawn_tables, order_quantities, rows_of
from analysis.charts.layout import (
    PANEL_HEIGHT,
    Entry,
    figure,
    layer,
    line_entry,
    nominal,
    number,
    panel_width,
)
from analysis.charts.looks import BLACK, STYLES, Spec
from analysis.tables.schema import Row
from analysis.text.words import interval_kind
from ouvae.declared import CONTROLS, ORDER_PARAMETERS, Cell, keys_of, labels

SIZE, DEPTH = "size", "depth"
"""What latents differ in: the size of the top layer, and the number of layers."""

UNIT = "unit"
"""The rank of a unit of the top layer, in which the order parameters `kl_top_unit_k` differ."""

_DASHED: Spec = {"strokeDash": [4, 2], "strokeWidth": 0.9, "color": BLACK}


def boundaries(cells: Sequence[ChartCell], against: str) -> Chart:
    """Return the critical values of cells against a key, a panel per order parameter.

    Cells that agree in all other keys are a line; a triangle is a bound beyond which the critical value lies.
    A dashed line is exact. Against `unit`, a single panel has a line per cell, through the units of its top
    layer.

    Args:
        cells: of one control parameter.
        against: a numeric key of a cell in which cells differ, `size` of the top layer, `depth`, or `unit`.

    Raises:
        TableError: the key is none of these, all cells have the same value of it, or fewer than two units are
            watched; as `names_of`.
    """
    control = names_of(cell.rows[0] for cell in cells)
    shown = [cell for cell in cells if cell.look is not None]
    drawn = drawn_tables(cells, order_quantities(shown), control).tables["thresholds"]
    points = [*(_of_units if against == UNIT else partial(_of_key, against))(shown, rows_of(drawn))]
    lines = list(dict.fromkeys(point["line"] for point in points))
    groups = lines[: len(STYLES)]
    placed = [{**point, "group": groups.index(point["line"])} for point in points if point["line"] in groups]
    scale = critical_scale(placed, control)
    sides = bound_sides(placed)
    titles = list(dict.fromkeys(point["panel"] for point in placed))
    panels: list[list[Spec]] = []
    for index, title in enumerate(titles):
        axis = critical_axis(control, index == 0)
        panels.append(
            [
                {
                    "title": {"text": title},
                    "width": panel_width(len(titles)),
                    "height": PANEL_HEIGHT,
                    "encoding": {"x": _x(against)},
                    "layer": _marks(title, len(groups), sides, {"scale": scale, **axis}),
                }
            ]
        )
    entries = [line_entry(group, look, POINT_SIZE) for group, look in zip(groups, STYLES, strict=False)]
    entries += bound_entries(placed, control)
    if any(row["exact"] is not None for row in placed):
        entries.append(Entry("exact", _DASHED))
    kind = interval_kind([row for cell in shown for row in cell.rows])
    left_out = f", the first {len(groups)} of {len(lines)} lines" if len(groups) < len(lines) else ""
    heading = f"critical {control.symbol} against {_title(against)}, {kind}{left_out}"
    data: dict[str, Columns] = {"boundaries": columns_of(placed)}
    return Chart(f"phase_diagram_{against}", heading, figure(panels, heading, entries), data)


def _of_key(against: str, shown: Sequence[ChartCell], thresholds: Sequence[Row]) -> Iterator[Row]:
    """Yield thresholds with their place on the axis of a key, their line and their panel."""
    rows = [cell.rows[0] for cell in shown]
    at = [_at(row, against) for row in rows]
    if len(set(at)) < 2:
        raise TableError(
            f"all cells have {against} {at[0]:g}; give a key in which they differ: "
            f"{', '.join(_differing(rows)) or 'there is none'}"
        )
    names = labels(_without(row, against) for row in rows)
    for row in thresholds:
        cell, panel = row["cell"], ORDER_PARAMETERS[row["order"]].words
        yield {**row, "x": at[cell], "line": names[cell], "panel": panel}


def _of_units(shown: Sequence[ChartCell], thresholds: Sequence[Row]) -> Iterator[Row]:
    """Yield the thresholds of units with their rank, their line and their panel."""
    ranks = {name: order.rank for name, order in ORDER_PARAMETERS.items() if order.rank is not None}
    if len({row["order"] for row in thresholds} & ranks.keys()) < 2:
        raise TableError(
            "the runs watch fewer than two units of the top layer; sweep with kl_top_unit_1, kl_top_unit_2, "
            "... in active_from"
        )
    for row in thresholds:
        if row["order"] in ranks:
            place = {"x": ranks[row["order"]], "line": shown[row["cell"]].name}
            yield {**row, **place, "panel": "units of the top layer"}


def _at(row: Row, against: str) -> float:
    """Return a cell's value of the key."""
    if against in (SIZE, DEPTH):
        return float(row["latents"][-1] if against == SIZE else row["depth"])
    if against not in _numeric() or against == row["control"] or row[against] is None:
        allowed = ", ".join([SIZE, DEPTH, UNIT, *(name for name in _numeric() if name != row["control"])])
        raise TableError(f"nothing can be drawn against {against}; choose from {allowed}")
    return float(row[against])


def _numeric() -> list[str]:
    """Return the keys of a cell that are numbers."""
    return [
        name
        for name, key in keys_of(Cell).items()
        if {int, float} & {key.annotation, *get_args(key.annotation)}
    ]


def _differing(rows: Sequence[Row]) -> list[str]:
    """Return what critical values can be drawn against."""
    candidates = [SIZE, DEPTH, *_numeric()]
    return [
        name
        for name in candidates
        if name != rows[0]["control"]
        and (name in (SIZE, DEPTH) or all(row[name] is not None for row in rows))
        and len({_at(row, name) for row in rows}) > 1
    ]


def _without(row: Row, against: str) -> dict[str, Any]:
    """Return the keys of a cell without the key."""
    if against == SIZE:
        return {**row, "latents": ()}
    return {**row, "latents": row["latents"][-1:]} if against == DEPTH else {**row, against: None}


def _title(against: str) -> str:
    control = CONTROLS.get(against)
    if control is not None:
        return f"{control.words} {control.symbol}"
    words = {SIZE: "size of the top layer", DEPTH: "layers", UNIT: "rank of a unit's KL"}
    return words.get(against, against.replace("_", " "))


def _x(against: str) -> Spec:
    control = CONTROLS.get(against)
    scale: Spec = {"zero": False, "nice": False, "padding": 8}
    if control is not None and control.scale == "log":
        scale = {"type": "log", "nice": False, "padding": 8}
    whole: Spec = {"tickMinStep": 1} if against in (SIZE, DEPTH, UNIT) else {}
    return number("x", title=_title(against), scale=scale, axis={"tickCount": 6, "format": "~g", **whole})


def _marks(panel: str, groups: int, sides: set[str], axis: Spec) -> list[Spec]:
    """Return the marks of a panel from back to front."""
    of_panel = f"datum.panel == '{panel}'"
    colour, shape, dashes = (
        nominal("group", range(groups), [getattr(look, trait) for look in STYLES[:groups]])
        for trait in ("colour", "shape", "dashes")
    )
    y = {"type": "quantitative", **axis}
    exact = {"y": {"field": "exact", **y}, "detail": {"field": "group"}}
    point, line = {"color": colour, "shape": shape}, {"color": colour, "strokeDash": dashes}
    return [
        layer("line", exact, "boundaries", f"{of_panel} && isValid(datum.exact)", **_DASHED),
        *critical_marks(sides, axis, point, line, "boundaries", of_panel),
    ]
