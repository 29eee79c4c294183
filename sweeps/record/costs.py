"""The costs of a space's cells as a table of the run: measured once, side by side, on one worker."""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis import TableError
from analysis.tables.files import read_costs, table_of, write_table
from analysis.tables.schema import COSTS, Row
from ouvae.data import Dataset
from search_spaces import Space
from sweeps.executors.training import Trainer
from sweeps.plan.cells import PlannedCell
from sweeps.record.run_directory import RunDirectory


def measure_missing(
    space: Space,
    cells: Sequence[PlannedCell],
    data: Mapping[str, Dataset],
    directory: RunDirectory,
    trainer: Trainer,
) -> None:
    """Write costs.parquet, a row a cell and rho, unless the run has it for these cells already.

    All members of a data set are measured in one task, in turns. A table that lacks one of them or cannot be
    read is measured anew, since costs compare only side by side.

    Args:
        space: says how, in `costs`; without that nothing is measured.
        cells: of the space.
        data: the data sets by digest.
        directory: of the run.
        trainer: measures them; where a signal stops it, nothing is written.
    """
    if space.costs is None or are_measured(space, cells, directory):
        return
    wanted = _wanted(cells)
    rows: list[Row] = []
    for digest in dict.fromkeys(cell.data_digest for cell, _ in wanted):
        own = [(cell, rho) for cell, rho in wanted if cell.data_digest == digest]
        members = [(cell.cell, rho) for cell, rho in own]
        device = own[0][0].device
        costs = trainer.measure(members, data[digest], device, space.costs.rounds, space.costs.steps)
        if costs is None:
            return
        rows += [_row(cell, rho) | vars(cost) for (cell, rho), cost in zip(own, costs, strict=True)]
    write_table(table_of(rows, COSTS), directory.costs)


def are_measured(space: Space, cells: Sequence[PlannedCell], directory: RunDirectory) -> bool:
    """Return whether the run has the costs of these cells, or the space asks for none."""
    if space.costs is None:
        return True
    try:
        held = {(row["cell_id"], row["rho"]) for row in read_costs(directory.path).to_pylist()}
    except TableError:  # none yet, or one that is damaged
        return False
    return held == {(cell.cell_id, rho) for cell, rho in _wanted(cells)}


def _wanted(cells: Sequence[PlannedCell]) -> list[tuple[PlannedCell, float]]:
    return [(cell, rho) for cell in cells for rho in cell.rho]


def _row(cell: PlannedCell, rho: float) -> dict[str, Any]:
    own = {"cell_id": cell.cell_id, "cell": cell.label, "depth": cell.cell.depth, "rho": rho}
    return cell.cell.model_dump(mode="json") | own | {"device": cell.device}
