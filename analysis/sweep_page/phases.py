"""The phase diagram of a page: rho_c against the size of the top layer, and maps over rho and size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis import style
from analysis.phase_diagram import Located, edges, models
from analysis.statistics.censored import Array
from analysis.statistics.curves import curves_of, mean_curve
from analysis.sweep_page.charts import HEIGHT, NAME_TOLD, RHO_TOLD, Chart, Painter, Spec, dash_pixels
from analysis.sweep_page.columns import Columns, columns_of, rows_of
from analysis.sweep_page.sources import PageCell
from analysis.tables.schema import Row
from ouvae.declared import OrderParameter

_BAND_HEIGHT = 30  # pixels of a size in a map


@dataclass(frozen=True)
class Phases:
    """The phase diagram of the cells of one model: their thresholds by size, and a map for each depth.

    Attributes:
        model: its name: all but the latents.
        sizes: a table, a row a cell.
        maps: by depth, a table with a row a cell and mean value: the order parameter over rho and size.
    """

    model: str
    sizes: Columns
    maps: Mapping[int, Columns]


def phases(cells: Sequence[PageCell], order: OrderParameter, tables: Mapping[str, Columns]) -> list[Phases]:
    """Return the phase diagrams of the cells that are drawn and have a threshold of an order parameter."""
    means: dict[int, list[tuple[int, float, float | None]]] = {}
    for mean in rows_of(tables[f"mean-{order.metric}"]):
        means.setdefault(mean["cell"], []).append((0, mean["rho"], mean["value"]))
    thresholds = {row["cell"]: row for row in rows_of(tables["thresholds"]) if row["order"] == order.name}
    places: dict[str, int] = {}
    located = []
    for place, cell in enumerate(cells):
        row = next((row for row in cell.rows if row["order_parameter"] == order.name), None)
        if row is not None and row["status"] != "unresolved" and place in means:
            places[cell.name] = place
            located.append(Located({**row, "cell": cell.name}, curves_of(means[place])))
    found = []
    for model, own in models(located).items():
        sizes: list[Row] = []
        maps: dict[int, list[Row]] = {}
        for one in own:
            place, depth = places[one.row["cell"]], one.row["depth"]
            sizes.append({**thresholds[place], "size": one.size, "depth": depth})
            maps.setdefault(depth, []).extend(_map_rows(place, one))
        by_depth = {depth: columns_of(rows) for depth, rows in sorted(maps.items())}
        found.append(Phases(model, columns_of(sizes), by_depth))
    return found


def _map_rows(place: int, one: Located) -> Iterator[Row]:
    rho, values = mean_curve(one.curves)
    ends: Array = np.clip(edges(rho), 0.0, 1.0)
    for low, high, at, value in zip(ends[:-1], ends[1:], rho, values, strict=True):
        yield {
            "cell": place,
            "size": one.size,
            "low": float(low),
            "high": float(high),
            "rho": float(at),
            "value": float(value),
            "rho_c": one.row["rho_c"],
        }


def size_chart(painter: Painter, place: int, phases: Phases) -> Chart:
    """Return rho_c against the size of the top layer, a line a depth."""
    name, table = f"sizes-{place}", phases.sizes
    x = {
        "field": "size",
        "type": "ordinal",
        "title": "size of the top layer",
        "scale": {"domain": sorted(set(table["size"]))},
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 4},
    }
    depths = {"domain": sorted(set(table["depth"])), "paddingOuter": 0.5}
    beside = {"field": "depth", "type": "ordinal", "scale": depths}
    text = {"field": "text", "title": " "}
    depth = {"field": "depth", "type": "nominal", "title": "layers"}
    on_y = {"type": "quantitative", "title": None, "scale": {"zero": False}}
    parts: list[Spec] = []
    if any(rho_c is not None for rho_c in table["rho_c"]):
        dashes = {**depth, "scale": {"range": [dash_pixels(one[2]) for one in style.STYLES]}}
        rho_c, low = {"field": "rho_c", **on_y}, {"field": "low", **on_y}
        parts += [
            {
                "mark": {"type": "line", "color": style.GREY, "strokeWidth": 1.2},
                "encoding": {"y": rho_c, "strokeDash": dashes},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"y": low, "y2": {"field": "high"}, "color": painter.colour()},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                "encoding": {
                    "y": rho_c,
                    "color": painter.colour(),
                    "shape": painter.shape(),
                    "tooltip": [text],
                },
            },
        ]
        for part in parts:
            part["transform"] = [{"filter": "isValid(datum.rho_c)"}]
    bounded = {side for bound, side in zip(table["bound"], table["side"], strict=True) if bound is not None}
    parts += [
        {
            "transform": [{"filter": f"isValid(datum.bound) && datum.side == '{side}'"}],
            "mark": {"type": "point", "shape": f"triangle-{way}", "size": 80, "strokeWidth": 2},
            "encoding": {"y": {"field": "bound", **on_y}, "color": painter.colour(), "tooltip": [text]},
        }
        for side, way in (("above", "up"), ("below", "down"))
        if side in bounded
    ]
    spec = painter.base() | {
        "height": HEIGHT,
        "data": {"name": name},
        "encoding": {"x": x, "xOffset": beside},
        "layer": parts,
        "resolve": {"scale": {"shape": "independent"}},
    }
    return Chart(name, f"{phases.model}: ρ_c against the size of the top layer", [name], spec)


def map_chart(
    painter: Painter, place: int, depth: int, phases: Phases, order: OrderParameter, highest: float
) -> Chart:
    """Return the order parameter, its mean over seeds, over rho and the size of the top layer.

    `highest` is the value at the end of the colours, which several maps share.
    """
    table = phases.maps[depth]
    name = f"map-{place}-{depth}"
    size = {"field": "size", "type": "ordinal", "title": None, "sort": "descending"}
    colour = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": {"scheme": {"name": "viridis", "extent": [0, 0.92]}, "domain": [0, highest]},
        "legend": {"gradientLength": 160, "gradientThickness": 10},
    }
    told = [
        NAME_TOLD, RHO_TOLD,
        {"field": "value", "title": order.words, "format": ".4~g"},
        {"field": "rho_c", "title": "ρ_c", "format": ".3f"},
    ]  # fmt: skip
    layers = [
        {
            "mark": {"type": "rect", "clip": True},
            "encoding": {"x": painter.x("low"), "x2": {"field": "high"}, "color": colour, "tooltip": told},
        },
        {
            "transform": [{"filter": "isValid(datum.rho_c)"}],
            "mark": {"type": "tick", "color": style.VERMILLION, "thickness": 2.5, "size": _BAND_HEIGHT},
            "encoding": {"x": painter.x("rho_c")},
        },
    ]
    spec = painter.base() | {
        "height": _BAND_HEIGHT * len(set(table["size"])),
        "data": {"name": name},
        "encoding": {"y": size},
        "layer": layers,
    }
    unit = f" ({order.unit})" if order.unit != "1" else ""
    title = f"{phases.model}, {order.words}{unit} over ρ and the size of z_{depth}"
    return Chart(name, title, [name], spec)
