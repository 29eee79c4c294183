"""The thresholds of the cells beside one another."""

from analysis.charts.chart import Chart
from analysis.charts.curves import NAME_TOLD, SEED_TOLD
from analysis.charts.data import Drawn
from analysis.charts.layout import Overlay
from analysis.charts.looks import BLACK, Spec
from ouvae.declared import OrderParameter

_ROW_HEIGHT = 20


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
    seeds = {
        "data": {"name": "seeds"},
        "transform": [{"filter": of_order}],
        "mark": {"type": "tick", "opacity": 0.45, "thickness": 1, "size": 11},
        "encoding": {
            "x": layout.x("rho_c"),
            "color": layout.colour(),
            "tooltip": [
                NAME_TOLD, SEED_TOLD,
                {"field": "low", "title": "above ρ", "format": ".4f"},
                {"field": "high", "title": "below ρ", "format": ".4f"},
            ],
        },
    }  # fmt: skip
    parts: list[Spec] = [
        {
            "transform": [{"filter": f"{of_order} && isValid(datum.rho_c)"}],
            "mark": {"type": "rule", "strokeWidth": 3, "strokeCap": "round"},
            "encoding": {"x": layout.x("low"), "x2": {"field": "high"}},
        },
        {
            "transform": [{"filter": f"{of_order} && isValid(datum.rho_c)"}],
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"x": layout.x("rho_c"), "shape": layout.shape()},
        },
        *(
            {
                "transform": [{"filter": f"{of_order} && isValid(datum.bound) && datum.side == '{side}'"}],
                "mark": {"type": "point", "shape": f"triangle-{way}", "size": 90, "strokeWidth": 2},
                "encoding": {"x": layout.x("bound")},
            }
            for side, way in (("above", "right"), ("below", "left"))
        ),
    ]
    for part in parts:
        part["data"] = {"name": "thresholds"}
        part["encoding"] |= {"color": layout.colour(), "tooltip": [{"field": "text", "title": " "}]}
    exact = {
        "data": {"name": "thresholds"},
        "transform": [{"filter": f"{of_order} && isValid(datum.exact)"}],
        "mark": {"type": "tick", "color": BLACK, "thickness": 2, "size": 16},
        "encoding": {
            "x": layout.x("exact"),
            "tooltip": [NAME_TOLD, {"field": "exact", "title": "exact ρ_c", "format": ".4f"}],
        },
    }
    spec = layout.base() | {
        "height": _ROW_HEIGHT * len(layout.names),
        "encoding": {"y": cell},
        "layer": [seeds, *parts, exact],
    }
    title = f"{order.words[:1].upper()}{order.words[1:]}: ρ_c by cell"
    tables = {name: drawn.tables[name] for name in ("thresholds", "seeds")}
    return Chart(f"thresholds-{order.name}", title, spec, tables)
