"""The cells of a run's members: what is needed to measure them, and which cannot be measured."""

from dataclasses import replace
from pathlib import Path

from ouvae import TRAINING_VERSION
from search_spaces import Space
from sweeps.errors import gist
from sweeps.plan.cells import PlannedCell, cell_of_member
from sweeps.plan.data_sets import DataSets
from sweeps.plan.users_code import UsersCode
from sweeps.record.ledger import Ledger
from sweeps.record.tables import cell_rows


class MeasuredCells:
    """The cells of the members of a run.

    Args:
        data_dir: folder with the data files; None downloads them.

    Attributes:
        data: the data sets of the members' cells and of the space.
        users_code: users' code of the same cells.

    Raises:
        DataError: a data set cannot be loaded.
        SweepError: cells ask for more images than there are.
    """

    def __init__(self, ledger: Ledger, space: Space, data_dir: Path | None) -> None:
        self._cells: dict[str, PlannedCell] = {}
        self._unusable: dict[str, str] = {}
        values = {swept.cell: swept.values for swept in space.swept()}
        for cell_id, row in cell_rows(ledger).items():
            try:
                planned = cell_of_member(row)
                self._cells[cell_id] = replace(planned, values=values.get(planned.cell, ()))
            except ValueError as error:
                self._unusable[cell_id] = f"this version cannot read the cell {row['cell']}: {gist(error)}"
        cells = [*(planned.cell for planned in self._cells.values()), *space.cells()]
        self.data = DataSets(cells, data_dir)
        self.users_code = UsersCode(cells)
        for cell_id, planned in self._cells.items():
            if reason := self._difference(cell_id, planned):
                self._unusable[cell_id] = reason

    def __getitem__(self, cell_id: str) -> PlannedCell:
        """Return a cell that can be measured."""
        return self._cells[cell_id]

    def unusable(self, cell_id: str) -> str:
        """Return why the members of a cell cannot be measured; empty if they can."""
        return self._unusable.get(cell_id, "")

    def multiply_adds(self, cell_id: str) -> int:
        """Return the multiply-adds of a member's training step; 1 if this version cannot read the cell."""
        planned = self._cells.get(cell_id)
        return planned.multiply_adds() if planned else 1

    def _difference(self, cell_id: str, planned: PlannedCell) -> str:
        """Return how a cell here differs from the cell that was trained; empty if it does not."""
        if planned.cell_id != cell_id:
            return (
                f"trained by another version of the project; this version, of training version "
                f"{TRAINING_VERSION}, would arrive at other weights"
            )
        data = self.data.of(planned.cell)
        if data.digest != planned.data_digest:
            return (
                f"the data set {planned.cell.dataset} has the digest {data.digest} here, and had "
                f"{planned.data_digest} in training; point --data-dir to the data of then"
            )
        code_digest = self.users_code.digest(planned.cell)
        if code_digest != planned.code_digest:
            return (
                f"the files of its system or data set have the digest {code_digest} here, and had "
                f"{planned.code_digest} in training; put the files of then back"
            )
        return ""
