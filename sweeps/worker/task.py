"""What a worker is given and what it returns. Both are pickled whole; loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ouvae.declared import Cell
from ouvae.training.outcome import Outcome, Sheet
from sweeps.worker.hardware import Machine
from sweeps.worker.states import States


@dataclass(frozen=True)
class Task:
    """A pack to train.

    Attributes:
        control: the control parameter.
        members: its value and the seed of each.
        data: the data set's digest.
        threads: of a worker.
        evaluation_bytes: memory that the evaluation of L_k may take.
        states: where the pack's state lives.
        checkpoint_seconds: time between two saved states; 0 saves none.
        weights: file for the trained weights, written where its folder exists; empty keeps none.
        best_weights: whether to keep the best weights rather than the last.
        drawn: indices of the members whose sheets are drawn.
    """

    pack_id: str
    cell: Cell
    control: str
    members: Sequence[tuple[float, int]]
    data: str
    device: str
    threads: int
    evaluation_bytes: int
    states: States
    checkpoint_seconds: float
    weights: str = ""
    best_weights: bool = False
    drawn: Sequence[int] = ()


@dataclass(frozen=True)
class PackResult:
    """A trained pack.

    Attributes:
        parameters: trained parameters of a member.
        seconds: wall time of the training, without interruptions.
        machine: of the worker; of all workers, if the pack continued on another machine.
        sheets: of the members that were drawn, by their indices.
    """

    outcomes: tuple[Outcome, ...]
    parameters: int
    seconds: float
    torch_version: str
    python_version: str
    machine: Machine
    sheets: Mapping[int, Sheet] = field(default_factory=dict)


@dataclass
class News:
    """What a worker says of its pack besides steps and result.

    Attributes:
        notices: lines for the user.
        trouble: why the state could not be written or read, if that happened.
        unseen: name of this node, if it does not see the run directory, where states or weights would go.
        state: the pack's state, which Ray carries to the sweep; empty without a new one.
    """

    notices: list[str] = field(default_factory=list)
    trouble: str = ""
    unseen: str = ""
    state: bytes = b""
