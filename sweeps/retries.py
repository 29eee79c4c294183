"""What is trained after a failed attempt."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sweeps.plan.packs import Pack
from sweeps.worker.failures import Failure, Kind

ATTEMPTS: dict[Kind, int] = {"error": 2, "memory": 3, "lost": 4}
"""Attempts by kind of failure: an exception, a single member that does not fit the memory, a worker or node
that dies without any progress in between. Another worker makes each attempt."""

FIRST_ATTEMPTS: dict[Kind, int] = {"error": 1, "memory": 2, "lost": 2}
"""Failures of every first pack that end the sweep, by kind; a worker may die by chance."""

MENDS: dict[Kind, str] = {
    "error": "mend that",
    "memory": "free memory on the nodes, or let fewer packs share a node (cpus_per_pack)",
    "lost": "see what Ray says in the log",
}
"""What to do where one cause keeps all packs from training."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Attempt:
    """A failed attempt to train a pack, and what follows.

    Attributes:
        again: packs to train in its place: itself, its halves, or none if it failed permanently.
        repeated: whether another first pack failed in the same way before.
    """

    pack: Pack
    failure: Failure
    again: Sequence[Pack]
    repeated: bool

    @property
    def is_last(self) -> bool:
        """Whether the pack failed permanently."""
        return not self.again

    @property
    def is_split(self) -> bool:
        """Whether halves of the pack follow."""
        return len(self.again) > 1

    def __str__(self) -> str:
        """Return the line about it; empty for a retry after a cause that was said before."""
        if self.again and self.repeated:
            return ""
        then = "given up" if self.is_last else f"tried again{' in halves' * self.is_split}"
        return f"pack {self.pack.pack_id} ({self.pack}): {self.failure.reason}; {then}"


class Retries:
    """Decides what is trained after a failed attempt."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, Kind]] = Counter()

    def after(self, pack: Pack, failure: Failure) -> list[Pack]:
        """Return the packs to train in its place: itself, its halves, or none if it failed permanently."""
        if failure.kind == "memory" and len(pack.points) > 1:
            middle = math.ceil(len(pack.points) / 2)
            return [replace(pack, points=pack.points[:middle]), replace(pack, points=pack.points[middle:])]
        key = (pack.pack_id, failure.kind)
        self._failures[key] += 1
        return [pack] if self._failures[key] < ATTEMPTS[failure.kind] else []

    def progressed(self, pack: Pack) -> None:
        """Forgive the losses of a pack that got further: a long pack may outlive many nodes."""
        self._failures.pop((pack.pack_id, "lost"), None)


class FirstPacks:
    """Watches the packs that a sweep begins with: one cause may keep all of them from training.

    Args:
        cells: number of cells in the sweep.

    Attributes:
        over: whether a pack has trained a step.
        failing_cells: ids of the cells in which a pack failed before that.
    """

    def __init__(self, cells: int) -> None:
        self.over = False
        self.failing_cells: set[str] = set()
        self._cells = cells
        self._first: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._causes: set[tuple[Kind, str]] = set()

    def begin(self, pack: Pack, slots: int) -> None:
        """Note a pack that goes into training; as many as there are slots are the first."""
        if not self.over and len(self._first) < slots:
            self._first.add(pack.pack_id)

    def trained(self) -> None:
        """End the watch: a pack has trained a step."""
        self.over = True
        self.failing_cells.clear()

    def failed(self, pack: Pack, failure: Failure) -> bool:
        """Note a failure; return whether the same cause was seen before, and no other.

        Causes are the same that differ in numbers only: sizes, names of nodes.
        """
        if self.over:
            return False
        cause, before = (failure.kind, _NUMBER.sub("#", failure.reason)), set(self._causes)
        self._causes.add(cause)
        self.failing_cells.add(pack.cell.cell_id)
        if failure.kind == "memory" and len(pack.points) > 1:
            self._first.discard(pack.pack_id)  # its halves take its place
        else:
            self._failures[pack.pack_id] += 1
        return before == {cause}

    def share_a_cause(self, others: bool) -> bool:
        """Tell whether every first pack failed in the same way.

        Two packs at least show it, of two cells if the sweep has several, or the only pack does twice.

        Args:
            others: whether other packs wait for training.
        """
        if self.over or len(self._causes) != 1 or self._failures.total() < 2:
            return False
        if (others and len(self._failures) < 2) or len(self.failing_cells) < min(2, self._cells):
            return False
        ((kind, _),) = self._causes
        return all(self._failures[pack_id] >= FIRST_ATTEMPTS[kind] for pack_id in self._first)
