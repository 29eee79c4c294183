"""The phase diagram: critical values against the size of the top layer, and maps over both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis import TableError
from analysis.charts.cells import ChartCell
from analysis.charts.chart import Chart
from analysis.charts.control import ControlNames, names_of
from analysis.charts.critical import (
    POINT_SIZE,
    bound_entries,
    bound_sides,
    critical_axis,
    critical_marks,
    critical_scale,
)
from analysis.charts.curves import NAME_TOLD
from analysis.charts.data import Columns, columns_of, drawn_tables, order_quantity, rows_of
from analysis.charts.layout import (
    HEIGHT,
    PANEL_HEIGHT,
    Y_AXIS,
    Overlay,
    colour_bar,
    control_axis,
    figure,
    layer,
    line_entry,
    nominal,
    number,
)
from analysis.charts.looks import GREY, STYLES, VALUE_SCHEME, VERMILLION, Look, Spec
from analysis.statistics.censored import Array
from analysis.tables.schema import Row
from analysis.text.words import common_words, interval_kind, plural
from ouvae.declared import OrderParameter, labels

_BAND_HEIGHT = 30  # pixels of a size in a map of the page
_BAND_POINTS = 16  # in a figure
_WIDTH = 150


@dataclass(frozen=True)
class Phases:
    """The phase diagram of the cells of one model, which is named by all but its latents.

    `sizes` is a table with a row per cell, `maps` by depth a table with a row per cell and mean value: the
    order parameter over control parameter and size.
    """

    model: str
    sizes: Columns
    maps: Mapping[int, Columns]

    @property
    def highest(self) -> float:
        """The largest mean value."""
        return max((value for table in self.maps.values() for value in table["value"]), default=0.0)


def phases(
    cells: Sequence[ChartCell], order: OrderParameter, tables: Mapping[str, Columns], control: ControlNames
) -> list[Phases]:
    """Return the phase diagrams of the cells that are drawn and have a threshold of an order parameter."""
    means: dict[int, list[Row]] = {}
    for mean in rows_of(tables[f"mean-{order.curve}"]):
        means.setdefault(mean["cell"], []).append(mean)
    thresholds = {row["cell"]: row for row in rows_of(tables["thresholds"]) if row["order"] == order.name}
    located = {}
    for place, cell in enumerate(cells):
        row = next((row for row in cell.rows if row["order_parameter"] == order.name), None)
        if row is not None and row["status"] != "unresolved" and place in means:
            located[place] = {**row, "cell": cell.name}
    diagrams = []
    for model, places in _models(located).items():
        sizes: list[Row] = []
        maps: dict[int, list[Row]] = {}
        for place in places:
            size, depth = located[place]["latents"][-1], located[place]["depth"]
            sizes.append({**thresholds[place], "size": size, "depth": depth})
            maps.setdefault(depth, []).extend(
                _map_rows(means[place], size, located[place]["critical_value"], control)
            )
        by_depth = {depth: columns_of(rows) for depth, rows in sorted(maps.items())}
        diagrams.append(Phases(model, columns_of(sizes), by_depth))
    return diagrams


def _models(located: Mapping[int, Row]) -> dict[str, list[int]]:
    """Return places of cells by the name of their model, which is all but the latents."""
    groups: dict[str, list[int]] = {}
    for name, place in zip(labels({**row, "latents": ()} for row in located.values()), located, strict=True):
        groups.setdefault(name, []).append(place)
    return groups


def _map_rows(
    means: Sequence[Row], size: int, critical_value: float | None, control: ControlNames
) -> Iterator[Row]:
    places = control.scale.places([mean["x"] for mean in means])
    ends = [control.within(control.scale.value(place)) for place in edges(places).tolist()]
    for low, high, mean in zip(ends[:-1], ends[1:], means, strict=True):
        yield {**mean, "size": size, "low": low, "high": high, "critical_value": critical_value}


def edges(places: Array) -> Array:
    """Return the edges of cells around places: halfway between neighbours, as wide beyond the ends."""
    if places.size == 1:
        return np.array([places[0] - 0.02, places[0] + 0.02])
    middles = (places[1:] + places[:-1]) / 2
    return np.concatenate([[2 * places[0] - middles[0]], middles, [2 * places[-1] - middles[-1]]])


def size_chart(layout: Overlay, place: int, phases: Phases) -> Chart:
    """Return the critical value against the size of the top layer, a line per depth."""
    name = f"sizes-{place}"
    colours = {"color": layout.colour(), "shape": layout.shape()}
    dashes = {"domain": sorted(set(phases.sizes["depth"])), "range": [list(look.dashes) for look in STYLES]}
    depth = {"field": "depth", "type": "nominal", "title": "layers", "scale": dashes}
    spec = layout.base() | {
        "height": HEIGHT,
        "data": {"name": name},
        **_sizes(
            phases, None, colours, {"color": {"value": GREY}, "strokeDash": depth}, 80, **_y_scale(layout)
        ),
    }
    title = f"{phases.model}: {layout.control.critical} against the size of the top layer"
    return Chart(name, title, spec, {name: phases.sizes})


def _sizes(phases: Phases, title: str | None, colours: Spec, line: Spec, size: int, **axis: Any) -> Spec:
    """Return the encoding and the marks of the critical value against the size."""
    table = phases.sizes
    x = {
        "field": "size",
        "type": "ordinal",
        "title": "size of the top layer",
        "scale": {"domain": sorted(set(table["size"]))},
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 4},
    }
    depths = {"domain": sorted(set(table["depth"])), "paddingOuter": 0.5}
    beside = {"field": "depth", "type": "ordinal", "scale": depths}
    tooltip = {"tooltip": [{"field": "text", "title": " "}]}
    y = {"title": title, "scale": {"zero": False}} | axis
    return {
        "encoding": {"x": x, "xOffset": beside},
        "layer": critical_marks(bound_sides(rows_of(table)), y, colours | tooltip, line, size=size),
        "resolve": {"scale": {"shape": "independent"}},
    }


def map_chart(
    layout: Overlay, place: int, depth: int, phases: Phases, order: OrderParameter, highest: float
) -> Chart:
    """Return the order parameter, its mean over seeds, over control parameter and size of the top layer.

    `highest` is the value at the end of the colours, which several maps share.
    """
    table = phases.maps[depth]
    name = f"map-{place}-{depth}"
    size = {"field": "size", "type": "ordinal", "title": None, "sort": "descending"}
    legend = {"gradientLength": 160, "gradientThickness": 10}
    spec = layout.base() | {
        "height": _BAND_HEIGHT * len(set(table["size"])),
        "data": {"name": name},
        "encoding": {"y": size},
        "layer": _map(
            layout.trained, layout.control, order, {"title": None, "legend": legend}, highest, _BAND_HEIGHT
        ),
    }
    unit = f" ({order.unit})" if order.unit != "1" else ""
    title = f"{phases.model}, {order.words}{unit} over {layout.control.symbol} and the size of z_{depth}"
    return Chart(name, title, spec, {name: table})


def _map(
    trained: tuple[float, float],
    control: ControlNames,
    order: OrderParameter,
    key: Spec,
    highest: float,
    band: int,
    labelled: bool = True,
) -> list[Spec]:
    """Return the marks of a map."""
    colour = number("value", scale={"scheme": VALUE_SCHEME, "domain": [0, highest]}, **key)
    tooltip = [
        NAME_TOLD, control.told(),
        {"field": "value", "title": order.words, "format": ".4~g"},
        control.told("critical_value") | {"title": control.critical},
    ]  # fmt: skip
    ends = {
        "x": _map_axis("low", trained, control, labelled),
        "x2": {"field": "high"},
        "color": colour,
        "tooltip": tooltip,
    }
    upright = {"x": _map_axis("critical_value", trained, control, labelled)}
    look: Spec = {"thickness": band / 12, "size": band}
    return [
        layer("rect", ends, clip=True),
        layer("tick", upright, where="isValid(datum.critical_value)", color=VERMILLION, **look),
    ]


def _map_axis(field: str, trained: tuple[float, float], control: ControlNames, labelled: bool) -> Spec:
    """Return the axis of the control parameter of a map: no mark there needs room beyond its bounds."""
    axis = control_axis(field, trained, control, labelled)
    axis["scale"]["domain"] = [control.within(end) for end in axis["scale"]["domain"]]
    return axis


def _y_scale(layout: Overlay) -> Spec:
    """Return what the vertical axis of critical values needs besides its domain."""
    return {"scale": {"type": "log"}} if layout.control.scale.kind == "log" else {}


def phase_diagram(cells: Sequence[ChartCell], order: OrderParameter) -> Chart:
    """Return critical values against the size of the latents, over maps of the order parameter.

    A model is a panel.

    A line is a depth, a triangle a bound beyond which the critical value lies. A row of maps is a depth.
    Raises TableError where no cell has a threshold, and as `names_of`.
    """
    control = names_of(cell.rows[0] for cell in cells)
    tables = drawn_tables(cells, [order_quantity(order)], control).tables
    diagrams = phases(cells, order, tables, control)
    if not diagrams:
        raise TableError("no cell has members that count, so that there is no threshold to draw")
    depths = sorted({depth for diagram in diagrams for depth in diagram.maps})
    values = tables["members"]["x"]
    trained = min(values), max(values)
    highest = max(order.active_from, *(diagram.highest for diagram in diagrams))
    sizes = [row for diagram in diagrams for row in rows_of(diagram.sizes)]
    scale = critical_scale(sizes, control)
    look_of = dict(zip(depths, STYLES * len(depths), strict=False))
    data: dict[str, Columns] = {}
    stacks = []
    for place, diagram in enumerate(diagrams):
        data[f"sizes-{place}"] = diagram.sizes
        axis = critical_axis(control, place == 0)
        top = _sizes(diagram, axis["title"], *_by_depth(look_of), POINT_SIZE, axis=axis["axis"], scale=scale)
        stack = [
            {"title": {"text": diagram.model}, "data": {"name": f"sizes-{place}"}, "width": _WIDTH,
             "height": PANEL_HEIGHT} | top
        ]  # fmt: skip
        for depth in depths:
            name = f"map-{place}-{depth}"
            data[name] = diagram.maps.get(depth, {})
            sides = (
                place == 0,
                depth == depths[-1],
                depth == min(diagrams[-1].maps) and diagram is diagrams[-1],
            )
            stack.append(_map_panel(name, diagram, depth, order, trained, control, highest, *sides))
        stacks.append(stack)
    entries = [line_entry(plural(depth, "layer"), look, POINT_SIZE) for depth, look in look_of.items()]
    entries += bound_entries(sizes, control)
    shared = common_words([diagram.model for diagram in diagrams])
    kind = interval_kind([row for cell in cells for row in cell.rows if row["order_parameter"] == order.name])
    text = f"{shared} " * bool(shared) + f"critical {control.symbol} of the {order.words}, {kind}"
    return Chart("phase_diagram", "Phase diagram", figure(stacks, text, entries), data)


def _by_depth(look_of: Mapping[int, Look]) -> tuple[Spec, Spec]:
    """Return the encodings of marks and of lines by depth."""
    colour, shape, dashes = (
        nominal("depth", look_of, [getattr(look, trait) for look in look_of.values()])
        for trait in ("colour", "shape", "dashes")
    )
    return {"color": colour, "shape": shape}, {"color": colour, "strokeDash": dashes}


def _map_panel(
    name: str,
    phases: Phases,
    depth: int,
    order: OrderParameter,
    trained: tuple[float, float],
    control: ControlNames,
    highest: float,
    leftmost: bool,
    lowest: bool,
    has_legend: bool,
) -> Spec:
    """Return the map of a model and depth in a figure."""
    sizes = sorted(set(phases.sizes["size"]), reverse=True)
    height = _BAND_POINTS * max(3, len(sizes))
    panel: Spec = {"width": _WIDTH, "height": height}
    if depth not in phases.maps:
        text = {"type": "text", "text": "not swept", "color": GREY, "fontSize": 8}
        return panel | {"data": {"values": [{}]}, "mark": text, "encoding": {}}
    title = [plural(depth, "layer") + ",", f"size of z_{depth}"] if leftmost else None
    y: Spec = {"field": "size", "type": "ordinal", "scale": {"domain": sizes}, "title": title}
    y["axis"] = {"minExtent": Y_AXIS if leftmost else 0}
    unit = f" ({order.unit})" if order.unit != "1" else ""
    key = {"title": f"{order.words}{unit}", "legend": colour_bar(max(64, height)) if has_legend else None}
    layers = _map(trained, control, order, key, highest, height // len(sizes), lowest)
    return panel | {"data": {"name": name}, "encoding": {"y": y}, "layer": layers}
