"""The run directories in a folder, and the removal of one with everything that a sweep made in it."""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.text.words import plural
from sweeps.errors import SweepError
from sweeps.machine.locks import lock
from sweeps.record.holding import LOCK, is_in_use
from sweeps.record.paths import WRITTEN, Paths
from sweeps.record.states import clear_states, recorded_uri
from sweeps.worker.objects import without_secrets
from sweeps.worker.states import StatesError

_MADE = WRITTEN | {
    "figures": r"(sheet_[0-9a-f]+|[a-z_]+)\.(png|svg)",
    "": r"(space\.yaml|\.states|\.sweep_id|\.origin|\.reserve[.\d]*|report\.html|sweep\.log|studies\.log"
    r"|(members|history|thresholds|comparisons|costs)\.parquet)",
}
"""Patterns of what a sweep makes, by folder: narrower than `WRITTEN` where users may keep their own files."""


@dataclass(frozen=True)
class RunState:
    """A run directory as it is now.

    Attributes:
        path: the directory.
        members: number of finished members.
        size: bytes of all its files.
        age: seconds since a result or a state was last written.
        state: `in use`, `stopped` with the number of packs whose training goes on, or `at rest`; in place of
            the last two the URI of states, at which nobody looks.
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


def remove_run(run: Path, first: Callable[[RunState], object]) -> list[Path]:
    """Remove all that a sweep made in a run directory, and the directory if nothing else is in it.

    Its states at a URI are deleted too. Returns what was left: files that are not the project's.

    Args:
        run: the directory, held meanwhile.
        first: is called before; if it raises, nothing is removed.

    Raises:
        SweepError: it is no run, is in use, or a file cannot be removed.
    """
    if not (run / "space.yaml").is_file():
        raise SweepError(f"{run} is no run; only a run that is named itself is deleted")
    state = _state(Paths(run))
    try:
        with (run / LOCK).open("ab") as file:
            lock(file, wait=False)
            clear_states(run)
            first(state)
            for folder in (*filter(None, _MADE), ""):
                for path in _made(run / folder, _MADE[folder]):
                    path.unlink(missing_ok=True)
                if folder:
                    with suppress(OSError):  # it is missing, or holds other files
                        (run / folder).rmdir()
            (run / LOCK).unlink(missing_ok=True)
    except BlockingIOError:
        raise SweepError(f"{run} is in use by a sweep or an evaluation; wait for its end") from None
    except StatesError as error:
        raise SweepError(
            f"{run} is not deleted: a state of its packs at {without_secrets(recorded_uri(run))} {error}"
        ) from None
    except OSError as error:
        raise SweepError(f"{run} cannot be removed: {error}") from None
    with suppress(OSError):
        run.rmdir()
    return sorted(run.iterdir()) if run.exists() else []


def _made(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a pattern, damaged ones, which end with .bad, among them."""
    names = re.compile(rf"{pattern}(\.bad)?")
    return [path for path in folder.glob("*") if names.fullmatch(path.name) and not path.is_dir()]


def _state(run: Paths) -> RunState:
    members = sum(_rows(path) for path in run.fragment_files("members"))
    files = [path for path in run.path.rglob("*") if path.is_file()]
    written = [*run.fragments.glob("*"), *run.checkpoints.glob("*"), run.settings]
    if is_in_use(run.path):
        state = "in use"
    elif uri := recorded_uri(run.path):
        state = f"states in {without_secrets(uri)}"
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
