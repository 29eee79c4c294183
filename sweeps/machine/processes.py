"""Processes of this machine, from /proc: who descends from whom, and an end to all of them."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def is_running(pid: int) -> bool:
    """Tell whether there is such a process and it has not ended."""
    return _parent(pid) is not None


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*"):
        if (parent := _parent(int(path.name))) is not None:
            children[parent].append(int(path.name))
    pids, left = [], [pid]
    while left:
        below = children[left.pop()]
        pids += below
        left += below
    return pids


def kill(pids: Iterable[int], group: int) -> None:
    """Kill processes, and all of a process group; those that have ended or are of others are passed over."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _parent(pid: int) -> int | None:
    """Return the parent of a process that runs, else None."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:2]
    except OSError:
        return None
    return None if state in b"ZX" else int(parent)
