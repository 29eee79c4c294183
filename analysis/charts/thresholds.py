"""The thresholds of the cells beside one another."""

from analysis.charts.chart import Chart
from analysis.charts.curves import NAME_TOLD, SEED_TOLD
from analysis.charts.data import Drawn
from analysis.charts.layout import Overlay, layer
from analysis.charts.looks import BLACK, Spec
from ouvae.declared import OrderParameter

_ROW_HEIGHT = 20
_SIDES = (("low", "above"), ("high", "below"))


def thresholds(order: OrderParameter, layout: Overlay, drawn: Drawn) -> Chart:
    """Return rho_c of each cell with its interval, and the thresholds of the seeds as ticks."""
    of_order = f"{layout.seen} && datum.order == '{order.name}'"
    cell = {
        "field": "name_short",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(layout.names)},
        "axis": {"labelLimit": 150, "grid": True},
    }
    low, high = ({"field": end, "title": f"{side} ρ", "format": ".4f"} for end, side in _SIDES)
    ticks = {"x": layout.x("rho_c"), "color": layout.colour(), "tooltip": [NAME_TOLD, SEED_TOLD, low, high]}
    seeds = layer("tick", ticks, "seeds", of_order, opacity=0.45, thickness=1, size=11)
    shared = {"color": layout.colour(), "tooltip": [{"field": "text", "title": " "}]}
    known = f"{of_order} && isValid(datum.rho_c)"
    ends = {"x": layout.x("low"), "x2": {"field": "high"}, **shared}
    dot = {"x": layout.x("rho_c"), "shape": layout.shape(), **shared}
    parts = [
        layer("rule", ends, "thresholds", known, strokeWidth=3, strokeCap="round"),
        layer("point", dot, "thresholds", known, filled=True, size=90, opacity=1),
    ]
    for side, way in (("above", "right"), ("below", "left")):
        bounded = f"{of_order} && isValid(datum.bound) && datum.side == '{side}'"
        look: Spec = {"shape": f"triangle-{way}", "size": 90, "strokeWidth": 2}
        parts.append(layer("point", {"x": layout.x("bound"), **shared}, "thresholds", bounded, **look))
    told = [NAME_TOLD, {"field": "exact", "title": "exact ρ_c", "format": ".4f"}]
    is_exact = f"{of_order} && isValid(datum.exact)"
    place = {"x": layout.x("exact"), "tooltip": told}
    exact = layer("tick", place, "thresholds", is_exact, color=BLACK, thickness=2, size=16)
    spec = layout.base() | {
        "height": _ROW_HEIGHT * len(layout.names),
        "encoding": {"y": cell},
        "layer": [seeds, *parts, exact],
    }
    title = f"{order.words[:1].upper()}{order.words[1:]}: ρ_c by cell"
    tables = {name: drawn.tables[name] for name in ("thresholds", "seeds")}
    return Chart(f"thresholds-{order.name}", title, spec, tables)
