"""The costs of a space's cells as a table of the run: measured once, side by side, on one worker."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from analysis.schema import COSTS
from analysis.tables import read_costs, write_table
from ouvae.data import Dataset
from search_spaces import Space
from sweeps.plan import PlannedCell
from sweeps.records import Row
from sweeps.run_directory import RunDirectory
from sweeps.training import Trainer


def measure_missing(
    space: Space,
    cells: Sequence[PlannedCell],
    data: Mapping[str, Dataset],
    directory: RunDirectory,
    trainer: Trainer,
) -> None:
    """Write costs.parquet, a row a cell and rho, unless the run has it for these cells already.

    All members of a data set are measured in one task, in turns. A table that lacks one of them is
    measured anew, since costs compare only side by side.

    Args:
        space: says how, in `costs`; without that nothing is measured.
        cells: of the space.
        data: the data sets by digest.
        directory: of the run.
        trainer: measures them; where a signal stops it, nothing is written.
    """
    if space.costs is None or are_measured(space, cells, directory):
        return
    wanted = _wanted(space, cells)
    rows: list[Row] = []
    for digest in dict.fromkeys(cell.data_digest for cell, _ in wanted):
        own = [(cell, rho) for cell, rho in wanted if cell.data_digest == digest]
        members = [(cell.settings(), rho) for cell, rho in own]
        device = own[0][0].device
        costs = trainer.measure(members, data[digest], device, space.costs.rounds, space.costs.steps)
        if costs is None:
            return
        rows += [_row(cell, rho) | vars(cost) for (cell, rho), cost in zip(own, costs, strict=True)]
    write_table(pa.Table.from_pylist(rows, schema=COSTS), directory.costs)


def are_measured(space: Space, cells: Sequence[PlannedCell], directory: RunDirectory) -> bool:
    """Return whether the run has the costs of these cells, or the space asks for none."""
    if space.costs is None:
        return True
    if not directory.costs.exists():
        return False
    held = {(row["cell_id"], row["rho"]) for row in read_costs(directory.path).to_pylist()}
    return held == {(cell.cell_id, rho) for cell, rho in _wanted(space, cells)}


def _wanted(space: Space, cells: Sequence[PlannedCell]) -> list[tuple[PlannedCell, float]]:
    return [(cell, rho) for cell in cells for rho in space.part_of(cell.cell).rho_values()]


def _row(cell: PlannedCell, rho: float) -> Row:
    values = cell.cell.model_dump(mode="json")
    known = {key: values[key] for key in COSTS.names if key in values}
    return known | {"cell_id": cell.cell_id, "cell": cell.cell.label, "rho": rho, "device": cell.device}
