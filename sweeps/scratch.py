"""Folders that go: a sweep's own, removed with it however it ends, and a working folder that was removed."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeps import SweepError
from sweeps.processes import kill

PREFIX = "ouvae-"

LONGEST_BASE = 36
"""Longest path of the folder in which it is made: Ray puts sockets 70 characters deeper, and the path of a
socket has at most 107."""


LOCK = ".lock"

PATIENCE_SECONDS = 15.0
"""For what still writes into a folder that is removed: workers of a killed Ray end within seconds."""

LONG_PATIENCE_SECONDS = 60.0
"""The same where nobody waits for it: on a busy machine they take longer."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder, and remove it at the end; those whose owner was killed are removed first."""
    base = Path(tempfile.gettempdir())
    if len(str(base)) > LONGEST_BASE:
        base = Path("/tmp")  # noqa: S108 - the name is made by mkdtemp
    _remove_orphans(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            remove(folder)
            _remove_orphans(base)


def leave_lost_folder(run: Path) -> None:
    """Go to / where the working folder is gone, since libraries ask for its path when they are loaded.

    Raises:
        SweepError: the run directory lies in the working folder.
    """
    try:
        Path.cwd()
    except OSError as error:
        if not run.is_absolute():
            raise SweepError(
                f"the run directory '{run}' cannot be used: the working folder is gone ({error}); cd to a "
                "folder, or give the run directory by an absolute path"
            ) from None
        os.chdir("/")


def remove(folder: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Remove a folder, its lock last: what cannot be removed now is left to the next sweep."""
    deadline = time.monotonic() + patience
    while folder.exists() and time.monotonic() < deadline:
        with suppress(OSError):  # whoever else removes it may be faster
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != LOCK:
                    path.unlink()
            if all(path.name == LOCK for path in folder.iterdir()):
                shutil.rmtree(folder)
        time.sleep(0.05)


def remove_after(folder: Path, pids: Sequence[int], group: int) -> None:
    """Kill these processes and this group, of which the caller may be one, and remove the folder then.

    A process of its own does it: what the caller's threads write until its end is removed too.
    """
    command = [sys.executable, "-P", "-m", "sweeps.scratch", str(folder), str(group), *map(str, pids)]
    subprocess.Popen(command, start_new_session=True)  # noqa: S603


def _remove_orphans(base: Path) -> None:
    """Remove this user's folders whose lock nobody holds."""
    for path in base.glob(f"{PREFIX}*/{LOCK}"):
        try:
            if path.stat().st_uid != os.getuid():
                continue
            with path.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path.parent)
        except OSError:
            continue  # in use, or removed by another sweep just now


if __name__ == "__main__":
    kill(map(int, sys.argv[3:]), int(sys.argv[2]))
    remove(Path(sys.argv[1]), LONG_PATIENCE_SECONDS)
