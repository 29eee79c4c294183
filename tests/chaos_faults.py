"""The faults of `tests/chaos.py` in one table: what is done, when, and what it may change."""

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from tests import chaos_deeds as deeds
from tests import chaos_files as files

if TYPE_CHECKING:
    from tests.chaos_trial import Trial

Deed: TypeAlias = Callable[["Trial", "Fault", random.Random], float | None]

PACKS = 8
"""Packs of the sweep."""


@dataclass
class Fault:
    """A fault, as the dice have it, and what became of it.

    Attributes:
        kind: a key of `KINDS`.
        packs: done once this many packs are finished and the command is at work; None: whatever it does.
        wait: seconds after that; without `packs` after the command's start or the fault before.
        dice: seed of the fault's own choices.
        at: seconds of the trial when it was done; None if there was nothing to do it to.
        note: what was done to what.
        recovery: seconds from then to the next sign of progress or, where the command has to end, to its end.
    """

    kind: str
    packs: int | None
    wait: float
    dice: int
    at: float | None = None
    note: str = ""
    recovery: float | None = None

    @property
    def moment(self) -> str:
        """Say when it is due."""
        return f"{self.wait:.1f} s after " + ("the last" if self.packs is None else f"{self.packs} packs")


RUNNING, BETWEEN, START = "while it runs", "between two runs", "at its next start"
"""When a fault is done; before the last two the command is killed."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        says: what is done, for the report.
        do: does it; returns when, in the trial's seconds, or None if there was nothing to do it to.
        when: it is done: RUNNING, BETWEEN or START.
        places: where it can be done.
        codes: with which the command may end for it, besides 0.
        error: words of the line that says why it ended with 1.
        ends: whether the command has to end for it, so that its end is what is waited for.
        own: whether its place is there for its sake, so that it is as frequent as all others together.
    """

    says: str
    do: Deed
    when: str = RUNNING
    places: frozenset[str] = frozenset({"local", "server", "disk", "cluster"})
    codes: frozenset[int] = field(default_factory=frozenset)
    error: str = ""
    ends: bool = False
    own: bool = False

    @property
    def is_signal(self) -> bool:
        """Whether it is a signal on which the command saves and ends."""
        return self.ends and min(self.codes) > 128


def dice(*seed: object) -> random.Random:
    """Return dice that always fall alike for the same seed."""
    return random.Random(" ".join(map(str, seed)))  # noqa: S311 - no secret


def planned(seed: int, trial: int, place: str, kinds: Sequence[str]) -> list[Fault]:
    """Throw the dice for a trial: 3 to 6 faults over its life, a third of them soon after the one before."""
    rng = dice(seed, trial)
    here = [name for name in KINDS if place in KINDS[name].places and name in kinds]
    own = sum(KINDS[name].own for name in here)
    weights = [max(1, len(here) - own) / own if KINDS[name].own else 1.0 for name in here]
    faults = []
    for position in sorted(rng.random() for _ in range(rng.randint(3, 6))):
        (kind,) = rng.choices(here, weights)
        if position < 0.1 or rng.random() < 0.3:
            packs, wait = None, rng.uniform(0, 10)
        elif position > 0.85:
            packs, wait = PACKS, rng.uniform(0, 4)
        else:
            packs, wait = 1 + int(position * (PACKS - 1)), rng.uniform(0, 2.5)
        faults.append(Fault(kind, packs, wait, rng.getrandbits(32)))
    return faults


OWN_RAY = frozenset({"local", "server", "disk"})
ROOMY = frozenset({"local", "server", "cluster"})
SERVER, DISK, CLUSTER = frozenset({"server"}), frozenset({"disk"}), frozenset({"cluster"})
KILLED = frozenset({137})

KINDS = {
    "driver": Kind("the command is killed", deeds.kill_driver, codes=KILLED),
    "driver_group": Kind(
        "the command and all of its processes are killed at once", deeds.kill_group, codes=KILLED
    ),
    "worker": Kind("a process in which a pack trains is killed", deeds.kill_worker),
    "raylet": Kind(
        "Ray's raylet is killed", deeds.kill_server("raylet"), places=OWN_RAY, codes=frozenset({1, 2})
    ),
    "gcs": Kind(
        "Ray's server is killed", deeds.kill_server("gcs_server"), places=OWN_RAY, codes=frozenset({1, 2})
    ),
    "no_workers": Kind(
        "workers cannot start for 5 to 60 s", deeds.bar_workers, START,
        places=OWN_RAY, codes=frozenset({1}), error="no worker came up",
    ),
    "term": Kind("SIGTERM", deeds.stop_with(signal.SIGTERM), codes=frozenset({143}), ends=True),
    "int": Kind("SIGINT", deeds.stop_with(signal.SIGINT), codes=frozenset({130}), ends=True),
    "hangup": Kind("SIGHUP", deeds.stop_with(signal.SIGHUP), codes=frozenset({129}), ends=True),
    "two_signals": Kind(
        "two signals within 2 s", deeds.stop_twice, codes=frozenset({129, 130, 143}), ends=True
    ),
    "terminal": Kind(
        "the command runs in a terminal, which goes away after 1 to 40 s", deeds.give_terminal, START,
        places=OWN_RAY, codes=frozenset({129}),
    ),
    "streams": Kind(
        "standard streams are closed, or the output is a full disk or ASCII", deeds.spoil_streams, START
    ),
    "no_locks": Kind("the file system of the run directory has no locks", deeds.refuse_locks, START),
    "no_figures": Kind(
        "a file or a folder lies in the place of the figures or the page until the command has ended",
        deeds.bar_figures, codes=frozenset({1}), error="not complete", ends=True,
    ),
    "mlflow_killed": Kind(
        "MLflow's server is killed, and started again after 1 to 8 s",
        deeds.kill_mlflow, places=SERVER, codes=frozenset({2, 3}), own=True,
    ),
    "mlflow_frozen": Kind(
        "MLflow's server is stopped for 1 to 15 s",
        deeds.freeze_mlflow, places=SERVER, codes=frozenset({2, 3}), own=True,
    ),
    "disk_full": Kind(
        "the disk is filled until the command has ended", deeds.fill_disk("bytes"),
        places=DISK, codes=frozenset({1, 2}), error="No space left", ends=True, own=True,
    ),
    "no_more_files": Kind(
        "no more files can be made until the command has ended", deeds.fill_disk("files"),
        places=DISK, codes=frozenset({1, 2}), error="No space left", ends=True, own=True,
    ),
    "read_only": Kind(
        "the run directory is read-only until the command has ended", deeds.bar_writing,
        places=DISK, codes=frozenset({1, 2}), error="Read-only file system", ends=True, own=True,
    ),
    "checkpoint_cut": Kind("the state of a pack in training is cut", files.damage_checkpoint(False)),
    "checkpoint_foreign": Kind(
        "the state of a pack becomes another pack's, or random bytes", files.damage_checkpoint(True)
    ),
    "fragment_cut": Kind("a finished pack's file is cut", files.cut_fragment, BETWEEN),
    "bit": Kind("a bit flips in any file of the run directory", files.flip_bit, BETWEEN),
    "fragment_twice": Kind("a finished pack's files are copied to other names", files.copy_fragment, BETWEEN),
    "fragment_conflict": Kind(
        "the same with another number, which is refused until it is moved away",
        files.contradict_fragment, BETWEEN,
    ),
    "others_files": Kind("files of others and of killed writers lie there", files.litter, BETWEEN),
    "moved": Kind("the run directory is moved", files.move, BETWEEN),
    "copied": Kind(
        "the run directory is copied, and one of the two goes on", files.copy, BETWEEN, places=ROOMY
    ),
    "refused": Kind(
        "other settings, or a store of another version: refused", files.refuse, BETWEEN
    ),
    "second": Kind("a second command in the same run directory: refused", files.refuse),
    "second_node": Kind(
        "the second node's raylet is killed; another node comes after 1 to 6 s",
        deeds.kill_second_node, places=CLUSTER, codes=frozenset({1}), own=True,
    ),
}  # fmt: skip
"""The kinds of faults."""
