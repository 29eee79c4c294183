"""Locks of files, which the system lets go when they are closed or their process ends."""

import fcntl
from typing import IO

from analysis.tables.replacing import UNSUPPORTED


def lock(file: IO[bytes] | IO[str] | int, wait: bool = True) -> bool:
    """Lock an open file; tell whether its file system has locks.

    Args:
        file: open for writing, which locks of network file systems ask for.
        wait: for another process that holds the lock.

    Raises:
        BlockingIOError: another process holds the lock and `wait` is false.
        OSError: the lock fails for another reason than a file system without locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    return True
