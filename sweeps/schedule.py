"""What to train next: the cells' searches, the packs of their batches, and what is finished already."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from analysis.tables.schema import Row
from sweeps import SweepError
from sweeps.plan.cells import PlannedCell, Point
from sweeps.plan.packs import Pack, largest_pack, pack_missing, packs_wanted
from sweeps.record import rows
from sweeps.record.fragments import Fragment
from sweeps.record.run_directory import RunDirectory
from sweeps.retries import MENDS, FirstPacks, Retries
from sweeps.search.base import Search
from sweeps.worker.failures import Failure
from sweeps.worker.task import PackResult

Listener = Callable[[Fragment], None]


@dataclass
class CellProgress:
    """Where one cell's search stands.

    Attributes:
        planned: the cell.
        search: where it samples rho.
        multiply_adds: of a member's training step.
        batches: in how many batches it has.
        waiting: packs that are not in training yet.
        training: packs in training, by id.
        done: whether the search has all it wants.
    """

    planned: PlannedCell
    search: Search
    multiply_adds: int
    batches: int = 0
    waiting: list[Pack] = field(default_factory=list)
    training: dict[str, Pack] = field(default_factory=dict)
    done: bool = False

    @property
    def expected_members(self) -> int:
        """How many members the search is expected to want, those finished included."""
        return self.search.expected_points()

    @property
    def finished_members(self) -> int:
        """Members of the search that are finished."""
        return self.search.answer_count

    @property
    def open_members(self) -> int:
        """Members of the packs that wait or train."""
        return sum(len(pack.points) for pack in [*self.waiting, *self.training.values()])

    @property
    def members_left(self) -> int:
        """Members still to be trained, rounds that are only expected included."""
        if self.done:
            return self.open_members
        return max(self.open_members, self.expected_members - self.finished_members)


class Schedule:
    """Gives out packs, takes their results, and moves each cell's search on, batch by batch.

    Cells go on independently of one another. Of the packs at hand one of the cell with the fewest batches
    goes first. Among those several slots take the costliest, so that no long pack is left for the end; a
    single slot takes cells in the order of the space. Until a pack trains, cells with failures go last.

    Args:
        space: name of the space.
        cells: its cells, each with its search, which was not asked yet.
        slots: packs that the cluster trains at once.
        directory: what is finished, and where new fragments go.
        on_pack: called with the results of every pack that is finished or failed permanently.
        pack_size: most members in a pack; None follows the device.
    """

    def __init__(
        self,
        space: str,
        cells: Sequence[tuple[PlannedCell, Search]],
        slots: int,
        directory: RunDirectory,
        on_pack: Listener,
        pack_size: int | None = None,
    ) -> None:
        """Plan the first packs."""
        self.failures: list[tuple[Pack, str]] = []
        self.members_trained = 0
        self._space, self._directory, self._on_pack = space, directory, on_pack
        self._pack_size = pack_size
        self._retries, self._first_packs = Retries(), FirstPacks(len(cells))
        self._steps: dict[str, int] = {}
        self.slots, self._cell_count = slots, len(cells)
        self.cells = [CellProgress(planned, search, planned.multiply_adds()) for planned, search in cells]
        self._advance_all()
        self.members_reused = sum(state.finished_members for state in self.cells)

    @property
    def done(self) -> bool:
        """Whether nothing is left to train, apart from what was given up."""
        return all(state.done for state in self.cells)

    def asks_for(self, row: Row) -> bool:
        """Tell whether a member is among those that a search has asked for."""
        point = Point(row["rho"], row["seed"])
        searches = (state.search for state in self.cells if state.planned.cell_id == row["cell_id"])
        return any(point in search.asked for search in searches)

    def resize(self, slots: int) -> None:
        """Pack the batches to come for another number of slots."""
        self.slots = max(1, slots)

    def next_pack(self) -> Pack | None:
        """Return a pack to train now, or None while there is none."""
        ready = [state for state in self.cells if state.waiting]
        if not ready:
            return None
        by_cost, failing = self.slots > 1, self._first_packs.failing_cells

        def order(state: CellProgress) -> tuple[bool, int, int]:
            return state.planned.cell_id in failing, state.batches, -state.multiply_adds if by_cost else 0

        state = min(ready, key=order)
        pack = state.waiting.pop(0)
        state.training[pack.pack_id] = pack
        self._first_packs.begin(pack, self.slots)
        return pack

    def finished(self, pack: Pack, result: PackResult) -> None:
        """Write a finished pack and move its cell on."""
        self._no_longer_training(pack)
        fragment = rows.trained(self._space, pack, result)
        self._first_packs.trained()
        self._directory.add(pack.pack_id, fragment)
        self.members_trained += len(pack.points)
        self._on_pack(fragment)
        self._advance_all()

    def progressed(self, pack: Pack, steps_done: int) -> None:
        """Note how far a pack in training is."""
        if steps_done > self._steps.get(pack.pack_id, 0):
            self._steps[pack.pack_id] = steps_done
            self._first_packs.trained()
            self._retries.progressed(pack)

    def returned(self, pack: Pack) -> None:
        """Take back a pack that was not trained to its end through no fault of its own."""
        self._no_longer_training(pack).waiting.insert(0, pack)

    def failed(self, pack: Pack, failure: Failure) -> str:
        """Take a failed attempt: the pack is tried again, in halves if it needs less memory so, or given up.

        The members of a pack that is given up are rows without numbers, and their cell's search goes on
        without them. Returns a line that says what became of the pack; it is empty for the retry of a first
        pack that failed as another one did.

        Raises:
            SweepError: every first pack failed in the same way, and none has trained.
        """
        repeated = self._first_packs.failed(pack, failure)
        if self._first_packs.share_a_cause(others=any(state.waiting for state in self.cells)):
            self.returned(pack)
            raise SweepError(
                f"no pack trains, and all fail in the same way: {failure.reason}; {MENDS[failure.kind]} and "
                f"run the same command again (log: {self._directory.log})"
            )
        again = self._retries.after(pack, failure)
        found = f"pack {pack.pack_id} ({describe(pack)}): {failure.reason}"
        if again:
            waiting = self._no_longer_training(pack).waiting
            last = (
                failure.kind == "error" and not self._first_packs.over
            )  # others may show whether it is theirs
            waiting[len(waiting) if last else 0 : 0] = again
            if repeated:
                return ""
            if again == [pack]:
                return f"{found}; tried again"
            self._directory.drop_checkpoint(pack.pack_id)
            return f"{found}; tried again in halves"
        self._no_longer_training(pack)
        fragment = rows.failed(self._space, pack, failure.reason)
        self._directory.add_failed(pack.pack_id, fragment)
        self.failures.append((pack, failure.reason))
        self._on_pack(fragment)
        self._advance_all()
        return f"{found}; given up"

    def _no_longer_training(self, pack: Pack) -> CellProgress:
        state = next(state for state in self.cells if pack.pack_id in state.training)
        del state.training[pack.pack_id]
        return state

    def _advance_all(self) -> None:
        """Move on every cell of which nothing waits, until none of them waits for what another one found."""
        moved = True
        while moved:
            idle = [state for state in self.cells if not (state.waiting or state.done)]
            moved = any([self._advance(state) for state in idle])

    def _advance(self, state: CellProgress) -> bool:
        """Pack what is missing of each batch that the search asks for.

        Returns whether there was a batch, or the search has ended.
        """
        batches, observed = state.batches, self._directory.observed(state.planned)
        while batch := state.search.ask():
            state.batches += 1
            missing = [point for point in batch if point not in observed]
            if missing:
                state.waiting += self._packs(state.planned, batch, missing)
        state.done = state.search.done and not state.open_members
        return state.done or state.batches > batches

    def _packs(self, cell: PlannedCell, points: Sequence[Point], missing: Sequence[Point]) -> list[Pack]:
        """Pack what is missing of a batch."""
        finished: defaultdict[str, set[Point]] = defaultdict(set)
        if len(missing) < len(points):
            for row in self._directory.members.values():
                if row["cell_id"] == cell.cell_id:
                    finished[row["pack_id"]].add(Point(row["rho"], row["seed"]))
        packs = frozenset(map(frozenset, finished.values()))
        largest = self._pack_size or largest_pack(cell)
        return pack_missing(points, missing, packs, packs_wanted(self.slots, self._cell_count), largest, cell)


def describe(pack: Pack) -> str:
    """Return the pack's cell and members for a line."""
    points = ", ".join(f"rho={point.rho:g} seed={point.seed}" for point in pack.points[:3])
    more = f" and {len(pack.points) - 3} more" if len(pack.points) > 3 else ""
    return f"{pack.cell.label}; {points}{more}"
