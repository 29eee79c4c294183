"""Packs: members of one cell that train together, and how many."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sweeps.plan.cells import PlannedCell, Point, digest

LARGEST_PACK, LARGEST_SMALL_PACK = 12, 24
"""Most members in a pack on a CPU unless a space says otherwise, and most where a member's step is small. On
digits a pack of 24 takes 1.1 times as many member-steps a second as one of 12, on MNIST it gains nothing
(`benchmarks/results/step.csv`)."""


SMALL_STEP = 5 * 10**7
"""Multiply-adds up to which a member's step is small: 1.5e7 on digits, 1e8 on MNIST with 20,20,20."""


NARROW_CHANNELS = 8
"""Channels of convolutional members up to which they are packed on a CPU. Stacked convolutions are grouped
ones: of 8 channels a pack of 12 takes 1.4 times as many member-steps a second as a member alone, of 16 and
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


def pack_points(points: Iterable[Point], slots: int, largest: int, cell: PlannedCell) -> list[Pack]:
    """Split a round of a cell into packs: enough of them for every slot, none above `largest`.

    Points are sorted by seed, so that the members of a seed share its images and noise, and split as
    evenly as they go. The result is a function of the points alone, so that an interrupted round is
    packed again in the same way.
    """
    ordered = sorted(points, key=lambda point: (point.seed, point.rho))
    if not ordered:
        return []
    count = max(math.ceil(len(ordered) / largest), min(slots, len(ordered)))
    return [Pack(cell, tuple(part)) for part in _even_parts(ordered, count)]


def _even_parts(points: Sequence[Point], count: int) -> list[Sequence[Point]]:
    ends = [round(i * len(points) / count) for i in range(count + 1)]
    return [points[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]


def largest_pack(cell: PlannedCell) -> int:
    """Return the maximum number of members in a pack of a cell, unless its space sets one."""
    if cell.device == "cuda":
        from ouvae.training.counts import member_bytes  # torch: not before Ray is being started

        size = GPU_PACK_BYTES // cell.count(member_bytes, cell.device)
        return min(max(size, 1), LARGEST_GPU_PACK)
    if cell.cell.traits("architecture").images and max(cell.cell.hidden) > NARROW_CHANNELS:
        return 1
    return LARGEST_SMALL_PACK if cell.multiply_adds() <= SMALL_STEP else LARGEST_PACK


def packs_wanted(slots: int, cells: int) -> int:
    """Return how many packs a cell's batch makes at least: about two a slot over all cells.

    That is enough to balance the slots, and few enough for large packs.
    """
    return max(1, -(-2 * slots // cells))
