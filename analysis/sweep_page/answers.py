"""The answer of a sweep in words: where thresholds lie, and which comparisons are decided."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

from analysis.charts.cells import ChartCell, chart_cells, short_names
from analysis.results import Results
from analysis.statistics.comparisons import UNDECIDED
from analysis.tables.schema import Row
from analysis.text.words import comparison_sentence, estimate, threshold_sentence
from ouvae.declared import ORDER_PARAMETERS, OrderParameter
from ouvae.declared.order_parameters import PAPERS

MOST_SENTENCES = 12
"""Sentences about the cells, and about the comparisons, of an order parameter; tables say the rest."""

MOST_ROWS = 150
"""Rows of a table."""


@dataclass(frozen=True)
class Answer:
    """What a sweep says by one order parameter, in sentences; a comparison has whether it is decided.

    `counts` says how many comparisons are decided; it is empty without any. `more_cells` and
    `more_comparisons` count those without a sentence.
    """

    order: OrderParameter
    thresholds: Sequence[str]
    comparisons: Sequence[tuple[str, bool]]
    remarks: Sequence[str]
    counts: str
    more_cells: int
    more_comparisons: int


def compared(cells: Sequence[ChartCell]) -> list[Row]:
    """Return the comparisons within and between runs, with the page's names of cells; decided ones first.

    Runs that share members are not compared: what they say is not independent.
    """
    names = {(id(cell.results), cell.cell_id): cell.name for cell in cells}
    runs = list({id(cell.results): cell.results for cell in cells}.values())
    rows: list[Row] = []
    for first, second in combinations_with_replacement(runs, 2):
        if first is second:
            table = first.comparisons
        elif first.shared_members(second):
            continue
        else:
            table = first.summary.comparisons_with(second.members)
        for row in table.to_pylist():
            ends = {"first_cell": names[id(first), row["first_cell_id"]]}
            ends["second_cell"] = names[id(second), row["second_cell_id"]]
            rows.append(row | ends)
    return sorted(rows, key=lambda row: bool(row["verdict"] == UNDECIDED))


def answers(cells: Sequence[ChartCell], comparisons: Sequence[Row]) -> list[Answer]:
    """Return the answers by each order parameter that the runs watch."""
    by_order: dict[str, list[tuple[str, Row]]] = {}
    for cell in cells:
        for row in cell.rows:
            by_order.setdefault(row["order_parameter"], []).append((cell.name, row))
    return [
        _answer(name, rows, [row for row in comparisons if row["order_parameter"] == name])
        for name, rows in by_order.items()
    ]


def in_words(results: Results) -> str:
    """Return the answer of a run in a line, its question, and its answers in sentences, as Markdown."""
    cells = chart_cells([results])
    lines = [_in_short(cells, results.settings.get("follow", PAPERS)), ""]
    lines += [str(question)] if (question := results.settings.get("question")) else []
    for answer in answers(cells, compared(cells)):
        lines += ["", f"By the {answer.order.words}:", ""]
        lines += [f"- {text}" for text in answer.thresholds]
        lines += [f"- {text}" for text, _ in answer.comparisons]
        lines += [f"- {text}" for text in answer.remarks]
    return "\n".join(lines).strip()


def _in_short(cells: Sequence[ChartCell], target: str) -> str:
    """Return the thresholds of the first cells by the targeted order parameter in a line."""
    texts = [
        f"{name}: {estimate(row)}"
        for name, cell in zip(short_names(cells), cells, strict=True)
        for row in cell.rows
        if row["order_parameter"] == target
    ]
    more = [f"and {len(texts) - MOST_SENTENCES} more"] if len(texts) > MOST_SENTENCES else []
    return "; ".join([*texts[:MOST_SENTENCES], *more])


def _answer(name: str, rows: Sequence[tuple[str, Row]], comparisons: Sequence[Row]) -> Answer:
    remarks = [f"{cell}: {row['remark']}" for cell, row in rows if row["remark"]]
    return Answer(
        ORDER_PARAMETERS[name],
        [threshold_sentence(row, cell) for cell, row in rows[:MOST_SENTENCES]],
        [
            (comparison_sentence(row, row["first_cell"], row["second_cell"]), row["verdict"] != UNDECIDED)
            for row in comparisons[:MOST_SENTENCES]
        ],
        remarks[:MOST_SENTENCES],
        _counts(Counter(row["verdict"] for row in comparisons)),
        max(0, len(rows) - MOST_SENTENCES),
        max(0, len(comparisons) - MOST_SENTENCES),
    )


def _counts(verdicts: Mapping[str, int]) -> str:
    """Return how many comparisons are decided, `2 of 3 comparisons are decided`; empty without any."""
    total = sum(verdicts.values())
    if not total:
        return ""
    decided = total - verdicts.get(UNDECIDED, 0)
    if total == 1:
        return "the one comparison is decided" if decided else "the one comparison is undecided"
    return f"{decided:,} of {total:,} comparisons {'is' if decided == 1 else 'are'} decided"
