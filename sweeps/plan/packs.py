"""Packs: members of one cell that train together, and how many."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from sweeps.plan.cells import PlannedCell, Point, digest

LARGEST_PACK, LARGEST_SMALL_PACK = 12, 24
"""Most members in a pack on a CPU unless a space says otherwise, and most where a member's step is small. On
digits a pack of 24 takes 1.1 times as many member-steps a second as one of 12, on MNIST it gains nothing
(`benchmarks/results/step.csv`)."""

SMALL_STEP = 5 * 10**7
"""Multiply-adds up to which a member's step is small: 1.5e7 on digits, 1e8 on MNIST with 20,20,20."""

NARROW_CHANNELS = 8
"""Channels of convolutional members up to which they are packed on a CPU. Stacked convolutions are grouped
ones: of 8 channels a pack of 12 takes 1.4 times as many member-steps a second as a single member, of 16 and
32 channels 0.9 times (docs/speed.md)."""

LARGEST_GPU_PACK, GPU_PACK_BYTES = 512, 16 * 2**30
"""The same on a GPU, and the memory that a pack in training takes there at most. A step of 256 members is
within 5 % of the rate of one of 512 (`benchmarks/results/step_cuda.csv`)."""


@dataclass(frozen=True)
class Pack:
    """The members trained together as one trial: points of one cell."""

    cell: PlannedCell
    points: tuple[Point, ...]

    @cached_property
    def pack_id(self) -> str:
        """Hash of the members' identities, in their order."""
        return digest([self.cell.member_id(point) for point in self.points])

    def __str__(self) -> str:
        """Return the cell and the first members."""
        points = ", ".join(
            f"{self.cell.control}={point.value:g} seed={point.seed}" for point in self.points[:3]
        )
        more = f" and {len(self.points) - 3} more" if len(self.points) > 3 else ""
        return f"{self.cell.label}; {points}{more}"


@dataclass(frozen=True)
class Packing:
    """How many packs a batch makes.

    Attributes:
        largest: maximum number of members in a pack.
        slots: packs that train at once.
        cells: cells that share the slots.
    """

    largest: int
    slots: int = 1
    cells: int = 1

    def count(self, points: int) -> int:
        """Return the number of packs of so many points.

        There are about two packs a slot over all cells: enough to balance the slots, and few enough for large
        packs. Packs that need several rounds fill the last round too, and are smaller instead.
        """
        wanted = max(1, -(-2 * self.slots // self.cells))
        count = max(self.fewest(points), min(wanted, points))
        return count if count <= self.slots else min(-(-count // self.slots) * self.slots, points)

    def fewest(self, points: int) -> int:
        """Return the minimum number of packs of so many points."""
        return math.ceil(points / self.largest)


def pack_points(points: Iterable[Point], packing: Packing, cell: PlannedCell) -> list[Pack]:
    """Split a batch of a cell into packs.

    Points are sorted by seed, so that the members of a seed share its images and noise, and split as
    evenly as possible. The result is a function of the points only.
    """
    ordered = sorted(points, key=_by_seed)
    return [Pack(cell, part) for part in _even_parts(ordered, packing.count(len(ordered)))]


def pack_missing(
    points: Collection[Point],
    missing: Collection[Point],
    finished: Collection[frozenset[Point]],
    packing: Packing,
    cell: PlannedCell,
) -> list[Pack]:
    """Split what is missing of a batch as the whole batch was split before it was interrupted.

    The last digits of a member depend on the members that train with it. So the packs that a batch lacks stay
    the same, even if the number of slots has changed, as far as its finished packs show how it was split.

    Args:
        points: of the batch.
        missing: those that are not trained.
        finished: the points of each finished pack of the cell.
        packing: how a batch is split that is not interrupted.
        cell: of the points.
    """
    ordered, lacking = sorted(points, key=_by_seed), set(missing)
    now = packing.count(len(ordered))
    sizes = {len(pack) for pack in finished if pack.issubset(ordered)}
    counts = range(packing.fewest(len(ordered)), len(ordered) + 1) if sizes else ()
    for count in (now, *counts):
        if not sizes <= {len(ordered) // count, -(-len(ordered) // count)}:
            continue
        parts = _even_parts(ordered, count)
        if all(lacking.issuperset(part) or frozenset(part) in finished for part in parts):
            return [Pack(cell, part) for part in parts if lacking.issuperset(part)]
    parts = [part for part in _even_parts(ordered, now) if not lacking.isdisjoint(part)]
    if all(lacking.issuperset(part) for part in parts):
        return [Pack(cell, part) for part in parts]
    return pack_points(missing, packing, cell)


def _by_seed(point: Point) -> tuple[int, float]:
    return point.seed, point.value


def _even_parts(points: Sequence[Point], count: int) -> list[tuple[Point, ...]]:
    ends = [round(i * len(points) / count) for i in range(count + 1)] if count else []
    return [tuple(points[start:end]) for start, end in pairwise(ends)]


def largest_pack(cell: PlannedCell) -> int:
    """Return the maximum number of members in a pack of a cell, unless its space sets one."""
    if cell.device == "cuda":
        from ouvae.training.counts import member_bytes  # torch: not before Ray is being started

        size = GPU_PACK_BYTES // cell.count(member_bytes, cell.device)
        return min(max(size, 1), LARGEST_GPU_PACK)
    if cell.cell.traits("architecture").images and max(cell.cell.hidden) > NARROW_CHANNELS:
        return 1
    return LARGEST_SMALL_PACK if cell.multiply_adds() <= SMALL_STEP else LARGEST_PACK
