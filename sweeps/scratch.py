"""Folders that go: a sweep's own, removed with it however it ends, and a working folder that was removed."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeps import SweepError
from sweeps.machine.locks import lock as lock_file
from sweeps.machine.processes import kill

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
    """Make a folder, and remove it at the end; those whose owner was killed are removed first.

    Raises:
        SweepError: it cannot be made.
    """
    try:
        base = Path(tempfile.gettempdir())
        if len(str(base)) > LONGEST_BASE or shlex.quote(str(base)) != str(base):  # Ray hands it to a shell
            base = Path("/tmp")  # noqa: S108 - the name is made by mkdtemp
        _remove_orphans(base)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        lock = (folder / f"{LOCK}.new").open("w")
        lock_file(lock)  # where there are no locks, no other sweep can take the folder for an orphan
        os.rename(lock.name, folder / LOCK)  # nobody sees it before it is held
    except OSError as error:
        raise SweepError(
            f"no temporary folder can be made: {error}; make room there, or set TMPDIR"
        ) from None
    with lock:
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
    """Remove a folder, its lock last: what cannot be removed in this time is left to the next sweep."""
    deadline = time.monotonic() + patience
    while not _removed(folder) and time.monotonic() < deadline:
        time.sleep(0.05)


def _removed(folder: Path) -> bool:
    """Try to remove a folder, and tell whether it is gone; links are removed and never followed."""
    with suppress(OSError):  # whoever else removes it may be faster
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink()
        if all(path.name == LOCK for path in folder.iterdir()):
            shutil.rmtree(folder)
    return not folder.exists()


def remove_after(folder: Path, pids: Sequence[int], group: int) -> None:
    """Kill these processes and this group, of which the caller may be one, and remove the folder then.

    A process of its own does it: what the caller's threads write until its end is removed too.
    """
    command = [sys.executable, "-P", "-m", "sweeps.scratch", str(folder), str(group), *map(str, pids)]
    subprocess.Popen(command, start_new_session=True)  # noqa: S603


def _remove_orphans(base: Path) -> None:
    """Remove this user's folders whose lock nobody holds, without waiting for any of them.

    Others may write into the folder for temporary files: what is a link, or of another user, is passed over.
    """
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError):  # in use, or removed by another sweep just now
            if not _is_own(folder.lstat(), stat.S_IFDIR):
                continue
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "r+b") as lock:
                if _is_own(os.fstat(descriptor), stat.S_IFREG) and lock_file(lock, wait=False):
                    _removed(folder)


def _is_own(status: os.stat_result, kind: int) -> bool:
    """Tell whether a file is of this user and of a kind."""
    return status.st_uid == os.getuid() and stat.S_IFMT(status.st_mode) == kind


if __name__ == "__main__":
    kill(map(int, sys.argv[3:]), int(sys.argv[2]))
    remove(Path(sys.argv[1]), LONG_PATIENCE_SECONDS)
