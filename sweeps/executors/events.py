"""The events of training, as executors yield them. Plain values; loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from sweeps.worker.failures import Failure
from sweeps.worker.task import News, PackResult, Task

NodeResources: TypeAlias = Mapping[str, float]
"""Resources of a node, by Ray's names: CPU, GPU."""


@dataclass(frozen=True)
class Next:
    """What to train next: a task, None for not now, or that no more will come.

    Attributes:
        state: of the pack, for a worker that does not see where it lives; empty without one to carry.
    """

    task: Task | None
    finished: bool = False
    state: bytes = b""


@dataclass(frozen=True)
class Progressed:
    """A pack has done this many training steps; 0 comes from a worker that begins."""

    pack_id: str
    steps: int
    news: News = field(default_factory=News)


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
    """The training of a pack ended through no fault of its own."""

    pack_id: str


@dataclass(frozen=True)
class Lost:
    """Ray was lost, and with it all packs in training."""

    reason: str


@dataclass(frozen=True)
class Nodes:
    """The cluster has these nodes now."""

    nodes: Sequence[NodeResources]


@dataclass(frozen=True)
class Starting:
    """Packs have their slots, and no worker has started yet.

    Attributes:
        seconds: since when.
        error: the error in Ray's logs of this node since then, as `FILE: CAUSE`; empty without one.
    """

    seconds: float
    error: str


@dataclass(frozen=True)
class Notice:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class Quiet:
    """Nothing has happened for a moment."""


Event: TypeAlias = Progressed | Finished | Failed | Returned | Lost | Nodes | Starting | Notice | Quiet
