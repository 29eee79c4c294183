"""Optuna's private and unstable surface: the lines of its journal.

Optuna may change the format without notice. `pyproject.toml` therefore excludes the versions of Optuna that
no test has seen, and `tests/sweeps/tracking/test_optuna_internals.py` has a test for each entry. To raise the
bound, install the new version and run that file. When Optuna reads other lines, the sweep says that its
studies cannot be used, and goes on without them: they follow from the fragments.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

_CHECKSUM = b',"crc32":'
"""The key before a line's checksum, at the end of a line. Optuna ignores a key that it does not know."""

_LONGEST_LINE = 2**20
"""Upper bound of a line's length in bytes."""


class Journal(JournalFileBackend):
    """A journal with checksums and one writer, who holds the run directory: no lock, no wait for the disk.

    `JournalFileBackend` takes a lock and syncs the file for each entry, which costs more than all else here.
    Its `append_logs` is replaced, its reader stays.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; remove a line that a kill cut short."""
        with path.open("ab+") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE)
            file.seek(start)
            file.truncate(start + file.read().rfind(b"\n") + 1)
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries to the journal."""
        with self._path.open("ab") as file:
            file.write(b"".join(map(_line, logs)))


def is_whole(path: Path) -> bool:
    """Tell whether the lines of a journal that have checksums are unchanged.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no journal of Optuna.
    """
    content = path.read_bytes() if path.exists() else b""
    lines = content.split(b"\n")[:-1]  # a kill may have cut the last one
    if _CHECKSUM not in content:  # written by an earlier version
        if content[:1] not in (b"", b"{"):
            raise ValueError("it is no journal of Optuna")
        for line in lines:
            json.loads(line)
        return True
    has_checksums = False
    for line in lines:
        entry, key, checksum = line.rpartition(_CHECKSUM)
        has_checksums = has_checksums or bool(key)
        if has_checksums and checksum != b"%d}" % zlib.crc32(entry + b"}"):
            return False
    return True


def _line(entry: Mapping[str, Any]) -> bytes:
    """Return an entry of the journal as a line, with a checksum of the line without this key."""
    text = json.dumps(entry, separators=(",", ":")).encode()
    return b"%b%b%d}\n" % (text[:-1], _CHECKSUM, zlib.crc32(text))
