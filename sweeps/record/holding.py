"""A folder held by one process: its lock, what was made in it, and room kept for the end.

Only what this project made is removed: by this process, or under names that only the project's writers use.
"""

import errno
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from analysis.tables.replacing import UNSUPPORTED, sync, sync_folder
from sweeps.machine.locks import lock as lock_file
from sweeps.machine.processes import is_running

LOCK, RESERVE = ".lock", ".reserve"

RESERVE_BYTES = 8_000_000
"""Kept free for what is trained already when the disk is full: a fragment takes tens of kilobytes."""

RESERVE_FILES = 8
"""Kept for the same where no more files can be made: two fragments, four tables, and two to spare."""

LONGEST_PATH = 4096 - 200
"""Bytes of a folder's path that leave room, of those that Linux takes, for the names of files within it."""

ATTEMPTS_TO_LOCK = 20
"""A lock whose file is still another one then lies where inode numbers do not last."""


class HeldError(Exception):
    """Another process holds the folder."""


class Holding:
    """A folder that this process holds. All methods raise OSError where the system refuses.

    Args:
        folder: made with its parents where it is missing.
        names: of files that other parts of the program append to.

    Attributes:
        notices: lines about what the file system lacks.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.notices: list[str] = []
        self._folder, self._names = folder, names
        self._made: list[Path] = []
        self._later: list[Path] = []
        self._before: dict[Path, os.stat_result] = {}

    def lock(self) -> IO[bytes]:
        """Return the lock file, held: the system lets it go when it is closed, or when the process ends.

        Raises:
            HeldError: another process holds it.
        """
        path = self._folder / LOCK
        if (length := len(os.fsencode(path.absolute()))) > LONGEST_PATH:
            raise OSError(errno.ENAMETOOLONG, f"its path has {length} bytes, of at most {LONGEST_PATH}")
        for attempt in range(ATTEMPTS_TO_LOCK):
            for folder in reversed((self._folder, *self._folder.parents)):
                self.make(folder)
            lock = self._opened(path)
            try:
                is_locked = lock_file(lock, wait=False)
            except BlockingIOError:
                lock.close()
                raise HeldError from None
            if attempt == ATTEMPTS_TO_LOCK - 1 or _is_at(lock, path):
                break
            lock.close()  # whoever held it was refused, and has removed it
        if not is_locked:
            self.notices.append(
                f"the file system of {self._folder} has no locks: run one command at a time there, for a "
                "second one goes unnoticed"
            )
        files = [self._folder / name for name in self._names]
        self._later = [file for file in files if not file.exists()]
        self._before = {file: file.stat() for file in files if file.is_file()}
        self._lock = lock
        return lock

    def follow(self) -> Path | None:
        """Return where the folder is now, if it was moved since it was locked or last followed."""
        with suppress(OSError):
            if not _is_at(self._lock, self._folder / LOCK):
                place = Path(os.readlink(f"/proc/self/fd/{self._lock.fileno()}"))
                if _is_at(self._lock, place):  # else it was removed
                    self._folder = place.parent
                    return self._folder
        return None

    def _opened(self, path: Path) -> IO[bytes]:
        try:
            lock = path.open("xb")
        except FileExistsError:
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise OSError(f"{path} is no file") from None
            return path.open("ab")
        self._made.append(path)
        return lock

    def make(self, folder: Path) -> None:
        """Make a folder that is missing; only who made it may remove it."""
        if folder.is_dir():
            return
        try:
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir():  # else another process was faster
                raise
        else:
            self._made.append(folder)

    def claim(self, file: Path) -> None:
        """Note a file that is about to be written, if it is new."""
        if not file.exists():
            self._made.append(file)

    def unmake(self, message: str) -> None:
        """Remove what was made or appended, except in files that a message names.

        Folders that hold other files too stay.
        """
        for path in reversed((*self._made, *self._later)):
            if str(path) not in message or path.is_dir():
                with suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()
        for path, before in self._before.items():
            with suppress(OSError):
                if str(path) not in message and path.stat().st_size > before.st_size:
                    os.truncate(path, before.st_size)
                    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def check_writable(self, least_free_bytes: int) -> None:
        """Try to write into the folder, and leave nothing behind."""
        with tempfile.TemporaryFile(dir=self._folder) as probe:
            is_synced = sync(probe.fileno()) and sync_folder(self._folder)
        if not is_synced:
            self.notices.append(
                f"the file system of {self._folder} does not sync files on request: run the same command "
                "again after a power cut, which may cost the last packs"
            )
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and free < least_free_bytes:  # without blocks it does not say
            raise OSError(f"only {free / 1e6:.0f} MB free")
        for file in (self._folder / name for name in self._names):
            if file.exists() and not (file.is_file() and os.access(file, os.W_OK)):
                raise OSError(f"{file.name} is no file that can be written")

    def reserve(self) -> None:
        """Keep room for what is written last: bytes in the first file, and the other files themselves."""
        first, *others = self._reserved()
        with first.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                file.write(bytes(RESERVE_BYTES))
        for path in others:
            path.touch()

    def release(self) -> None:
        """Give the room that was kept."""
        for path in self._reserved():
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _reserved(self) -> list[Path]:
        return [self._folder / RESERVE, *(self._folder / f"{RESERVE}.{n}" for n in range(1, RESERVE_FILES))]

    def clear_leftovers(self, written: Mapping[str, str]) -> None:
        """Remove what killed writers left aside, under the name `.NAME.PID.tmp` or `.NAME.PID.RANDOM.tmp`.

        Args:
            written: pattern of the NAMEs that are written aside in each folder within this one.
        """
        for folder, name in written.items():
            aside = re.compile(rf"\.{name}\.(?P<pid>\d+)(\.[0-9a-f]{{8}})?\.tmp")
            for path in (self._folder / folder).glob(".*.tmp"):
                match = aside.fullmatch(path.name)
                if match and path.is_file() and not path.is_symlink() and not _writes(int(match["pid"])):
                    with suppress(OSError):
                        path.unlink(missing_ok=True)


def is_in_use(folder: Path) -> bool:
    """Tell whether another process holds a folder, without a trace in it."""
    with suppress(FileNotFoundError), (folder / LOCK).open("rb") as file:
        try:
            lock_file(file, wait=False)
        except BlockingIOError:
            return True
        except OSError:  # a network's file system that asks for a file open for writing
            return False
    return False


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Tell whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _writes(pid: int) -> bool:
    """Tell whether another process of this machine has this id, and may be writing still."""
    return pid != os.getpid() and is_running(pid)
