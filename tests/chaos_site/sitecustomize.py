"""Faults of `tests/chaos.py` that lie in the Python of a sweep, whose PYTHONPATH has this folder.

CHAOS_NO_WORKERS    a file: while it is there, workers of Ray end at once
CHAOS_NO_LOCKS      a folder: its file system refuses `flock`, as Lustre and NFS may
"""

import errno
import fcntl
import os
import sys

_BARRIER, _WITHOUT_LOCKS = os.environ.get("CHAOS_NO_WORKERS"), os.environ.get("CHAOS_NO_LOCKS")
_flock = fcntl.flock


def _refusing(file, operation):
    descriptor = file if isinstance(file, int) else file.fileno()
    if os.readlink(f"/proc/self/fd/{descriptor}").startswith(_WITHOUT_LOCKS):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _flock(file, operation)


_is_worker = any(word.endswith("default_worker.py") for word in sys.orig_argv)
if _is_worker and _BARRIER and os.path.exists(_BARRIER):
    os.write(2, b"OSError: chaos lets no worker start\n")
    os._exit(1)
if _WITHOUT_LOCKS:
    fcntl.flock = _refusing
