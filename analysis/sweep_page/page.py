"""One HTML page of a sweep, or of several, that needs nothing but itself.

Styles, scripts and data are inside, every text is escaped, and a policy in its head forbids it to load
anything. Tables, answers and settings are HTML; the charts are drawn by Vega-Lite from one JSON, the element
`#data`: `{"cells": […], "tables": {name: {column: […]}}, "charts": [{"name", "tables", "spec"}]}`.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from analysis.sweep_page.answers import MOST_ROWS, answers, compared
from analysis.sweep_page.charts import Chart, Painter, dash_pixels
from analysis.sweep_page.columns import Columns, Drawn, Quantity, drawn_tables, quantities
from analysis.sweep_page.numbers import number_lines
from analysis.sweep_page.origin import origin_of, settings_of
from analysis.sweep_page.phases import map_chart, phases, size_chart
from analysis.sweep_page.scripts import vega
from analysis.sweep_page.sources import Look, PageCell, Source, page_cells
from analysis.text.lines import comparison_lines, comparison_note, threshold_lines, threshold_notes
from analysis.text.markup import environment
from analysis.text.words import common_words
from ouvae.declared import ORDER_PARAMETERS

_SYMBOLS = {
    "o": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "s": "M-3.5,-3.5h7v7h-7z",
    "^": "M0,-4.5L4.5,4H-4.5z",
    "D": "M0,-5L5,0L0,5L-5,0z",
    "v": "M0,4.5L4.5,-4H-4.5z",
    "x": "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
}
"""Paths of matplotlib's markers around the origin, as the charts have them."""


def render(sources: Sequence[Source]) -> str:
    """Return the page of some runs."""
    cells = page_cells(sources)
    shown = [cell for cell in cells if cell.look is not None]
    asked = quantities(cells)
    drawn = drawn_tables(cells, asked)
    groups, tables = _charts(shown, asked, drawn)
    comparisons = compared(cells)
    numbers = number_lines(cells)
    rows = [(cell.name, row) for cell in cells for row in cell.rows]
    names, thresholds = [name for name, _ in rows], [row for _, row in rows]
    charts = [chart for own in groups.values() for chart in own]
    page = environment("analysis.sweep_page").get_template("page.html.j2")
    return page.render(
        title=", ".join(dict.fromkeys(source.name for source in sources)),
        origins=[origin_of(source) for source in sources],
        answers=answers(cells, comparisons),
        thresholds=threshold_lines(thresholds, names)[: MOST_ROWS + 1],
        notes=threshold_notes(thresholds, names)[:MOST_ROWS],
        more_thresholds=max(0, len(rows) - MOST_ROWS),
        comparisons=comparison_lines(comparisons[:MOST_ROWS]) if comparisons else [],
        comparison_note=comparison_note(comparisons) if comparisons else "",
        more_comparisons=max(0, len(comparisons) - MOST_ROWS),
        numbers=numbers[: MOST_ROWS + 1],
        more_numbers=max(0, len(numbers) - 1 - MOST_ROWS),
        settings=settings_of(cells),
        most_rows=MOST_ROWS,
        cells=cells,
        legend=[(cell.name, swatch(cell.look)) for cell in shown if cell.look],
        seed_groups=drawn.groups,
        drawn=drawn,
        charts=groups,
        data={
            "cells": [
                {"name": cell.name, "short": short} for cell, short in zip(shown, _short(shown), strict=True)
            ],
            "tables": tables,
            "charts": [{"name": one.name, "tables": one.tables, "spec": one.spec} for one in charts],
        },
        css=_own("page.css"),
        js=_own("page.js"),
        vega=Markup(vega()),  # noqa: S704 (a library's scripts)
    )


def _own(name: str) -> Markup:
    """Return the text of a file of this package, which is not escaped."""
    return Markup(files("analysis.sweep_page").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def _short(cells: Sequence[PageCell]) -> list[str]:
    """Return the names of cells without the words that all of them begin with."""
    names = [cell.name for cell in cells]
    shared = common_words(names)
    return [name.removeprefix(shared).strip() for name in names]


def _charts(
    shown: Sequence[PageCell], asked: Sequence[Quantity], drawn: Drawn
) -> tuple[dict[str, list[Chart]], dict[str, Columns]]:
    """Return the charts by the section that they are in, and the tables that they draw."""
    tables = dict(drawn.tables)
    rhos = tables["members"]["rho"]
    painter = Painter(
        [cell.look for cell in shown if cell.look],
        _short(shown),
        len(drawn.groups),
        (min(rhos), max(rhos)),
    )
    present = [one for one in asked if any(value is not None for value in tables["members"][one.name])]
    orders = list(dict.fromkeys(row["order_parameter"] for cell in shown for row in cell.rows))
    groups: dict[str, list[Chart]] = {
        "thresholds": [painter.thresholds(ORDER_PARAMETERS[name]) for name in orders],
        "curves": [painter.against_rho(one) for one in present if one.order],
        "layers": [painter.against_rho(one) for one in present if one.metric == "kl_nats"],
        "elbo": [painter.against_rho(one) for one in present if one.metric == "elbo_nats"],
        "units": [painter.against_rho(one) for one in present if one.metric == "active_units" and one.layer],
        "phases": [],
        "training": [painter.training()] if tables["training"] else [],
    }
    order = ORDER_PARAMETERS[orders[0]]
    diagrams = phases(shown, order, tables)
    values = [value for one in diagrams for own in one.maps.values() for value in own["value"]]
    highest = max([order.active_from, *values])
    for place, one in enumerate(diagrams):
        own = [(size_chart(painter, place, one), one.sizes)]
        own += [
            (map_chart(painter, place, depth, one, order, highest), one.maps[depth]) for depth in one.maps
        ]
        tables |= {chart.name: table for chart, table in own}
        groups["phases"] += [chart for chart, _ in own]
    used = {"members", *(name for own in groups.values() for chart in own for name in chart.tables)}
    return groups, {name: table for name, table in tables.items() if name in used}


def swatch(look: Look) -> dict[str, Any]:
    """Return what the legend draws of a cell: colour, dashes in pixels, and the path of its marker."""
    return {
        "colour": look.colour,
        "dashes": " ".join(f"{length:g}" for length in dash_pixels(look.dashes)),
        "path": _SYMBOLS[look.marker],
    }
