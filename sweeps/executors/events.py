"""The events of training, as executors yield them. Plain values; loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
class Unseen:
    """A node, of this name, does not see the run directory, where its states or weights would go."""

    node: str


@dataclass(frozen=True)
class Saved:
    """Ray has carried the state of a pack here, which goes into the run directory."""

    pack_id: str
    state: bytes


@dataclass(frozen=True)
class Spoilt:
    """The state of a pack cannot be used, by a worker that does not see it."""

    pack_id: str


@dataclass(frozen=True)
class Unsaved:
    """The state of a pack could not be written or read, for this reason; the pack trains on."""

    pack_id: str
    reason: str


@dataclass(frozen=True)
class Quiet:
    """Nothing has happened for a moment."""


Event: TypeAlias = (
    Progressed
    | Finished
    | Failed
    | Returned
    | Lost
    | Nodes
    | Starting
    | Notice
    | Unseen
    | Saved
    | Spoilt
    | Unsaved
    | Quiet
)


def events_of(pack_id: str, news: News) -> Iterator[Event]:
    """Yield the events in a worker's news of a pack."""
    yield from (Notice(f"pack {pack_id}: {text}") for text in news.notices)
    if news.unseen:
        yield Unseen(news.unseen)
    if news.trouble:
        yield Unsaved(pack_id, news.trouble)
    if news.is_bad:
        yield Spoilt(pack_id)
    if news.state:
        yield Saved(pack_id, news.state)
