"""Ray's own log files: what they say about a worker, or a Ray, that does not start. Imports no Ray."""

import re
from collections.abc import Iterator
from pathlib import Path

from sweeps.cluster.ray_internals import LOG_ERRORS, SERVER_ERRORS, WORKER_ERRORS
from sweeps.errors import gist_of

TAIL_BYTES = 20_000
"""What is read of the end of a file."""

SAID = re.compile(
    r"^([\w.]*(Error|Exception|Exit|Interrupt)\b|Fatal Python error|terminate called|\w*sh: |.*: error while "
    r"loading|.*: (No such file|Permission denied|cannot|command not found|not found))",
    re.MULTILINE,
)
"""What a process says on its standard error when it cannot start: Python, C++, a shell, the loader."""

_SOURCES = dict.fromkeys([WORKER_ERRORS.format(pid="*"), *SERVER_ERRORS], SAID) | LOG_ERRORS
"""Files of a session by pattern, with what starts an error in them."""


def last_error(logs: Path, since: float) -> str:
    """Return the newest error as `FILE: CAUSE`; empty without one.

    Args:
        logs: folder of a session's log files.
        since: time of `time.time` before which an unchanged file is of no interest.
    """
    newest = max(_errors(logs, since), default=None)
    return "" if newest is None else f"{newest[1]}: {newest[2]}"


def _errors(logs: Path, since: float) -> Iterator[tuple[float, str, str]]:
    """Yield time, file and cause of the last error of each file."""
    for pattern, start in _SOURCES.items():
        for path in logs.glob(pattern):
            try:
                changed, text = path.stat().st_mtime, tail(path)
            except OSError:
                continue
            if changed >= since and (starts := list(start.finditer(text))):
                line = text.rfind("\n", 0, starts[-1].start() + 1) + 1
                yield changed, path.name, gist_of(text[line:])


def tail(path: Path, start: int = 0) -> str:
    """Return the end of a file, of what lies behind a position."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(start, size - TAIL_BYTES))
        return file.read().decode(errors="replace")
