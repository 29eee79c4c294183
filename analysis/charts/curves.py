"""Quantities against the control parameter: members, curves of seeds, their mean; and the critical values."""

from collections.abc import Iterator, Sequence

from analysis.charts.cells import ChartCell, cells_heading, short_names
from analysis.charts.chart import Chart
from analysis.charts.control import ControlNames, names_of
from analysis.charts.data import Drawn, Quantity, drawn_tables, order_quantities
from analysis.charts.layout import (
    COLUMNS,
    HEIGHT,
    LEVEL,
    PANEL_COLOURS,
    PANEL_HEIGHT,
    Entry,
    Overlay,
    Panel,
    figure,
    has_none_below,
    layer,
    number,
    panel_width,
    titles,
    y_axis,
)
from analysis.charts.looks import BLACK, GREY, Spec
from analysis.tables.schema import LOST
from analysis.text.words import interval_kind
from ouvae.declared import OrderParameter

NAME_TOLD = {"field": "name", "title": "cell"}
SEED_TOLD = {"field": "seed", "title": "seed"}
MEMBER_TOLD = {"field": "member", "title": "member"}

_ROW_HEIGHT = 20
_SIDES = (("low", "above"), ("high", "below"))
_CROSS = "M-1,-1L1,1M1,-1L-1,1"
_DOTS = [1.5, 2.5]


def against_control(quantity: Quantity, layout: Overlay, drawn: Drawn) -> Chart:
    """Return a quantity against the control parameter, cells over one another."""
    y = {
        "field": quantity.name,
        "type": "quantitative",
        "title": None,
        "scale": {"zero": quantity.metric != "elbo_nats"},
        "axis": {"tickMinStep": 1} if quantity.metric == "active_units" else {},
    }
    spec = layout.base() | {
        "height": HEIGHT,
        "encoding": {"x": layout.x("x")},
        "layer": _layers(quantity, layout, y),
    }
    names = ["members", f"mean-{quantity.name}", *["thresholds"] * (quantity.order is not None)]
    tables = {name: drawn.tables[name] for name in names}
    return Chart(f"curve-{quantity.name}", quantity.title, spec, tables)


def thresholds_by_cell(order: OrderParameter, layout: Overlay, drawn: Drawn) -> Chart:
    """Return the critical value of each cell with its interval, and the thresholds of the seeds as ticks."""
    of_order = f"{layout.seen} && datum.order == '{order.name}'"
    cell = {
        "field": "name_short",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(layout.names)},
        "axis": {"labelLimit": 150, "grid": True},
    }
    control = layout.control
    low, high = (
        {"field": end, "title": f"{side} {control.symbol}", "format": control.digits} for end, side in _SIDES
    )
    ticks = {
        "x": layout.x("critical_value"),
        "color": layout.colour(),
        "tooltip": [NAME_TOLD, SEED_TOLD, low, high],
    }
    seeds = layer("tick", ticks, "seeds", of_order, opacity=0.45, thickness=1, size=11)
    shared = {"color": layout.colour(), "tooltip": [{"field": "text", "title": " "}]}
    has_estimate = f"{of_order} && isValid(datum.critical_value)"
    ends = {"x": layout.x("low"), "x2": {"field": "high"}, **shared}
    dot = {"x": layout.x("critical_value"), "shape": layout.shape(), **shared}
    parts = [
        layer("rule", ends, "thresholds", has_estimate, strokeWidth=3, strokeCap="round"),
        layer("point", dot, "thresholds", has_estimate, filled=True, size=90, opacity=1),
    ]
    for side, way in (("above", "right"), ("below", "left")):
        bounded = f"{of_order} && isValid(datum.bound) && datum.side == '{side}'"
        look: Spec = {"shape": f"triangle-{way}", "size": 90, "strokeWidth": 2}
        parts.append(layer("point", {"x": layout.x("bound"), **shared}, "thresholds", bounded, **look))
    exact_tooltip = [NAME_TOLD, control.told("exact") | {"title": f"exact {control.critical}"}]
    is_exact = f"{of_order} && isValid(datum.exact)"
    place = {"x": layout.x("exact"), "tooltip": exact_tooltip}
    exact = layer("tick", place, "thresholds", is_exact, color=BLACK, thickness=2, size=16)
    spec = layout.base() | {
        "height": _ROW_HEIGHT * len(layout.names),
        "encoding": {"y": cell},
        "layer": [seeds, *parts, exact],
    }
    title = f"{order.words[:1].upper()}{order.words[1:]}: {control.critical} by cell"
    tables = {name: drawn.tables[name] for name in ("thresholds", "seeds")}
    return Chart(f"thresholds-{order.name}", title, spec, tables)


def order_parameters(cells: Sequence[ChartCell]) -> Chart:
    """Return the order parameters against the control parameter: a stack of panels per cell.

    All cells watch the same order parameters. Seeds are thin lines, their mean is the bold one, probes are
    dots; the critical value is an upright with its interval as a band, an exact one is dashed. The shade
    around an estimate lies between the means of its bounds. Members without a value stand at the upper edge:
    diverged ones as crosses, failed ones as squares.
    """
    quantities = order_quantities(cells)
    control = names_of(cell.rows[0] for cell in cells)
    drawn = drawn_tables(cells, quantities, control)
    shown = [cell for cell in cells if cell.look is not None]
    return transitions(cells, quantities, drawn, _heading(cells, shown, drawn), control)


def transitions(
    cells: Sequence[ChartCell],
    quantities: Sequence[Quantity],
    drawn: Drawn,
    heading: str,
    control: ControlNames,
) -> Chart:
    """Return the quantities against a control parameter: a stack of panels a cell, one panel a quantity."""
    shown = [cell for cell in cells if cell.look is not None]
    members = drawn.tables["members"]
    trained = min(members["x"]), max(members["x"])
    width = panel_width(len(shown))
    lost = [status for status in LOST if status in members["status"]]
    stacks: list[list[Spec]] = [[] for _ in shown]
    for level, quantity in enumerate(quantities):
        y = {"field": quantity.name, "type": "quantitative", "scale": _scale(quantity, drawn, bool(lost))}
        rows = [cell.rows[level] for cell in shown]
        estimates = [control.estimate(row) for row in rows]
        above = titles(short_names(shown), estimates, width) if level == 0 else [[text] for text in estimates]
        for place, (stack, lines) in enumerate(zip(stacks, above, strict=True)):
            lowest = level == len(quantities) - 1 and has_none_below(place, len(shown))
            layout = Panel(place, trained, control, lowest)
            axis = y_axis(quantity.label, place % COLUMNS == 0, tickCount=5)
            stack.append(
                {
                    "title": {"text": lines, "anchor": "middle"},
                    "width": width,
                    "height": PANEL_HEIGHT,
                    "encoding": {"x": layout.x("x")},
                    "layer": _layers(quantity, layout, y | axis),
                }
            )
    spec = figure(stacks, heading, [*_entries(cells, drawn, quantities, lost, control)])
    return Chart("order_parameters", f"Order parameters against {control.symbol}", spec, drawn.tables)


def _heading(cells: Sequence[ChartCell], shown: Sequence[ChartCell], drawn: Drawn) -> str:
    """Return what the cells have in common, and what is left out."""
    text = cells_heading(cells)
    if len(shown) < len(cells) or drawn.drawn == drawn.members:
        return text
    return f"{text}, {drawn.drawn:,} of {drawn.members:,} members"


def _scale(quantity: Quantity, drawn: Drawn, has_lost: bool) -> Spec:
    """Return the scale of a panel's vertical axis, the same in all panels of a quantity."""
    tables = [drawn.tables["members"][quantity.name]]
    tables += [drawn.tables[f"mean-{quantity.name}"].get(name, []) for name in ("value", "upper", "lower")]
    values = [value for column in tables for value in column if value is not None]
    low, high = min([0.0, *values]), max([quantity.order.active_from if quantity.order else 1.0, *values])
    margin = 0.05 * (high - low)
    return {"domain": [low - margin, high + margin * (3 if has_lost else 1)], "nice": False}


def _entries(
    cells: Sequence[ChartCell],
    drawn: Drawn,
    quantities: Sequence[Quantity],
    lost: Sequence[str],
    control: ControlNames,
) -> Iterator[Entry]:
    """Yield the legend's entries of what the panels show."""
    curve, thresholds = drawn.tables["members"]["curve"], drawn.tables["thresholds"]
    if any(curve):
        dot = {"color": PANEL_COLOURS["seed"], "size": 6, "filled": True, "opacity": 1}
        yield Entry("one seed", {"color": PANEL_COLOURS["seed"], "strokeWidth": 0.7}, dot)
    if not all(curve):
        dot = {"color": PANEL_COLOURS["probe"], "size": 6, "filled": True, "opacity": 0.7}
        yield Entry("probes", point=dot)
    yield Entry("mean of seeds", {"color": PANEL_COLOURS["mean"], "strokeWidth": 1.8})
    if any(value is not None for value in thresholds["critical_value"]):
        yield Entry(control.critical, {"color": PANEL_COLOURS["critical_value"], "strokeWidth": 1.1})
        kind = interval_kind([row for cell in cells for row in cell.rows])
        yield Entry(kind, band={"color": PANEL_COLOURS["critical_value"], "opacity": 0.2})
    bounds = [drawn.tables[f"mean-{quantity.name}"].get("lower", []) for quantity in quantities]
    if any(value is not None for column in bounds for value in column):
        yield Entry("bounds of the estimate", band={"color": PANEL_COLOURS["mean"], "opacity": 0.15})
    if any(value is not None for value in thresholds["exact"]):
        yield Entry(f"{control.critical} exact", {"color": BLACK, "strokeWidth": 1, "strokeDash": [4, 2]})
    yield Entry("active from here", LEVEL)
    for status in lost:
        shape = _CROSS if status == "diverged" else "square"
        yield Entry(status, point={"shape": shape, "color": BLACK, "size": 16, "strokeWidth": 1})


def _layers(quantity: Quantity, layout: Overlay | Panel, y: Spec) -> list[Spec]:
    """Return the marks of a quantity from back to front."""
    order, name, sizes = quantity.order, quantity.name, layout.sizes
    bounds = order.bounds if order else None
    tooltip = [
        NAME_TOLD, _value_told(layout), SEED_TOLD,
        {"field": name, "title": quantity.title, "format": ".4~g"},
        *({"field": bound, "title": bound.replace("_", " "), "format": ".4~g"} for bound in bounds or ()),
        MEMBER_TOLD,
    ]  # fmt: skip
    is_there = f"{layout.seen_seed} && isValid(datum['{name}'])"
    mean, told_y = f"mean-{name}", {"y": y, "color": layout.colour("member"), "shape": layout.shape()}
    ends = {"y": number("lower"), "y2": {"field": "upper"}, "color": layout.colour("mean")}
    between = [layer("area", ends, mean, layout.seen, opacity=0.15)] if bounds else []
    thin = {"y": y, "detail": {"field": "seed"}, "color": layout.colour("seed")}
    look: Spec = {"strokeWidth": sizes["seed"], "opacity": sizes["opacity"]}
    seed_line = layer("line", thin, "members", f"{is_there} && datum.curve", **look)
    dot: Spec = {"filled": True, "size": sizes["point"], "opacity": 0.75}
    members = layer("point", told_y | {"tooltip": tooltip}, "members", is_there, **dot)
    line = {"y": number("value"), "color": layout.colour("mean"), "strokeDash": layout.dash()}
    bold = layer("line", line, mean, layout.seen, strokeWidth=sizes["mean"])
    level, upright = _thresholds(order, layout) if order else ([], [])
    lost = _lost(layout) if order else []
    if isinstance(layout, Panel):
        return [*level, *between, bold, seed_line, members, *upright, *lost]
    return [*level, *upright, *between, seed_line, members, bold, *lost]


def _value_told(layout: Overlay | Panel) -> Spec:
    """Return the line of a tooltip with a member's value of the control parameter."""
    return layout.control.told()


def _thresholds(order: OrderParameter, layout: Overlay | Panel) -> tuple[list[Spec], list[Spec]]:
    """Return the marks of the level of activity and of the critical value, in a panel with its interval."""
    of_order = f"{layout.seen} && datum.order == '{order.name}'"
    has_estimate = f"{of_order} && isValid(datum.critical_value)"
    table, colour, x = (
        "thresholds",
        {"color": layout.colour("critical_value")},
        {"x": layout.x("critical_value")},
    )
    across = {"x": {"value": 0}, "x2": {"value": "width"}, "y": number("active_from")}
    width = 0.6 if isinstance(layout, Panel) else 1
    level = layer("rule", across, table, of_order, color=GREY, strokeDash=_DOTS, strokeWidth=width)
    if isinstance(layout, Overlay):
        tooltip = {"tooltip": [{"field": "text", "title": " "}]}
        look: Spec = {"strokeWidth": 1.2, "strokeDash": [4, 3], "opacity": 0.8}
        return [level], [layer("rule", x | colour | tooltip, table, has_estimate, **look)]
    ends = {"x": layout.x("low"), "x2": {"field": "high"}}
    interval = layer("rect", ends | colour, table, has_estimate, opacity=0.2)
    upright = layer("rule", x | colour, table, has_estimate, strokeWidth=1.1)
    is_exact = f"{of_order} && isValid(datum.exact)"
    dashed: Spec = {"strokeWidth": 1, "strokeDash": [4, 2]}
    exact = layer("rule", {"x": layout.x("exact")}, table, is_exact, color=BLACK, **dashed)
    return [level, interval], [upright, exact]


def _lost(layout: Overlay | Panel) -> list[Spec]:
    """Return the members without numbers, at the upper edge of the order parameters."""
    shape = {"condition": {"test": "datum.status == 'failed'", "value": "square"}, "value": _CROSS}
    tooltip = [NAME_TOLD, _value_told(layout), SEED_TOLD, {"field": "status", "title": "status"}, MEMBER_TOLD]
    encoding = {"y": {"value": 5}, "color": layout.colour("lost"), "shape": shape, "tooltip": tooltip}
    where = f"{layout.seen_seed} && datum.status != 'completed'"
    look: Spec = {"filled": False, "size": layout.sizes["lost"], "strokeWidth": 1.2}
    return [layer("point", encoding, "members", where, **look)]
