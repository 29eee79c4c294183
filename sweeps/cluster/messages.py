"""What the sweep and the Ray process say to each other, beside the events of training. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ouvae.data import Dataset
from ouvae.declared import Cell
from sweeps.executors.events import NodeResources
from sweeps.executors.places import Resources

if TYPE_CHECKING:
    from ouvae.training.costs import Cost

# From the sweep. It answers `Wanted` with `Next`.


@dataclass(frozen=True)
class Train:
    """Train packs until none is left; the answers are `Wanted` and events, `Ended` the last.

    Attributes:
        pending: packs that may wait for a slot, which an autoscaler looks at.
    """

    resources: Resources
    data: Mapping[str, Dataset]
    pending: int


@dataclass(frozen=True)
class Stop:
    """Save the packs in training and end."""


@dataclass(frozen=True)
class Measure:
    """Measure the costs of a member of each cell side by side, in one task; the answer is `Measured`."""

    cells: Sequence[Cell]
    data: Dataset
    device: str
    resources: Resources
    rounds: int
    steps: int


@dataclass(frozen=True)
class Close:
    """Let Ray go and end."""


# From the Ray process.


@dataclass(frozen=True)
class Connected:
    """Ray is there, with these nodes."""

    nodes: Sequence[NodeResources]


@dataclass(frozen=True)
class Refused:
    """The request cannot be met, for this reason."""

    reason: str


@dataclass(frozen=True)
class Wanted:
    """There is a slot for a pack."""


@dataclass(frozen=True)
class Ended:
    """The training is over: nothing is left, or it was stopped."""


@dataclass(frozen=True)
class Measured:
    """The costs, in the order of the members."""

    costs: list[Cost]
