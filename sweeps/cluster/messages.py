"""What the sweep and the Ray process say to each other, in plain values. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ouvae.data import Dataset
from ouvae.declared import Cell
from sweeps.worker.failures import Failure
from sweeps.worker.task import PackResult, Task

if TYPE_CHECKING:
    from ouvae.training.costs import Cost

NodeResources: TypeAlias = Mapping[str, float]
"""What a node has, in Ray's words: CPU, GPU."""


@dataclass(frozen=True)
class Resources:
    """What a pack asks Ray for."""

    cpus: int
    gpus: float

    def __str__(self) -> str:
        """Say it as `1 CPU` or `2 CPUs and 0.5 GPU`."""
        cpus = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        return f"{cpus} and {self.gpus:g} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else cpus

    def room_in(self, nodes: Sequence[NodeResources]) -> int:
        """Return how many packs fit the nodes at once."""
        return sum(self._room(node) for node in nodes)

    def _room(self, node: NodeResources) -> int:
        cpus = int(node.get("CPU", 0) // self.cpus)
        return min(cpus, int(node.get("GPU", 0) / self.gpus + 1e-9)) if self.gpus else cpus


# From the sweep.


@dataclass(frozen=True)
class Train:
    """Train packs until none is left; the answers are those below, `Ended` the last.

    Attributes:
        resources: of a pack.
        data: the data sets by digest.
        pending: packs that may wait for a place, which is what an autoscaler looks at.
    """

    resources: Resources
    data: Mapping[str, Dataset]
    pending: int


@dataclass(frozen=True)
class Next:
    """The answer to `Wanted`: a pack, None for not now, or that there will be no more."""

    task: Task | None
    finished: bool = False


@dataclass(frozen=True)
class Stop:
    """Save the packs in training and end."""


@dataclass(frozen=True)
class Measure:
    """Measure the costs of members (cell, rho) side by side, in one task; the answer is `Measured`."""

    members: Sequence[tuple[Cell, float]]
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
    """What was asked for cannot be done, for this reason."""

    reason: str


@dataclass(frozen=True)
class Wanted:
    """There is a place for a pack."""


@dataclass(frozen=True)
class Nodes:
    """The cluster has these nodes now."""

    nodes: Sequence[NodeResources]


@dataclass(frozen=True)
class Progress:
    """A pack has done this many training steps; 0 comes from a worker that begins."""

    pack_id: str
    steps_done: int


@dataclass(frozen=True)
class Starting:
    """Packs have their slots, and no worker is there yet.

    Attributes:
        seconds: since when.
        error: what Ray's logs of this node say about it since then, as `FILE: CAUSE`; empty without an error.
    """

    seconds: float
    error: str


@dataclass(frozen=True)
class Notice:
    """A line for whoever watches."""

    text: str


@dataclass(frozen=True)
class Unseen:
    """A pack trains without checkpoints: its node, of this name, does not see their folder."""

    node: str


@dataclass(frozen=True)
class Finished:
    """A pack is trained."""

    pack_id: str
    result: PackResult


@dataclass(frozen=True)
class Failed:
    """An attempt to train a pack failed."""

    pack_id: str
    failure: Failure


@dataclass(frozen=True)
class Returned:
    """A pack is handed back through no fault of its own."""

    pack_id: str


@dataclass(frozen=True)
class Ended:
    """The training that was asked for is over: nothing is left, or it was stopped."""


@dataclass(frozen=True)
class Measured:
    """The costs, in the order of the members."""

    costs: list[Cost]
