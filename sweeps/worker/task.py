"""What a worker is given and what it returns. Both are pickled whole; loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ouvae.declared import Cell
from ouvae.training.outcome import Outcome, Sheet
from sweeps.worker.hardware import Machine


@dataclass(frozen=True)
class Task:
    """A pack to train.

    Attributes:
        members: (rho, seed) of each.
        data: the data set's digest.
        threads: of a worker.
        evaluation_bytes: memory that the evaluation of L_k may take.
        checkpoint: file of the pack's state, used where its folder exists, on a file system that the worker
            shares with the sweep.
        checkpoint_seconds: time between two saved states; 0 saves none.
        weights: file for the trained weights, written where its folder exists; empty keeps none.
        best_weights: whether to keep the best weights rather than the last.
        drawn: indices of the members whose sheets are drawn.
    """

    pack_id: str
    cell: Cell
    members: Sequence[tuple[float, int]]
    data: str
    device: str
    threads: int
    evaluation_bytes: int
    checkpoint: str
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
