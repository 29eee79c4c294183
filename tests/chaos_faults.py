"""The faults of `tests/chaos.py`: which, when, and how each is done to a trial."""

import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tests.chaos_trial import Trial

Deed: TypeAlias = Callable[["Trial", "Fault", random.Random], float | None]

PACKS = 8
"""Packs of the sweep."""

PATIENCE = 20.0
"""Seconds that a fault waits for its victim while the command runs."""


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


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        says: what is done, for the report.
        do: does it; returns when, in the trial's seconds, or None if there was nothing to do it to.
        places: where it can be done.
        codes: with which the command may end for it, besides 0.
        ends: whether the command has to end for it, so that its end is what is waited for.
        own: whether its place is there for its sake, so that it is as frequent as all others together.
    """

    says: str
    do: Deed
    places: frozenset[str]
    codes: frozenset[int] = field(default_factory=frozenset)
    ends: bool = False
    own: bool = False


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


def kill_driver(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Kill the command and nothing else."""
    return trial.now if trial.running and trial.signal(signal.SIGKILL) else None


def kill_group(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Kill the command and all that it started, at once."""
    pids = sorted(trial.sweep.processes())
    if not trial.running:
        return None
    fault.note = f"{sum(map(_kill, pids))} processes"
    return trial.now


def kill_worker(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Kill a process in which a pack trains."""
    pids = trial.victims(lambda: trial.place.training(trial.sweep), PATIENCE)
    fault.note = f"one of {len(pids)}"
    return trial.now if pids and _kill(rng.choice(pids)) else None


def kill_server(name: str) -> Deed:
    """Return the killer of a process of the local Ray, as soon as there is one."""

    def kill(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
        pids = trial.victims(lambda: trial.sweep.named(name), PATIENCE)
        return trial.now if pids and _kill(pids[0]) else None

    return kill


def stop_with(number: signal.Signals) -> Deed:
    """Return the sender of a signal on which the command saves and ends within its grace."""

    def stop(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
        return trial.now if trial.running and trial.signal(number) else None

    return stop


def stop_twice(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Send two signals; the command leaves at the second."""
    first, second = rng.choices((signal.SIGINT, signal.SIGTERM), k=2)
    pause, at = rng.uniform(0.05, 2.0), trial.now
    if not (trial.running and trial.signal(first)):
        return None
    trial.pause(pause, while_running=True)
    fault.note = f"{first.name}, {second.name} after {pause:.2f} s"
    if trial.running and trial.signal(second):
        trial.second_signal = trial.now
    return at


def kill_mlflow(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Kill MLflow's server and start it again after some seconds."""
    away, at = rng.uniform(1, 8), trial.now
    fault.note = f"away for {away:.1f} s"
    trial.place.signal(signal.SIGKILL)
    trial.pause(away)
    trial.place.start()
    assert trial.poll(trial.place.answers, 90), "MLflow's server comes up again"
    return at


def freeze_mlflow(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Stop MLflow's server for some seconds."""
    frozen, at = rng.uniform(1, 15), trial.now
    fault.note = f"for {frozen:.1f} s"
    trial.place.signal(signal.SIGSTOP)
    trial.pause(frozen)
    trial.place.signal(signal.SIGCONT)
    return at


def fill_disk(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Fill the disk until the command has ended."""
    if not trial.running:
        return None
    trial.place.fill()
    at = trial.now
    trial.poll(lambda: not trial.running)
    trial.place.filler.unlink()
    return at


def damage_checkpoint(foreign: bool) -> Deed:
    """Return what cuts a pack's state or puts other bytes there, while the command is dead or alive."""

    def damage(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
        folder = trial.place.out / "checkpoints"
        trial.poll(lambda: list(folder.glob("*.pt")) or not trial.running, PATIENCE)
        dead = rng.random() < 0.5
        if dead:
            trial.kill_and_wait()
        fault.note = "dead" if dead else "alive"
        paths = sorted(folder.glob("*.pt"))
        if not paths:
            return None
        path, other = rng.choice(paths), rng.choice(paths)
        try:
            whole = path.read_bytes()
            if not foreign:
                content = whole[: rng.randrange(len(whole) + 1)]
            else:
                content = other.read_bytes() if other != path else rng.randbytes(len(whole))
            with path.open("r+b") as file:
                file.write(content)
                file.truncate()
        except FileNotFoundError:
            return None
        return trial.now

    return damage


def cut_fragment(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Cut a finished pack's file while the command is dead."""
    trial.poll(lambda: trial.sweep.fragments() or not trial.running, PATIENCE)
    if not trial.sweep.fragments():
        return None
    trial.kill_and_wait()
    name = rng.choice(sorted(trial.sweep.fragments()))
    table = rng.choice(("members", "history"))
    path = trial.place.out / "fragments" / name.replace(".members.", f".{table}.")
    os.truncate(path, rng.randrange(path.stat().st_size))
    trial.forget(name)
    fault.note = path.name
    return trial.now


def kill_second_node(trial: "Trial", fault: Fault, rng: random.Random) -> float | None:
    """Kill the second node's raylet and start another node after some seconds."""
    pids = trial.victims(trial.place.second_raylets, PATIENCE)
    away, at = rng.uniform(1, 6), trial.now
    if not (pids and _kill(pids[0])):
        return None
    fault.note = f"away for {away:.1f} s"
    trial.pause(away)
    trial.place.start_second()
    return at


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


EVERYWHERE = frozenset({"local", "server", "disk", "cluster"})
OWN_RAY = frozenset({"local", "server", "disk"})

KINDS = {
    "driver": Kind("the command is killed", kill_driver, EVERYWHERE, frozenset({137})),
    "driver_group": Kind(
        "the command and all of its processes are killed at once", kill_group, EVERYWHERE, frozenset({137})
    ),
    "worker": Kind("a process in which a pack trains is killed", kill_worker, EVERYWHERE),
    "raylet": Kind("Ray's raylet is killed", kill_server("raylet"), OWN_RAY, frozenset({1, 2})),
    "gcs": Kind("Ray's server is killed", kill_server("gcs_server"), OWN_RAY, frozenset({1, 2})),
    "term": Kind("SIGTERM", stop_with(signal.SIGTERM), EVERYWHERE, frozenset({143}), ends=True),
    "int": Kind("SIGINT", stop_with(signal.SIGINT), EVERYWHERE, frozenset({130}), ends=True),
    "two_signals": Kind("two signals within 2 s", stop_twice, EVERYWHERE, frozenset({130, 143}), ends=True),
    "mlflow_killed": Kind(
        "MLflow's server is killed, and started again after 1 to 8 s",
        kill_mlflow, frozenset({"server"}), frozenset({2, 3}), own=True,
    ),
    "mlflow_frozen": Kind(
        "MLflow's server is stopped for 1 to 15 s",
        freeze_mlflow, frozenset({"server"}), frozenset({2, 3}), own=True,
    ),
    "disk_full": Kind(
        "the disk is filled until the command has ended",
        fill_disk, frozenset({"disk"}), frozenset({1, 2}), ends=True, own=True,
    ),
    "checkpoint_cut": Kind("the state of a pack in training is cut", damage_checkpoint(False), EVERYWHERE),
    "checkpoint_foreign": Kind(
        "the state of a pack becomes another pack's, or random bytes", damage_checkpoint(True), EVERYWHERE
    ),
    "fragment_cut": Kind("a finished pack's file is cut between two runs", cut_fragment, EVERYWHERE),
    "second_node": Kind(
        "the second node's raylet is killed; another node comes after 1 to 6 s",
        kill_second_node, frozenset({"cluster"}), frozenset({1}), own=True,
    ),
}  # fmt: skip
"""The kinds of faults."""
