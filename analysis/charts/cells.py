"""The cells of a chart, of one run or several, in one order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from analysis.charts.looks import MOST_CELLS, Look, looks
from analysis.results import Results
from analysis.tables.schema import Row
from analysis.text.words import cell_names, common_words, heading


@dataclass(frozen=True)
class ChartCell:
    """A cell of a chart: its run, a unique name, and its thresholds, a row per order parameter.

    `look` is None for a cell that is not drawn.
    """

    results: Results
    name: str
    rows: tuple[Row, ...]
    look: Look | None

    @property
    def cell_id(self) -> str:
        """The identity of the cell in its run."""
        return str(self.rows[0]["cell_id"])


def chart_cells(runs: Sequence[Results]) -> list[ChartCell]:
    """Return the cells of all runs in their order; the first `MOST_CELLS` of them are drawn."""
    located = [
        (results, tuple(rows))
        for results in runs
        for _, rows in groupby(results.thresholds.to_pylist(), key=lambda row: str(row["cell_id"]))
    ]
    names = cell_names([rows[0] for _, rows in located])
    counts = Counter(names)
    cells = []
    for (results, rows), name, look in zip_longest(located, names, looks(min(len(names), MOST_CELLS))):
        unique = f"{name} of {results.folder.name}" if counts[name] > 1 else name
        cells.append(ChartCell(results, unique, rows, look))
    return cells


def short_names(cells: Sequence[ChartCell]) -> list[str]:
    """Return the names of cells without the words that all of them begin with."""
    names = [cell.name for cell in cells]
    shared = common_words(names)
    return [name.removeprefix(shared).strip() for name in names]


def cells_heading(cells: Sequence[ChartCell]) -> str:
    """Return what the cells that are drawn have in common, and how many they are if some are left out."""
    drawn = [cell.rows[0] for cell in cells if cell.look is not None]
    left_out = f", the first {len(drawn)} of {len(cells)} cells" if len(drawn) < len(cells) else ""
    return heading(drawn) + left_out
