"""The costs of a space's cells as a table of the run: measured once, side by side, on one worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis import TableError
from analysis.tables.files import read_costs, table_of, write_table
from analysis.tables.schema import COSTS, Row
from ouvae.data import Dataset
from ouvae.declared import Cell
from search_spaces.running import Costs
from sweeps.plan.cells import PlannedCell
from sweeps.record.paths import Paths

if TYPE_CHECKING:
    from ouvae.training.costs import Cost


def measure_missing(
    how: Costs | None,
    cells: Sequence[PlannedCell],
    data: Mapping[str, Dataset],
    run: Paths,
    measure: Callable[[Sequence[Cell], Dataset, Costs], list[Cost] | None],
) -> None:
    """Write costs.parquet, a row for each cell and value, unless the run has it for these cells already.

    All members of a data set are measured in one task, in turns. A table that lacks one of them or cannot be
    read is measured anew, since costs compare only side by side.

    Args:
        how: rounds and steps; None measures nothing.
        cells: of the space.
        data: the data sets by digest.
        run: where the table is.
        measure: returns the costs of a member of each cell on a data set; None if it was stopped.
    """
    if how is None or are_measured(how, cells, run):
        return
    rows: list[Row] = []
    for digest in dict.fromkeys(cell.data_digest for cell in cells):
        members = _members([cell for cell in cells if cell.data_digest == digest])
        costs = measure([cell.at(value) for cell, value in members], data[digest], how)
        if costs is None:
            return
        rows += [_row(*member) | vars(cost) for member, cost in zip(members, costs, strict=True)]
    write_table(table_of(rows, COSTS), run.costs)


def are_measured(how: Costs | None, cells: Sequence[PlannedCell], run: Paths) -> bool:
    """Return whether the run has the costs of these cells, or needs none."""
    if how is None:
        return True
    try:
        held = {(row["cell_id"], row["value"]) for row in read_costs(run.path).to_pylist()}
    except TableError:  # none yet, or one that is damaged
        return False
    return held == {(cell.cell_id, value) for cell, value in _members(cells)}


def _members(cells: Sequence[PlannedCell]) -> list[tuple[PlannedCell, float]]:
    return [(cell, value) for cell in cells for value in cell.values]


def _row(cell: PlannedCell, value: float) -> dict[str, Any]:
    member = {"cell_id": cell.cell_id, "cell": cell.label, "depth": cell.cell.depth, "device": cell.device}
    return cell.at(value).model_dump(mode="json") | member | {"control": cell.control, "value": value}
