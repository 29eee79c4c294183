"""Files on any file system: their names as in a shell, and how they are written whole."""

import argparse
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from analysis import TableError

UNSUPPORTED = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP})
"""Errors of a file system that lacks an operation, such as locks on Lustre or syncs on FUSE."""

_FOLDER_UNSUPPORTED = UNSUPPORTED | {errno.EBADF, errno.EACCES}
"""The same for folders, which some file systems do not open for a sync, or not for writers only."""


def user_path(text: str) -> Path:
    """Return the path in an argument of a command, as `expanded`: the type of such arguments in argparse."""
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def expanded(text: str) -> Path:
    """Return a path as a user wrote it, with a leading `~` expanded as by a shell.

    Raises:
        ValueError: no file can have the path: it is empty, too long, has a null character, or begins with the
            home of nobody.
    """
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ValueError(
            f"'{text}': no home folder {text.partition('/')[0]} is known; give the path in full, or as "
            f"'./{text}' if that is its name"
        )
    try:
        os.lstat(path or "\0")
    except ValueError:
        raise ValueError(f"'{text}' is no path; give the path of a file or folder") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(f"'{text}' is longer than the file system allows; give a shorter path") from None
    return Path(path)


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` whole, synced, or not at all where the block raises.

    It is written aside in the same folder, under a name with a leading dot. Raises OSError.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            sync(file.fileno())
        os.replace(aside, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def sync(descriptor: int) -> bool:
    """Have a file on the disk; tell whether its file system can do so. Raises OSError for other reasons."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    return True


def sync_folder(folder: Path) -> bool:
    """Have the names in a folder on the disk; tell whether its file system can do so. Raises as `sync`."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _FOLDER_UNSUPPORTED:
            raise
        return False
    return True


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` as `replaced` does, in a folder that is made if missing.

    Raises TableError where the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as file:
            yield file
    except OSError as error:
        raise TableError(f"cannot write {path}: {error.strerror or error}") from error
