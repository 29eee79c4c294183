"""Where the states of packs live: in a folder, or in the sweep's process, to which Ray carries them.

`States` is what the sweep and its workers know of a place. `objects` has places of pyarrow's file systems,
`checkpoints` says what a state is. Loads neither torch nor pyarrow.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from analysis.tables.replacing import replaced

MOST_CARRIED_BYTES = 32_000_000
"""Largest state that Ray carries. The largest pack on a CPU has 13 to 20 MB on digits, and 89 to 116 MB on
MNIST (docs/clusters.md)."""

SUFFIX = ".pt"
BAD = ".bad"


class StatesError(Exception):
    """A place of states does not answer, or refuses; the message says why."""


class States(ABC):
    """The states of a run's packs in one place, each whole or not there. Picklable.

    Attributes:
        is_carried: whether Ray carries the states, and this is a worker's end.
    """

    is_carried = False

    def at_worker(self) -> States:
        """Return the place as a worker in this process reaches it."""
        return self

    @abstractmethod
    def replaced(self, pack_id: str) -> AbstractContextManager[IO[bytes]]:
        """Open a state to write, which takes the place of the pack's earlier one when the block ends.

        A block that raises, or whose process is killed, leaves the earlier state.

        Raises:
            OSError, StatesError: it cannot be written.
        """

    @abstractmethod
    def read(self, pack_id: str) -> bytes | None:
        """Return a pack's state; None without one. Raises StatesError."""

    @abstractmethod
    def set_aside(self, pack_id: str) -> str:
        """Move a state out of the way and return its new name, empty where the next one replaces it.

        Where that fails, the state stays.
        """

    @abstractmethod
    def remove(self, pack_id: str) -> None:
        """Remove a pack's state, if there is one. Raises StatesError."""

    @abstractmethod
    def packs(self) -> list[str]:
        """Return the ids of the packs that have a state, sorted. Raises StatesError."""

    def to_carry(self, pack_id: str) -> bytes:
        """Return the state for a worker that may not reach this place; empty if there is none to carry."""
        return b""

    def receive(self, state: bytes) -> None:  # noqa: B027 - only what is carried is received
        """Take the state that the sweep has of the worker's pack, where it is carried."""

    def taken(self) -> bytes:
        """Return a new state to carry to the sweep, once; empty without one."""
        return b""


@dataclass(frozen=True)
class Folder(States):
    """A folder, at the same path for the sweep and its workers: the run directory's.

    Attributes:
        path: absolute.
    """

    path: str

    def at_worker(self) -> States:
        """Return the folder, or `Carried` where this machine does not see it."""
        return self if Path(self.path).is_dir() else Carried()

    def replaced(self, pack_id: str) -> AbstractContextManager[IO[bytes]]:
        """Open a state to write; see `States.replaced`."""
        return replaced(self._file(pack_id))

    def read(self, pack_id: str) -> bytes | None:
        """Return a pack's state; see `States.read`."""
        try:
            return self._file(pack_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StatesError(f"{pack_id}{SUFFIX} cannot be read: {error.strerror or error}") from error

    def set_aside(self, pack_id: str) -> str:
        """Rename the file; see `States.set_aside`."""
        name = f"{pack_id}{SUFFIX}{BAD}"
        with suppress(OSError):
            os.replace(self._file(pack_id), Path(self.path, name))
        return name

    def remove(self, pack_id: str) -> None:
        """Remove the file; see `States.remove`."""
        try:
            self._file(pack_id).unlink(missing_ok=True)
        except OSError as error:
            raise StatesError(f"{pack_id}{SUFFIX} cannot be removed: {error.strerror or error}") from error

    def packs(self) -> list[str]:
        """Return the packs of the files; see `States.packs`."""
        return sorted(path.stem for path in Path(self.path).glob(f"[!.]*{SUFFIX}"))

    def to_carry(self, pack_id: str) -> bytes:
        """Return a state that is not too large; see `States.to_carry`."""
        with suppress(OSError):
            if self._file(pack_id).stat().st_size <= MOST_CARRIED_BYTES:
                return self._file(pack_id).read_bytes()
        return b""

    def _file(self, pack_id: str) -> Path:
        return Path(self.path, pack_id + SUFFIX)


class Carried(States):
    """The worker's end of a folder that only the sweep sees: the state of its pack, on its way."""

    is_carried = True

    def __init__(self) -> None:
        self._state = self._outgoing = b""

    def receive(self, state: bytes) -> None:
        """Take the state that the sweep has of the pack."""
        self._state = state

    def taken(self) -> bytes:
        """Return what goes to the sweep; see `States.taken`."""
        taken, self._outgoing = self._outgoing, b""
        return taken

    @contextmanager
    def replaced(self, pack_id: str) -> Iterator[IO[bytes]]:
        """Open a state to write; see `States.replaced`. One that is too large raises StatesError."""
        file = io.BytesIO()
        yield file
        if (size := file.tell()) > MOST_CARRIED_BYTES:
            raise StatesError(
                f"it has {size / 1e6:.0f} MB, and Ray carries at most {MOST_CARRIED_BYTES / 1e6:.0f} MB to "
                "the sweep; give --checkpoints URI, or an --out that all nodes see at the same path"
            )
        self._state = self._outgoing = file.getvalue()

    def read(self, pack_id: str) -> bytes | None:
        """Return the pack's state; see `States.read`."""
        return self._state or None

    def set_aside(self, pack_id: str) -> str:
        """Forget the state, whose file at the sweep the next one replaces; see `States.set_aside`."""
        self._state = b""
        return ""

    def remove(self, pack_id: str) -> None:
        """Forget the state; see `States.remove`."""
        self._state = self._outgoing = b""

    def packs(self) -> list[str]:
        """Return nothing: a worker asks for its own pack only."""
        return []
