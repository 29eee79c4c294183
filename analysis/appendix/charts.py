"""The charts of the appendix: tables as dots, transitions as curves, and what all of them share."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.appendix.compare import published_value, replicates, shown_rows
from analysis.appendix.published import PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.appendix.transitions import sizes
from analysis.charts.chart import Chart
from analysis.charts.control import names_of
from analysis.charts.data import columns_of
from analysis.charts.layout import (
    Entry,
    control_axis,
    figure,
    layer,
    legend,
    line_entry,
    nominal,
    number,
    y_axis,
)
from analysis.charts.looks import BLUE, STYLES, VERMILLION, Look, Spec
from analysis.statistics.curves import curves, mean_curve, trained_range
from analysis.statistics.intervals import Interval, student
from analysis.tables.schema import Row
from analysis.text.words import STATUS, ends_within
from ouvae.declared.controls import RHO

TRANSITIONS_CAPTION = (
    "Ours: thin lines are seeds, bold lines their means; marks above are ρ_c with its interval."
)

_SMOOTHING = names_of([{"control": RHO, "scale": "linear"}])

_WIDTH = 150


def look_of(index: int) -> Look:
    """Return a look, which repeat after the last."""
    return STYLES[index % len(STYLES)]


def by_look(**channels: str) -> Spec:
    """Return encodings of the field `look`, an index of `STYLES`, by channel: a trait of looks."""
    return {
        channel: nominal("look", range(len(STYLES)), [getattr(look, trait) for look in STYLES])
        for channel, trait in channels.items()
    }


def rows_axis(labels: Sequence[str], leftmost: bool) -> Spec:
    """Return a vertical axis on which row 0 is on top, with labels in the leftmost panel only."""
    return {
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [len(labels) - 0.5, -0.5], "nice": False, "zero": False},
        "axis": {
            "values": list(range(len(labels))),
            "labelExpr": f"{json.dumps(list(labels))}[datum.value]",
            "labels": leftmost,
            "labelLimit": 0,
            "ticks": False,
            "grid": True,
            "gridColor": "#d8d8d8",
            "gridWidth": 0.5,
        },
    }


def intervals(
    data: str, where: str, y: Spec, x: Spec, colours: Spec, shapes: Spec, clip: bool = False, **point: Any
) -> list[Spec]:
    """Return rows with the fields `value`, `low` and `high` at `place` as dots with bars.

    Rows are of the table `data`, where `where` holds; `clip` leaves out what lies beyond the axis.
    """
    y, x = {"field": "place", **y}, {"type": "quantitative", **x}
    ends = {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": y, **colours}
    middle = {"x": {"field": "value", **x}, "y": y, **colours, **shapes}
    has_ends = f"{where} && isValid(datum.low) && isValid(datum.high)"
    dot: Spec = {"filled": True, "opacity": 1, "size": 20, "clip": clip, **point}
    return [
        layer("rule", ends, data, has_ends, strokeWidth=1.2, clip=clip),
        layer("point", middle, data, where, **dot),
    ]


@dataclass(frozen=True)
class Panel:
    """A panel: the key of a column, its label, and how many entries from the top layer are added."""

    column: str
    label: str
    entries: int = 1


def plot_table(table: PublishedTable, shown: Sequence[Panel], run: PaperRun) -> Chart:
    """Return a table's numbers, ours as dots with intervals and the published ones as hollow diamonds."""
    rows = shown_rows(table, run.rows)
    labels = [row.label for row in rows]
    published, ours = [], []
    for index, panel in enumerate(shown):
        for place, row in enumerate(rows):
            if (value := _published(table, row, panel)) is not None:
                published.append({"panel": index, "place": place - 0.16, "value": value})
            if (mean := _ours(table, row, panel, run.rows)) is not None:
                ends = {"low": mean.low, "high": mean.high}
                ours.append({"panel": index, "place": place + 0.16, "value": mean.mean, **ends})
    diamond: Spec = {
        "shape": "diamond",
        "color": VERMILLION,
        "fill": "white",
        "strokeWidth": 1.1,
        "opacity": 1,
    }
    stacks = []
    for index, panel in enumerate(shown):
        y = rows_axis(labels, index == 0)
        x = {"title": panel.label, "scale": {"zero": False, "padding": 6}, "axis": {"tickCount": 4}}
        where = f"datum.panel == {index}"
        marks = intervals("ours", where, y, x, {"color": {"value": BLUE}}, {})
        places = {"x": number("value", **x), "y": {"field": "place", **y}}
        marks.append(layer("point", places, "published", where, size=24, **diamond))
        stacks.append([{"width": _WIDTH, "height": 19 * len(labels), "layer": marks}])
    entries = [
        *([Entry("published", point={"size": 24, **diamond})] if published else []),
        *([_ours_entry(any(row["low"] is not None for row in ours))] if ours else []),
    ]
    data = {"ours": columns_of(ours), "published": columns_of(published)}
    return Chart(run.name, table.budget, figure(stacks, "", entries), data)


def _ours_entry(has_intervals: bool) -> Entry:
    dot: Spec = {"color": BLUE, "size": 20, "filled": True, "opacity": 1}
    if not has_intervals:
        return Entry("ours", point=dot)
    return Entry("ours, with 95 % interval", {"color": BLUE, "strokeWidth": 1.2}, dot)


def _published(table: PublishedTable, row: PublishedRow, panel: Panel) -> float | None:
    value = published_value(table, row, table.column(panel.column))
    return float(sum(value[: panel.entries])) if isinstance(value, tuple) else value


def _ours(table: PublishedTable, row: PublishedRow, panel: Panel, rows: Sequence[Row]) -> Interval | None:
    column = table.column(panel.column)
    ours = {key: sum(numbers[: panel.entries]) for key, numbers in replicates(rows, row, column).items()}
    if column.ratio:
        base = replicates(rows, table.row(row.baseline), column)
        ours = {key: value / base[key][0] for key, value in ours.items() if key in base}
    return student(list(ours.values()))


def plot_transitions(run: PaperRun, panel: str) -> Chart | None:
    """Return top-layer KL against rho, a panel a value of the column `panel`, a curve a latent size.

    Seeds are thin lines, their mean the bold one. Above the curves stands each cell's rho_c with its
    interval, or its status where it has none. None where the run does not watch the top-layer KL.
    """
    rows = run.thresholds
    if not rows:
        return None
    by_cell = curves(run.members)
    values = sorted({row[panel] for row in rows}, key=lambda value: (value == "conv", value))
    most = max(Counter(row[panel] for row in rows).values())
    widths = sorted({row["latents"][0] for row in rows}) if panel == "depth" else []
    kls = [kl for seeds in by_cell.values() for _, kl in seeds.values() if kl.size]
    highest = max((float(kl.max()) for kl in kls), default=1.0)
    rhos = [end for seeds in by_cell.values() if seeds for end in trained_range(seeds)]
    seed_rows, means, thresholds = [], [], []
    stacks = []
    for index, value in enumerate(values):
        cells = sorted((row for row in rows if row[panel] == value), key=lambda row: sum(row["latents"]))
        entries = []
        for place, row in enumerate(cells):
            look = widths.index(row["latents"][0]) if widths else place
            head = {"panel": index, "cell": place, "look": look % len(STYLES)}
            seeds = by_cell[row["cell_id"]]
            for seed, curve in seeds.items():
                points = zip(*(array.tolist() for array in curve), strict=True)
                seed_rows += [{**head, "seed": f"{place} {seed}", "rho": rho, "kl": kl} for rho, kl in points]
            points = zip(*(array.tolist() for array in mean_curve(seeds)), strict=True)
            means += [{**head, "rho": rho, "kl": kl} for rho, kl in points]
            status = "" if row["critical_value"] is not None else f" ({STATUS[row['status']]})"
            entries.append(line_entry(sizes(row) + status, look_of(look)))
            if row["critical_value"] is not None:
                low, high = ends_within(row, trained_range(seeds))
                height = highest * (1.1 + 0.06 * (most - place - 0.5))
                thresholds.append(
                    {**head, "rho": row["critical_value"], "low": low, "high": high, "kl": height}
                )
        scale = {"domain": [-0.03 * highest, highest * (1.1 + 0.06 * most)], "nice": False}
        title = f"{value} layers" if panel == "depth" else str(value)
        axis = y_axis("top-layer KL (nats)", index == 0, tickCount=5)
        y = {"field": "kl", "type": "quantitative", "scale": scale} | axis
        stacks.append(
            [
                {
                    "title": {"text": title},
                    "width": _WIDTH,
                    "height": 130 + 8 * most,
                    "encoding": {"y": y, **by_look(color="colour")},
                    "layer": _transition_layers(index, (min(rhos), max(rhos))),
                },
                legend(entries, _WIDTH),
            ]
        )
    data = {"seeds": columns_of(seed_rows), "means": columns_of(means), "thresholds": columns_of(thresholds)}
    heading = "marks above the curves: ρ_c with its interval"
    return Chart(run.name, heading, figure(stacks, heading, []), data)


def _transition_layers(panel: int, rho: tuple[float, float]) -> list[Spec]:
    """Return the marks of one panel: seeds, means, and thresholds above them."""
    x, shape = control_axis("rho", rho, _SMOOTHING), by_look(shape="shape")
    dash = by_look(strokeDash="dashes")
    where = f"datum.panel == {panel}"
    dot: Spec = {"filled": True, "opacity": 1}
    ends = {"x": control_axis("low", rho, _SMOOTHING), "x2": {"field": "high"}}
    seed, cell = {"x": x, "detail": {"field": "seed"}}, {"x": x, "detail": {"field": "cell"}, **dash}
    return [
        layer("line", seed, "seeds", where, strokeWidth=0.5, opacity=0.5),
        layer("line", cell, "means", where, strokeWidth=1.5),
        layer("point", {"x": x, **shape}, "means", where, size=12, **dot),
        layer("rule", ends, "thresholds", where, strokeWidth=1.1),
        layer("point", {"x": x, **shape}, "thresholds", where, size=18, **dot),
    ]
