"""What to train next: the cells' searches, the packs of their batches, and the packs in training."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analysis.tables.schema import Row
from sweeps import SweepError
from sweeps.plan.cells import PlannedCell, Point
from sweeps.plan.packs import Pack, Packing, largest_pack, pack_missing
from sweeps.record.ledger import Ledger
from sweeps.retries import MENDS, Attempt, FirstPacks, Retries
from sweeps.search.base import Search
from sweeps.worker.failures import Failure


@dataclass
class Running:
    """A pack that was given out.

    Attributes:
        steps: training steps that it has done; None before its worker has begun.
    """

    pack: Pack
    steps: int | None = None


@dataclass
class CellProgress:
    """The progress of a cell's search.

    Attributes:
        multiply_adds: of a member's training step.
        batches: number of batches that the search has asked for.
        waiting: packs that are not in training yet.
        training: packs in training, by id.
        done: whether the search has all its members.
    """

    planned: PlannedCell
    search: Search
    multiply_adds: int
    batches: int = 0
    waiting: list[Pack] = field(default_factory=list)
    training: dict[str, Running] = field(default_factory=dict)
    done: bool = False

    @property
    def next_work(self) -> int:
        """Multiply-adds of the first pack that waits."""
        return len(self.waiting[0].points) * self.planned.cell.steps * self.multiply_adds

    @property
    def open_members(self) -> int:
        """Members of the packs that wait or train."""
        training = (running.pack for running in self.training.values())
        return sum(len(pack.points) for pack in [*self.waiting, *training])

    @property
    def members_left(self) -> int:
        """Members still to be trained, those of expected rounds included."""
        if self.done:
            return self.open_members
        return max(self.open_members, self.search.expected_points() - self.search.answer_count)

    @property
    def work_left(self) -> int:
        """Multiply-adds of the members that are left."""
        done = sum(len(running.pack.points) * (running.steps or 0) for running in self.training.values())
        return (self.members_left * self.planned.cell.steps - done) * self.multiply_adds


class Schedule:
    """Gives out packs, and moves the search of each cell on, batch by batch.

    Cells go on independently. Packs of the cell with the fewest batches go first, and among these, with
    several slots, the longest, so that no long pack is left for the end; a single slot takes cells in the
    order of the space. Until a pack trains, cells with failures go last.

    Args:
        searches: of the cells, before they are asked.
        slots: packs that are trained at once.
        pack_size: maximum number of members in a pack; None follows the device.

    Attributes:
        failures: packs that failed permanently, with the reason.
        members_trained: members that were trained since the start.
        members_reused: members of the first batches that were finished at the start.
        work_done: multiply-adds since the start; the steps of a resumed pack count once.
    """

    def __init__(
        self,
        cells: Sequence[PlannedCell],
        searches: Sequence[Search],
        ledger: Ledger,
        slots: int,
        pack_size: int | None = None,
    ) -> None:
        self.failures: list[tuple[Pack, str]] = []
        self.members_trained = self.work_done = 0
        self._ledger, self._pack_size = ledger, pack_size
        self._retries, self._first_packs = Retries(), FirstPacks(len(cells))
        self._most_steps: dict[str, int] = {}
        self.slots = slots
        self.cells = [
            CellProgress(cell, search, cell.multiply_adds())
            for cell, search in zip(cells, searches, strict=True)
        ]
        self.advance()
        self.members_reused = sum(state.search.answer_count for state in self.cells)

    @property
    def done(self) -> bool:
        """Whether nothing is left to train, without the packs that failed permanently."""
        return all(state.done for state in self.cells)

    @property
    def in_training(self) -> Mapping[str, Running]:
        """The packs in training, by id."""
        return {pack_id: running for state in self.cells for pack_id, running in state.training.items()}

    def asks_for(self, row: Row) -> bool:
        """Tell whether a search has asked for a member."""
        point = Point(row["value"], row["seed"])
        searches = (state.search for state in self.cells if state.planned.cell_id == row["cell_id"])
        return any(point in search.asked for search in searches)

    def resize(self, slots: int) -> None:
        """Pack the next batches for another number of slots."""
        self.slots = slots

    def next_pack(self) -> Pack | None:
        """Return a pack to train now; None without one."""
        ready = [state for state in self.cells if state.waiting]
        if not ready:
            return None
        by_work, failing = self.slots > 1, self._first_packs.failing_cells

        def order(state: CellProgress) -> tuple[bool, int, int]:
            return state.planned.cell_id in failing, state.batches, -state.next_work if by_work else 0

        state = min(ready, key=order)
        pack = state.waiting.pop(0)
        state.training[pack.pack_id] = Running(pack)
        self._first_packs.begin(pack, self.slots)
        return pack

    def pack(self, pack_id: str) -> Pack:
        """Return a pack in training."""
        return self._state_of(pack_id).training[pack_id].pack

    def progressed(self, pack_id: str, steps: int) -> None:
        """Note the training steps that a pack has done."""
        state = self._state_of(pack_id)
        running = state.training[pack_id]
        running.steps = steps
        if (new := steps - self._most_steps.get(pack_id, 0)) > 0:
            self._most_steps[pack_id] = steps
            self.work_done += new * len(running.pack.points) * state.multiply_adds
            self._first_packs.trained()
            self._retries.progressed(running.pack)

    def finished(self, pack_id: str) -> None:
        """Move the cell of a pack on, whose result is in the ledger."""
        self.members_trained += len(self._remove(pack_id)[1].points)
        self._first_packs.trained()
        self.advance()

    def returned(self, pack_id: str) -> None:
        """Take back a pack whose training was ended through no fault of its own."""
        state, pack = self._remove(pack_id)
        state.waiting.insert(0, pack)

    def return_all(self) -> None:
        """Take back all packs in training."""
        for pack_id in self.in_training:
            self.returned(pack_id)

    def failed(self, pack_id: str, failure: Failure) -> Attempt:
        """Take a failed attempt and return what follows: the pack again, its halves, or nothing.

        Without a further attempt the caller writes the members into the ledger, and then calls `advance`.

        Raises:
            SweepError: every first pack failed in the same way, and none has trained.
        """
        pack = self.pack(pack_id)
        repeated = self._first_packs.failed(pack, failure)
        if self._first_packs.share_a_cause(others=any(state.waiting for state in self.cells)):
            self.returned(pack_id)
            raise SweepError(
                f"no pack trains, and all fail in the same way: {failure.reason}; {MENDS[failure.kind]} and "
                f"run the same command again (log: {self._ledger.run.log})"
            )
        state, _ = self._remove(pack_id)
        again = self._retries.after(pack, failure)
        if again:
            # an error of a first pack may be its own: other packs go first, and show it
            last = failure.kind == "error" and not self._first_packs.over
            state.waiting[len(state.waiting) if last else 0 : 0] = again
        else:
            self.failures.append((pack, failure.reason))
        return Attempt(pack, failure, again, repeated)

    def advance(self) -> None:
        """Pack the next batches of all cells without waiting packs, until no search asks for more."""
        moved = True
        while moved:
            idle = [state for state in self.cells if not (state.waiting or state.done)]
            moved = any([self._advance(state) for state in idle])

    def _state_of(self, pack_id: str) -> CellProgress:
        return next(state for state in self.cells if pack_id in state.training)

    def _remove(self, pack_id: str) -> tuple[CellProgress, Pack]:
        state = self._state_of(pack_id)
        return state, state.training.pop(pack_id).pack

    def _advance(self, state: CellProgress) -> bool:
        """Pack the missing points of each batch that the search asks for.

        Returns whether there was a batch, or the search has ended.
        """
        batches, observed = state.batches, self._ledger.observed(state.planned)
        while batch := state.search.ask():
            state.batches += 1
            missing = [point for point in batch if point not in observed]
            if missing:
                state.waiting += self._packs(state.planned, batch, missing)
        state.done = state.search.done and not state.open_members
        return state.done or state.batches > batches

    def _packs(self, cell: PlannedCell, points: Sequence[Point], missing: Sequence[Point]) -> list[Pack]:
        """Return packs of the missing points of a batch."""
        finished: defaultdict[str, set[Point]] = defaultdict(set)
        if len(missing) < len(points):
            for row in self._ledger.members.values():
                if row["cell_id"] == cell.cell_id:
                    finished[row["pack_id"]].add(Point(row["value"], row["seed"]))
        packs = frozenset(map(frozenset, finished.values()))
        packing = Packing(self._pack_size or largest_pack(cell), self.slots, len(self.cells))
        return pack_missing(points, missing, packs, packing, cell)
