"""One HTML page of a sweep, or of several, that needs nothing but itself.

Styles, scripts and data are inside, every text is escaped, and a policy in its head forbids it to load
anything. Tables, answers and settings are HTML; the charts are drawn by Vega-Lite from one JSON, the element
`#data`: `{"cells": […], "tables": {name: {column: […]}}, "charts": [{"name", "tables", "spec"}]}`.
"""

from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from analysis.charts.cells import ChartCell, chart_cells, short_names
from analysis.charts.chart import Chart
from analysis.charts.control import ControlNames, names_of
from analysis.charts.curves import against_control, thresholds_by_cell
from analysis.charts.data import Drawn, Quantity, drawn_tables, near_histories, quantities
from analysis.charts.layout import Overlay
from analysis.charts.looks import SHAPES, Look
from analysis.charts.phases import map_chart, phases, size_chart
from analysis.charts.render import vega
from analysis.charts.sheets import sheet_of
from analysis.charts.training import near_threshold
from analysis.results import Results
from analysis.sweep_page.answers import MOST_ROWS, answers, compared
from analysis.sweep_page.numbers import number_lines
from analysis.sweep_page.origin import origin_of, settings_of
from analysis.text.lines import comparison_lines, comparison_note, threshold_lines, threshold_notes
from analysis.text.markup import environment, indexed


def render(runs: Sequence[Results]) -> str:
    """Return the page of some runs."""
    cells = chart_cells(runs)
    shown = [cell for cell in cells if cell.look is not None]
    drawn_quantities = quantities(cells)
    control = names_of(cell.rows[0] for cell in cells)
    drawn = drawn_tables(cells, drawn_quantities, control)
    groups = _charts(shown, drawn_quantities, drawn, control)
    comparisons = compared(cells)
    numbers = number_lines(cells, control)
    rows = [(cell.name, row) for cell in cells for row in cell.rows]
    names, thresholds = [name for name, _ in rows], [row for _, row in rows]
    charts = [chart for group in groups.values() for chart in group]
    page = environment("analysis.sweep_page").get_template("page.html.j2")
    run_names = names_of_runs(runs)
    questions: dict[str, list[str]] = {}
    for results, name in zip(runs, run_names, strict=True):
        questions.setdefault(str(results.settings.get("question") or ""), []).append(name)
    return page.render(
        title=", ".join(run_names),
        questions=questions,
        origins=[origin_of(*run) for run in zip(runs, run_names, strict=True)],
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
        control=control,
        critical=indexed(control.critical),
        legend=[(cell.name, swatch(cell.look)) for cell in shown if cell.look],
        seed_groups=drawn.groups,
        drawn=drawn,
        charts=groups,
        sheets=[sheet for cell in shown if (sheet := sheet_of(cell)) is not None],
        unreadable_sheets=[text for results in runs for text in results.sheet_problems.values()],
        data=page_data(shown, charts, drawn),
        **assets(),
    )


def page_data(shown: Sequence[ChartCell], charts: Sequence[Chart], drawn: Drawn) -> dict[str, Any]:
    """Return the one JSON of a page: names of the cells that are drawn, tables, and charts."""
    tables = {"members": drawn.tables["members"]}
    for chart in charts:
        tables |= chart.tables
    names = zip(shown, short_names(shown), strict=True)
    return {
        "cells": [{"name": cell.name, "short": short} for cell, short in names],
        "tables": tables,
        "charts": [
            {"name": chart.name, "tables": list(chart.tables), "spec": chart.spec} for chart in charts
        ],
    }


def assets() -> dict[str, Markup]:
    """Return the styles and scripts of a page by their names in `base.html.j2`; they are not escaped."""
    vega_script = Markup(vega())  # noqa: S704 (a library's scripts)
    return {"css": _file("page.css"), "js": _file("page.js"), "vega": vega_script}


def names_of_runs(runs: Sequence[Results]) -> list[str]:
    """Return the names of the runs' spaces, with their folders where several runs have the same."""
    counts = Counter(results.name for results in runs)
    return [
        results.name if counts[results.name] == 1 else f"{results.name} in {results.folder.name}"
        for results in runs
    ]


def _file(name: str) -> Markup:
    """Return the text of a file of this package."""
    return Markup(files("analysis.sweep_page").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def _charts(
    shown: Sequence[ChartCell], drawn_quantities: Sequence[Quantity], drawn: Drawn, control: ControlNames
) -> dict[str, list[Chart]]:
    """Return the charts by the section that they are in."""
    members = drawn.tables["members"]
    looks = [cell.look for cell in shown if cell.look]
    trained = min(members["x"]), max(members["x"])
    layout = Overlay(looks, short_names(shown), len(drawn.groups), trained, control)
    drawable = [
        quantity
        for quantity in drawn_quantities
        if any(value is not None for value in members[quantity.name])
    ]

    def curves(*metrics: str) -> list[Chart]:
        return [
            against_control(quantity, layout, drawn) for quantity in drawable if quantity.metric in metrics
        ]

    orders = [quantity.order for quantity in drawn_quantities if quantity.order]
    diagrams = phases(shown, orders[0], drawn.tables, control)
    highest = max([orders[0].active_from, *(diagram.highest for diagram in diagrams)])
    return {
        "thresholds": [thresholds_by_cell(order, layout, drawn) for order in orders],
        "curves": curves(*(order.metric for order in orders)),
        "layers": curves("kl_nats"),
        "elbo": curves("elbo_nats"),
        "units": curves("active_units"),
        "phases": [
            chart
            for place, diagram in enumerate(diagrams)
            for chart in (
                size_chart(layout, place, diagram),
                *(map_chart(layout, place, depth, diagram, orders[0], highest) for depth in diagram.maps),
            )
        ],
        "training": [near_threshold(layout, near)] if (near := near_histories(shown)) else [],
    }


def swatch(look: Look) -> dict[str, Any]:
    """Return what the legend draws of a cell: colour, dashes in pixels, and the path of its marker."""
    return {
        "colour": look.colour,
        "dashes": " ".join(f"{length:g}" for length in look.dashes),
        "path": SHAPES[look.shape],
    }
