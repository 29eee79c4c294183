"""Faults of `tests/chaos.py` that are done to processes, to MLflow's server and to the disk below a sweep.

A deed returns when it was done, in the trial's seconds, or None if there was nothing to do it to.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sweeps.conftest import ROOT

if TYPE_CHECKING:
    from tests.chaos_faults import Deed, Fault
    from tests.chaos_trial import Trial

PATIENCE = 20.0
"""Seconds that a fault waits for its victim while the command runs."""

_STREAMS = {
    "closed": """exec "$@" <&- >&-""",
    "full": """exec "$@" >/dev/full""",
}
"""How a shell starts a command whose output is lost."""


def kill_driver(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Kill the command and nothing else."""
    return trial.now if trial.running and trial.signal(signal.SIGKILL) else None


def kill_group(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Kill the command and all that it started, at once."""
    pids = sorted(trial.sweep.processes())
    if not trial.running:
        return None
    fault.note = f"{sum(map(_kill, pids))} processes"
    return trial.now


def kill_worker(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Kill a process in which a pack trains."""
    pids = trial.victims(lambda: trial.place.training(trial.sweep), PATIENCE)
    fault.note = f"one of {len(pids)}"
    return trial.now if pids and _kill(rng.choice(pids)) else None


def kill_server(name: str) -> Deed:
    """Return the killer of a process of the local Ray, as soon as there is one."""

    def kill(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
        pids = trial.victims(lambda: trial.sweep.named(name), PATIENCE)
        return trial.now if pids and _kill(pids[0]) else None

    return kill


def stop_with(number: signal.Signals) -> Deed:
    """Return the sender of a signal on which the command saves and ends within its grace."""

    def stop(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
        return trial.now if trial.running and trial.signal(number) else None

    return stop


def stop_twice(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Send two signals; the command leaves at the second."""
    first, second = rng.choices((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), k=2)
    pause, at = rng.uniform(0.05, 2.0), trial.now
    if not (trial.running and trial.signal(first)):
        return None
    trial.pause(pause, while_running=True)
    fault.note = f"{first.name}, {second.name} after {pause:.2f} s"
    if trial.running and trial.signal(second):
        trial.second_signal = trial.now
    return at


def kill_mlflow(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Kill MLflow's server and start it again after some seconds."""
    away, at = rng.uniform(1, 8), trial.now
    fault.note = f"away for {away:.1f} s"
    trial.place.signal(signal.SIGKILL)
    trial.pause(away)
    trial.place.start()
    assert trial.poll(trial.place.answers, 90), "MLflow's server comes up again"
    return at


def freeze_mlflow(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Stop MLflow's server for some seconds."""
    frozen, at = rng.uniform(1, 15), trial.now
    fault.note = f"for {frozen:.1f} s"
    trial.place.signal(signal.SIGSTOP)
    trial.pause(frozen)
    trial.place.signal(signal.SIGCONT)
    return at


def fill_disk(with_what: str) -> Deed:
    """Return what fills the disk with bytes or files until the command has ended."""

    def fill(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
        if not trial.running:
            return None
        trial.place.fill(with_what)
        at = trial.now
        trial.poll(lambda: not trial.running)
        trial.place.empty()
        return at

    return fill


def bar_writing(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Make the run directory read-only until the command has ended."""
    if not (trial.running and trial.place.out.exists()):
        return None
    trial.place.bar_writing()
    at = trial.now
    trial.poll(lambda: not trial.running)
    trial.place.allow_writing()
    return at


def bar_figures(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Have a file in the place of the folder of figures, or a folder in that of the page."""
    name = rng.choice(("figures", "report.html"))
    path, fault.note = trial.place.out / name, name
    if not (trial.running and trial.at_work):
        return None
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        if name == "figures":
            path.write_text("not a folder")
        else:
            path.mkdir()
            (path / "kept.txt").write_text("in the way")
    except FileExistsError:  # the sweep was faster
        return None
    at = trial.now
    trial.poll(lambda: not trial.running)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return at


def bar_workers(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Let workers end at once, for some seconds."""
    away, barrier = rng.uniform(5, 60), trial.place.folder / "no_workers"
    barrier.touch()
    _set_in_python(trial, CHAOS_NO_WORKERS=barrier)
    timer = threading.Timer(away, barrier.unlink, kwargs={"missing_ok": True})
    timer.daemon = True
    timer.start()
    fault.note = f"for {away:.1f} s"
    return trial.now


def refuse_locks(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Let the file system of the run directory refuse locks."""
    _set_in_python(trial, CHAOS_NO_LOCKS=trial.place.out)
    return trial.now


def _set_in_python(trial: Trial, **paths: Path) -> None:
    """Have the next start's Python read `sitecustomize` with these variables."""
    folders = [str(ROOT / "tests/chaos_site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    trial.ahead.environment |= {"PYTHONPATH": os.pathsep.join(folders)}
    trial.ahead.environment |= {name: str(path) for name, path in paths.items()}


def spoil_streams(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Close standard streams, or let them take nothing or few characters."""
    fault.note = rng.choice(("closed", "full", "ASCII"))
    if fault.note == "ASCII":
        trial.ahead.environment["PYTHONIOENCODING"] = "ascii"
    else:
        trial.ahead.prefix += ("sh", "-c", _STREAMS[fault.note], "sh")
        trial.ahead.is_silent = True
    return trial.now


def give_terminal(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Let the command run in a terminal, for some seconds."""
    trial.ahead.terminal_seconds = rng.uniform(1, 40)
    trial.ahead.is_silent = True
    fault.note = f"for {trial.ahead.terminal_seconds:.1f} s"
    return trial.now


def kill_second_node(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
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
