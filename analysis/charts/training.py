"""The top layer's KL during training."""

from collections.abc import Sequence

from analysis.charts.cells import ChartCell, cells_heading, short_names
from analysis.charts.chart import Chart
from analysis.charts.control import ControlNames, names_of
from analysis.charts.curves import MEMBER_TOLD, NAME_TOLD, SEED_TOLD
from analysis.charts.data import Columns, histories
from analysis.charts.layout import (
    COLUMNS,
    HEIGHT,
    LEVEL,
    PANEL_HEIGHT,
    Entry,
    Overlay,
    colour_bar,
    figure,
    has_none_below,
    layer,
    nominal,
    number,
    panel_width,
    titles,
    y_axis,
)
from analysis.charts.looks import BLACK, STYLES, VALUE_SCHEME, Spec
from analysis.text.words import estimate
from ouvae.declared.order_parameters import PAPERS

_SEEDS_BY_DASH = 4


def near_threshold(layout: Overlay, table: Columns) -> Chart:
    """Return the top layer's KL in training, of members near the critical value, cells over one another."""
    tooltip = [
        NAME_TOLD, layout.control.told(), SEED_TOLD,
        {"field": "step", "title": "step"},
        {"field": "kl_top_nats", "title": "top-layer KL (nats)", "format": ".4~g"},
        MEMBER_TOLD,
    ]  # fmt: skip
    dot: Spec = {"filled": True, "size": 22, "opacity": 0.8}
    layers = [
        layer("line", {"detail": {"field": "member"}}, strokeWidth=1.2, opacity=0.7),
        layer("point", {"shape": layout.shape(), "tooltip": tooltip}, **dot),
    ]
    spec = layout.base() | {
        "height": HEIGHT,
        "data": {"name": "training"},
        "transform": [{"filter": f"{layout.seen} && isValid(datum.kl_top_nats)"}],
        "encoding": {"x": _steps(True, 5), "y": _kl(None), "color": layout.colour()},
        "layer": layers,
    }
    title = f"Top-layer KL (nats) of members near {layout.control.critical}"
    return Chart("training", title, spec, {"training": table})


def _steps(labelled: bool, ticks: int) -> Spec:
    title = "optimizer step" if labelled else None
    return number("step", title=title, axis={"tickCount": ticks, "labels": labelled})


def _kl(title: str | None) -> Spec:
    return number("kl_top_nats", title=title)


def training(cells: Sequence[ChartCell]) -> Chart:
    """Return the top layer's KL against the step, a panel per cell.

    A member is a line with the colour of its value; up to four seeds differ in their dashes. The dotted level
    is the KL from which a member is active.
    """
    shown = [cell for cell in cells if cell.look is not None]
    control = names_of(cell.rows[0] for cell in cells)
    table = histories(cells)
    seeds = sorted(set(table.get("seed", [])))
    told_apart = 1 < len(seeds) <= _SEEDS_BY_DASH
    dashes = [list(look.dashes) for look in STYLES[: len(seeds)]] if told_apart else []
    width = panel_width(len(shown))
    above = titles(short_names(shown), [estimate(cell.rows[0]) for cell in shown], width)
    stacks = [
        [
            _panel(
                place, cell, control, table, width, lines, len(shown), dict(zip(seeds, dashes, strict=False))
            )
        ]
        for place, (cell, lines) in enumerate(zip(shown, above, strict=True))
    ]
    entries = [
        Entry(f"seed {seed}", {"color": BLACK, "strokeWidth": 0.8, "strokeDash": dash})
        for seed, dash in zip(seeds, dashes, strict=False)
    ]
    if any(_level(cell) is not None for cell in shown):
        entries.append(Entry("active from here", LEVEL))
    spec = figure(stacks, cells_heading(cells), entries)
    return Chart("training", "Top-layer KL in training", spec, {"history": table})


def _level(cell: ChartCell) -> float | None:
    """Return the KL from which a member of a cell is active; None where its run does not watch it."""
    return next((row["active_from"] for row in cell.rows if row["order_parameter"] == PAPERS), None)


def _panel(
    place: int,
    cell: ChartCell,
    control: ControlNames,
    table: Columns,
    width: float,
    lines: Sequence[str],
    panels: int,
    dashes: dict[int, list[float]],
) -> Spec:
    values, places, steps = (table.get(name, []) for name in ("kl_top_nats", "x", "step"))
    low, high = min([0.0, *values]), max([1e-3, *values])
    last = max([1, *steps])
    x, y = _steps(has_none_below(place, panels), 4), _kl("top-layer KL (nats)")
    x["scale"] = {"domain": [0, last], "nice": False}
    y["scale"] = {"domain": [low, high + 0.05 * (high - low)], "nice": False}
    lowest = min(places, default=1.0)
    scale = {"scheme": VALUE_SCHEME, "domain": [lowest, max([lowest + 1e-3, *places])]}
    scale |= {"type": "log"} if control.scale.kind == "log" else {}
    colour = number("x", title=control.title, scale=scale, legend=colour_bar(90))
    encoding = {"x": x, "y": y | y_axis(y["title"], place % COLUMNS == 0, tickCount=5)}
    marked: Spec = {"detail": {"field": "member"}, "color": colour}
    if dashes:
        marked["strokeDash"] = nominal("seed", dashes, list(dashes.values()))
    layers = [layer("line", marked, "history", f"datum.cell == {place}", strokeWidth=0.8)]
    if (level := _level(cell)) is not None:
        # Vega-Lite keeps the panel's field beside a datum, so the level is a field too.
        ends = {"x": {"value": 0}, "x2": {"value": "width"}, "y": {"field": "active_from"}}
        layers.insert(0, {"data": {"values": [{"active_from": level}]}} | layer("rule", ends, **LEVEL))
    if place not in table.get("cell", []):
        middle = {"x": {"value": width / 2}, "y": {"value": PANEL_HEIGHT / 2}}
        layers.append({"data": {"values": [{}]}} | layer("text", middle, text="no evaluations", fontSize=8))
    return {
        "title": {"text": list(lines), "anchor": "middle"},
        "width": width,
        "height": PANEL_HEIGHT,
        "encoding": encoding,
        "layer": layers,
    }
