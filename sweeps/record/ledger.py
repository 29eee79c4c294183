"""What is known of the members of a run: read from its fragments, added to, and looked up."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

import pyarrow as pa

from analysis import TableError
from analysis.tables.files import read_table, rows_of
from analysis.tables.schema import COSTS, Row
from ouvae.declared import ORDER_PARAMETERS
from search_spaces import Space
from sweeps.plan.cells import PlannedCell, Point
from sweeps.plan.packs import Pack
from sweeps.record import agreement, rows
from sweeps.record.directory import RunDirectory
from sweeps.record.fragments import Fragment, Fragments, joined
from sweeps.record.sheets import Sheets
from sweeps.search.base import Observations
from sweeps.worker.states import StatesError
from sweeps.worker.task import PackResult

_AT_HAND = (
    *("member_id", "cell_id", "cell", "pack_id", "value", "seed", "status"),
    *("dataset", "system", "device", "data_digest", "code_digest", "numerics_version"),
    *dict.fromkeys(order.metric for order in ORDER_PARAMETERS.values()),
)
"""Columns of a member that are at hand in Python; for a sweep of 100,000 all would need too much memory."""


class Ledger:
    """The members of a run.

    Args:
        run: its directory, held.
        space: its space, which says what searches observe.

    Attributes:
        run: the directory.
        members: `_AT_HAND` of each finished member, by its id.
        failed: rows of members that failed permanently, by their ids.
        sheets: images of members.

    Raises:
        SweepError: the space conflicts with that of the run, a fragment cannot be read, or two hold a member
            with different results.
        TableError: the settings of the run were changed.
    """

    def __init__(self, run: RunDirectory, space: Space) -> None:
        agreement.require_same_space(run, space)
        self.run = run
        self.members: dict[str, Row] = {}
        self.failed: dict[str, Row] = {}
        self._space, self._target = space.name, ORDER_PARAMETERS[space.follow]
        self._observed: defaultdict[str, dict[Point, float | None]] = defaultdict(dict)  # by cell_id
        self._fragments = Fragments(run)
        self._fragments.read()
        for fragment in self._fragments.by_name.values():
            self._note(fragment.members)
        self.failed = {row["member_id"]: row for row in self._fragments.read_failed()}
        self._check_costs()
        self.sheets = Sheets(run)
        run.at_begin(self._drop_checkpoints)

    @property
    def device(self) -> str | None:
        """The device on which the members were trained; None without members."""
        return next((str(row["device"]) for row in self.members.values()), None)

    def require_like(self, cells: Sequence[PlannedCell]) -> None:
        """Refuse cells that the members must not be mixed with. Raises SweepError."""
        agreement.require_like(self.run, self.members.values(), cells)

    def observed(self, cell: PlannedCell) -> Observations:
        """Return the observations of a cell's members, a live view.

        A member that failed permanently is lost, until a run of the same sweep tries it again.
        """
        return self._observed[cell.cell_id]

    def add(self, pack: Pack, result: PackResult) -> Fragment:
        """Write the result of a pack and return it.

        Raises:
            DiskFullError: the disk is full; the pack is written all the same, in the reserve.
            SweepError: it cannot be written.
        """
        fragment = rows.trained(self._space, pack, result)
        self.sheets.add(
            rows.sheet_rows(pack, result.sheets)
        )  # first: a pack in a fragment is not trained again
        full = self._fragments.add(pack.pack_id, fragment)
        self._note(fragment.members)
        self.run.drop_checkpoint(pack.pack_id)
        if full is not None:
            raise self.run.full(full)
        self._fragments.merge()
        return fragment

    def join(self, fragment: Fragment) -> None:
        """Write members that another run has trained, none of which is here. Raises as `add`."""
        full = self._fragments.join(fragment)
        self._note(fragment.members)
        if full is not None:
            raise self.run.full(full)

    def fail(self, pack: Pack, reason: str) -> Fragment:
        """Write the members of a pack that failed permanently and return them. Raises as `add`."""
        fragment = rows.failed(self._space, pack, reason)
        full = self._fragments.add_failed(pack.pack_id, fragment.members)
        for row in rows_of(fragment.members):
            self.failed[row["member_id"]] = row
            self._observed[row["cell_id"]][Point(row["value"], row["seed"])] = None
        if full is not None:
            raise self.run.full(full)
        return fragment

    def keep_failed(self, is_wanted: Callable[[Row], bool]) -> None:
        """Forget the failed members that nothing would try again. Raises SweepError as `add`."""
        self.failed = {member_id: row for member_id, row in self.failed.items() if is_wanted(row)}
        self._fragments.keep_failed(self.failed.values())

    def keep_failed_of(self, cells: Sequence[PlannedCell]) -> None:
        """Forget the failed members of other cells. Raises SweepError as `add`."""
        cell_ids = {cell.cell_id for cell in cells}
        self.keep_failed(lambda row: row["cell_id"] in cell_ids)

    def results(self) -> Fragment:
        """Return all finished members."""
        return joined(self._fragments.by_name.values())

    def pack(self, pack_id: str) -> Fragment:
        """Return a finished pack, its members in their order."""
        return self._fragments.by_name[self._fragments.with_pack(pack_id)].pack(pack_id)

    def replace(self, pack_id: str, fragment: Fragment) -> None:
        """Write other rows in place of the rows of a finished pack. Raises SweepError."""
        self._fragments.replace(pack_id, fragment)
        self._note(fragment.members)

    def _note(self, members: pa.Table) -> None:
        for row in members.select(_AT_HAND).to_pylist():
            self.members[row["member_id"]] = row
            self._observed[row["cell_id"]][Point(row["value"], row["seed"])] = self._target.value(row)
            self.failed.pop(row["member_id"], None)

    def _drop_checkpoints(self) -> None:
        """Remove states of finished packs: a kill came between the fragment and their removal."""
        finished = {row["pack_id"] for row in self.members.values()}
        with suppress(StatesError):
            for pack_id in self.run.states.packs():
                if pack_id in finished:
                    self.run.drop_checkpoint(pack_id)

    def _check_costs(self) -> None:
        """Set a damaged table of costs aside."""
        if self.run.costs.exists():
            try:
                read_table(self.run.costs, COSTS)
            except TableError:
                self.run.set_aside([self.run.costs], [self.run.costs], "costs are measured anew")
