"""The run directories in a folder, and the removal of one with everything that a sweep made in it."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.text.words import plural
from sweeps.errors import SweepError
from sweeps.machine.locks import lock
from sweeps.record.holding import LOCK, is_in_use
from sweeps.record.identity import SWEEP_ID
from sweeps.record.paths import Paths

_WRITTEN = {
    "fragments": ("*.members.parquet*", "*.history.parquet*", "*.failed.parquet*"),
    "checkpoints": ("*.pt*",),
    "weights": ("*.safetensors*",),
    "figures": ("*.png", "*.svg"),
    "": (
        *("report.html", "sweep.log", "studies.log", ".reserve*", ".origin", SWEEP_ID, "space.yaml"),
        *(f"{name}.parquet*" for name in ("members", "history", "thresholds", "comparisons", "costs")),
    ),
}
"""Patterns of what a sweep writes, by folder; damaged files end with .bad. The lock comes last."""


@dataclass(frozen=True)
class RunState:
    """A run directory as it is now.

    Attributes:
        path: the directory.
        members: number of finished members.
        size: bytes of all its files.
        age: seconds since a result or a state was last written.
        state: `in use`, `stopped` with the number of packs whose training goes on, or `at rest`.
    """

    path: Path
    members: int
    size: int
    age: float
    state: str


def run_states(folders: list[Path]) -> list[RunState]:
    """Return the state of each run in these folders: of a folder that is a run, or of the runs in it.

    Raises:
        SweepError: a folder is no run and has none in it.
    """
    states = []
    for folder in folders:
        inside = sorted(path.parent for path in folder.glob("*/space.yaml"))
        runs = [folder] if (folder / "space.yaml").is_file() else inside
        if not runs:
            raise SweepError(f"{folder} is no run and holds none; give the folder of a run or of several")
        states += [_state(Paths(run)) for run in runs]
    return states


def sweep_id_of(run: Path) -> str:
    """Return the identity of a run's sweep in MLflow; empty where it has none."""
    with suppress(OSError, UnicodeDecodeError):
        return (run / SWEEP_ID).read_text(encoding="utf-8").strip()
    return ""


def remove_run(run: Path) -> list[Path]:
    """Remove all that a sweep made in a run directory, and the directory if nothing else is in it.

    Returns what was left: files that are not the project's.

    Raises:
        SweepError: the run is in use, or a file cannot be removed.
    """
    if not (run / "space.yaml").is_file():
        raise SweepError(f"{run} is no run: it has no space.yaml")
    try:
        with (run / LOCK).open("ab") as file:
            lock(file, wait=False)
            for path in _made(run):
                path.unlink(missing_ok=True)
            for name in filter(None, _WRITTEN):
                with suppress(OSError):  # it is missing, or holds other files
                    (run / name).rmdir()
            (run / LOCK).unlink(missing_ok=True)
    except BlockingIOError:
        raise SweepError(f"{run} is in use by a sweep or an evaluation; wait for its end") from None
    except OSError as error:
        raise SweepError(f"{run} cannot be removed: {error}") from None
    with suppress(OSError):
        run.rmdir()
    return sorted(run.iterdir()) if run.exists() else []


def _made(run: Path) -> Iterator[Path]:
    """Yield the files that a sweep made."""
    for name, patterns in _WRITTEN.items():
        for pattern in patterns:
            yield from (path for path in (run / name).glob(pattern) if not path.is_dir())


def _state(run: Paths) -> RunState:
    members = sum(_rows(path) for path in run.fragment_files("members"))
    files = [path for path in run.path.rglob("*") if path.is_file()]
    written = [*run.fragments.glob("*"), *run.checkpoints.glob("*"), run.settings]
    if is_in_use(run.path):
        state = "in use"
    else:
        saved = len([*run.checkpoints.glob("*.pt")])
        state = f"stopped, {plural(saved, 'pack')} saved" if saved else "at rest"
    return RunState(
        path=run.path,
        members=members,
        size=sum(os.path.getsize(path) for path in files if path.exists()),
        age=time.time() - max(path.stat().st_mtime for path in written),
        state=state,
    )


def _rows(path: Path) -> int:
    with suppress(pa.ArrowException, OSError):  # damaged; its sweep says so
        return int(pq.read_metadata(path).num_rows)
    return 0
