"""What to train next: the cells' searches, the packs of their rounds, and what is finished already."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from search_spaces import Space
from sweeps.plan import Pack, PlannedCell, Point, pack_points
from sweeps.records import PackReport, Row, rows
from sweeps.search import search_of
from sweeps.store import RunDirectory
from sweeps.studies import CellStudy

Listener = Callable[[Sequence[Row], Sequence[Row]], None]


@dataclass
class CellProgress:
    """Where one cell's search stands.

    Attributes:
        planned: the cell.
        study: its search.
        cost: multiply-adds of a member's training step.
        expected_members: how many members the search is expected to want, those finished included.
        round: number of the current round, from 0.
        waiting: packs of the round that are not in training yet.
        training: packs in training, by id.
        failed: whether a pack could not be trained, which ends the cell's search.
        done: whether the search has all it wants.
    """

    planned: PlannedCell
    study: CellStudy
    cost: int
    expected_members: int
    round: int = 0
    waiting: list[Pack] = field(default_factory=list)
    training: dict[str, Pack] = field(default_factory=dict)
    failed: bool = False
    done: bool = False

    @property
    def finished_members(self) -> int:
        """Members of the search that are finished."""
        return self.study.search.observed

    @property
    def open_members(self) -> int:
        """Members of the packs that wait or train."""
        return sum(len(pack.points) for pack in [*self.waiting, *self.training.values()])

    @property
    def members_left(self) -> int:
        """Members still to be trained, rounds that are only expected included."""
        if self.done or self.failed:
            return self.open_members
        return max(self.open_members, self.expected_members - self.finished_members)


class Schedule:
    """Gives out packs, takes their results, and moves each cell's search on, round by round.

    Cells go on independently of one another. Of the packs at hand one of the earliest round goes first,
    and among those one of the costliest cell, so that no long pack is left for the end.

    Args:
        space: the space.
        cells: its cells.
        slots: packs that the cluster trains at once.
        directory: what is finished, and where new fragments go.
        on_pack: called with every newly finished pack's rows of members and of history.
    """

    def __init__(
        self,
        space: Space,
        cells: Sequence[PlannedCell],
        slots: int,
        directory: RunDirectory,
        on_pack: Listener,
    ) -> None:
        """Open the studies and plan the first packs."""
        self.failures: list[tuple[Pack, str]] = []
        self.members_trained = 0
        self._space, self._directory, self._on_pack = space, directory, on_pack
        # About two packs a slot over all cells of a round: enough to balance, few enough to be large.
        self._packs_per_round = max(1, -(-2 * slots // len(cells)))
        self.cells = [self._open(planned) for planned in cells]
        for state in self.cells:
            self._advance(state)
        self.members_reused = sum(state.finished_members for state in self.cells)

    @property
    def done(self) -> bool:
        """Whether nothing is left to train, apart from what failed."""
        return all((state.done or state.failed) and not state.open_members for state in self.cells)

    def next_pack(self) -> Pack | None:
        """Return a pack to train now, or None while there is none."""
        ready = [state for state in self.cells if state.waiting]
        if not ready:
            return None
        state = min(ready, key=lambda state: (state.round, -state.cost))
        pack = state.waiting.pop(0)
        state.training[pack.pack_id] = pack
        return pack

    def finished(self, pack: Pack, report: PackReport) -> None:
        """Write a finished pack and move its cell on."""
        state = self._state_of(pack)
        members, history = rows(self._space, pack, report)
        self._directory.add(pack.pack_id, members, history)
        del state.training[pack.pack_id]
        self.members_trained += len(members)
        self._on_pack(members, history)
        for point in pack.points:
            self._tell(state, point)
        if not state.open_members and not state.failed:
            self._advance(state)

    def gave_up(self, pack: Pack, reason: str) -> None:
        """Record that a pack could not be trained: its cell's search ends there, the others go on."""
        state = self._state_of(pack)
        del state.training[pack.pack_id]
        state.failed = True
        self.failures.append((pack, reason))

    def _open(self, planned: PlannedCell) -> CellProgress:
        search = search_of(self._space.part_of(planned.cell))
        name = f"{planned.cell.label} {planned.cell_id}"
        attributes = {"space": self._space.name, "value": "kl_top_nats"}
        study = CellStudy(self._directory.studies, name, search, attributes)
        cost = planned.multiply_adds()
        return CellProgress(planned, study, cost, search.expected_points())

    def _advance(self, state: CellProgress) -> None:
        """Tell the search what is finished and plan the first round that is not."""
        while points := state.study.ask():
            missing = [point for point in points if not self._tell(state, point)]
            if missing:
                state.waiting = self._packs(state.planned, points, missing)
                return
            state.round += 1
        state.done = True

    def _tell(self, state: CellProgress, point: Point) -> bool:
        """Tell the search a point's observation; False if its member is not finished."""
        row = self._directory.members.get(state.planned.member_id(point))
        if row is not None:
            state.study.tell(point, row["kl_top_nats"])
        return row is not None

    def _packs(self, cell: PlannedCell, points: Sequence[Point], missing: Sequence[Point]) -> list[Pack]:
        """Pack what is missing of a round, as the whole round would be packed where that is possible.

        An interrupted round lacks whole packs, and these are then the same as before.
        """
        largest = self._space.pack_size or cell.largest_pack
        wanted = set(missing)
        whole = pack_points(points, self._packs_per_round, largest, cell)
        lacking = [pack for pack in whole if wanted & set(pack.points)]
        if all(wanted.issuperset(pack.points) for pack in lacking):
            return lacking
        return pack_points(missing, self._packs_per_round, largest, cell)

    def _state_of(self, pack: Pack) -> CellProgress:
        return next(state for state in self.cells if pack.pack_id in state.training)
