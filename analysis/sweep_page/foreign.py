"""The page of a table of any columns: answer, critical values, interactive curves."""

from dataclasses import replace

from analysis.charts.curves import against_control, thresholds_by_cell
from analysis.charts.foreign import curves_of_groups
from analysis.charts.layout import Overlay
from analysis.foreign import TableThresholds
from analysis.statistics.comparisons import UNDECIDED
from analysis.sweep_page.answers import MOST_ROWS, MOST_SENTENCES
from analysis.sweep_page.page import assets, page_data, swatch
from analysis.text.foreign import (
    COMPARISON_NOTE,
    comparison_sentence,
    heading,
    printed_comparisons,
    sentence,
)
from analysis.text.markup import environment


def render(thresholds: TableThresholds) -> str:
    """Return the page of a table's thresholds."""
    curves = curves_of_groups(thresholds)
    looks = [cell.look for cell in curves.shown if cell.look]
    trained = curves.drawn.tables["members"]["x"]
    layout = Overlay(
        looks,
        [cell.name for cell in curves.shown],
        len(curves.drawn.groups),
        (min(trained), max(trained)),
        curves.control,
    )
    against = against_control(curves.quantity, layout, curves.drawn)
    by_group = replace(
        thresholds_by_cell(curves.order, layout, curves.drawn), title=f"{curves.control.critical} by group"
    )
    comparisons = sorted(thresholds.comparisons.to_pylist(), key=lambda row: row["verdict"] == UNDECIDED)
    printed, compared = thresholds.table(), printed_comparisons(comparisons) if comparisons else None
    keys, names = len(thresholds.columns.by), [cell.name for cell in curves.cells]
    sentences = [sentence(row, name) for row, name in zip(thresholds.rows, thresholds.names, strict=True)]
    return (
        environment("analysis.sweep_page")
        .get_template("foreign.html.j2")
        .render(
            title=thresholds.name,
            control=thresholds.columns.control,
            value=thresholds.columns.value,
            is_log=thresholds.rule.scale.kind == "log",
            sentences=sentences[:MOST_SENTENCES],
            more_sentences=max(0, len(sentences) - MOST_SENTENCES),
            verdicts=[
                (comparison_sentence(row), row["verdict"] != UNDECIDED)
                for row in comparisons[:MOST_SENTENCES]
            ],
            notes=thresholds.notes[:MOST_ROWS],
            heading=heading(thresholds.rows),
            thresholds=[
                ["group", *printed.head[keys:]],
                *([name, *line[keys:]] for name, line in zip(names, printed.lines[:MOST_ROWS], strict=False)),
            ],
            more_thresholds=max(0, len(printed.lines) - MOST_ROWS),
            comparisons=[compared.head, *compared.lines[:MOST_ROWS]] if compared else [],
            more_comparisons=max(0, len(comparisons) - MOST_ROWS),
            comparison_note=COMPARISON_NOTE,
            by_group=by_group,
            curves=replace(against, title=thresholds.columns.value),
            legend=[(cell.name, swatch(cell.look)) for cell in curves.shown if cell.look],
            seed_groups=curves.drawn.groups,
            data=page_data(curves.shown, [by_group, against], curves.drawn),
            **assets(),
        )
    )
