"""The run directory as a folder: held by one process, written to whole or not at all."""

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from analysis import TableError
from analysis.tables.files import write_table
from analysis.tables.replacing import replacing
from analysis.tables.seal import BLANK, sealed
from search_spaces.plain_yaml import text_of
from sweeps.errors import SweepError
from sweeps.record.holding import HeldError, Holding
from sweeps.record.identity import ORIGIN, SWEEP_ID, identify
from sweeps.record.paths import WRITTEN, Paths
from sweeps.record.states import recorded_uri, settle, states_at
from sweeps.worker.states import States, StatesError

MINIMUM_FREE_BYTES = 64_000_000
"""A sweep does not start with less free space, which its tables and checkpoints need."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class DiskFullError(SweepError):
    """The disk is full; the file was written in the reserve, and there is no room for another."""


def is_of_disk(error: BaseException) -> bool:
    """Tell whether the disk takes nothing more: it is full, or has become read-only."""
    return isinstance(error, DiskFullError) or _has_cause(error, (*_FULL, errno.EROFS))


class RunDirectory(Paths):
    """The folder of a run.

    Args:
        path: the folder.
        states_uri: where the states of packs live from `begin` on; empty in the folder, None where they are.

    Attributes:
        path: the folder; it changes when the folder is moved meanwhile.
        notices: lines for the user.
        sweep_id: identity of the sweep.
    """

    def __init__(self, path: Path, states_uri: str | None = None) -> None:
        """Name the directory; `held` makes and holds it."""
        super().__init__(path)
        self._uri = recorded_uri(path) if states_uri is None else states_uri
        self._removes_states = True
        self.notices: list[str] = []
        self.sweep_id = ""
        self._holding = Holding(path, (self.log.name, self.studies.name))
        self._begun = False
        self._due: list[Callable[[], object]] = []

    @property
    def states(self) -> States:
        """The states of the packs in training, from `begin` on."""
        return states_at(self._uri, self, self.sweep_id)

    @property
    def holds_states(self) -> bool:
        """Whether the states of the packs live in this directory."""
        return not self._uri

    def note(self, text: str) -> None:
        """Append to the log, if that is possible."""
        with suppress(OSError), self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            print(text, file=log)

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Hold the directory within the block.

        Nothing in it changes until `begin`. What was made in it is removed if the block ends without `begin`,
        or raises before anything is trained.

        Raises:
            SweepError: the directory cannot be written, or another process holds it.
        """
        holding = self._holding
        try:
            lock = holding.lock()
        except HeldError:
            raise SweepError(
                f"{self.path} is in use by another sweep or evaluation; wait for its end, or give a "
                "sweep another --out"
            ) from None
        except OSError as error:
            raise self._unwritable(error) from None
        with lock:
            try:
                self._check_writable()
                self.notices += holding.notices
                yield self
            except BaseException as error:
                if self._begun:
                    holding.release()
                if not (self._begun and self._has_trained()):
                    holding.unmake(str(error))
                raise
            if self._begun:
                holding.release()
            else:
                holding.unmake("")

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Write the settings and the identity, tidy up and reserve room: the run belongs to its space now.

        Args:
            settings: the keys of the space.

        Raises:
            SweepError: the directory cannot be written.
        """
        holding, keeps_weights = self._holding, settings["save_weights"] != "none"
        self._begun = True
        try:
            for folder in (self.fragments, self.checkpoints, *[self.weights] * keeps_weights):
                holding.make(folder)
            for name in (self.settings.name, SWEEP_ID, ORIGIN):
                holding.claim(self.path / name)
            holding.reserve()
            with replacing(self.settings) as file:
                text = text_of(settings).encode()
                file.write(sealed(b"# " + BLANK + b"\n" + text))  # first: a cut file has it still
            self.sweep_id, original = identify(self.path)
            self.notices += settle(self, self._uri, self.sweep_id)
        except (OSError, TableError) as error:
            raise self._unwritable(error) from None
        if original is not None:
            self.notices.append(f"{self.path} is a copy of {original}: it gets a sweep of its own in MLflow")
        for act in self._due:
            with suppress(OSError):  # the next run tries again
                act()
        holding.clear_leftovers(WRITTEN)

    def at_begin(self, act: Callable[[], object]) -> None:
        """Do something in `begin`, when nothing can refuse the run any more."""
        self._due.append(act)

    def set_aside(self, files: Sequence[Path], damaged: Sequence[Path], consequence: str) -> None:
        """Rename files to .bad in `begin`, since some of them are damaged; add a notice."""
        names = " and ".join(file.name for file in damaged)
        self.notices.append(f"{names} cut, changed or missing, and set aside as .bad; {consequence}")
        for file in files:
            self.at_begin(partial(_rename_bad, file))

    def write(self, table: pa.Table, path: Path) -> TableError | None:
        """Write a table; on a full disk, in the reserve, and return the disk's error.

        Raises:
            TableError: it cannot be written.
        """
        try:
            write_table(table, path)
        except TableError as error:
            if not _has_cause(error, _FULL):
                raise
            self._holding.release()
            write_table(table, path)
            return error
        return None

    def follow(self) -> None:
        """Go on in the directory at its new path, if it was moved: a second one would split the results."""
        if moved := self._holding.follow():
            self.move(moved)
            self.note(f"the run directory was moved to {moved}")

    def keep_state(self, pack_id: str, state: bytes) -> str:
        """Write the state of a pack that was carried here; return why not, empty if it is written."""
        try:
            with self.states.replaced(pack_id) as file:
                file.write(state)
        except (OSError, StatesError) as error:
            return f"checkpoint not written: {error}"
        return ""

    def drop_checkpoint(self, pack_id: str) -> None:
        """Remove the state of a pack, if that is possible.

        A place that has failed once is not asked again, since each failure takes seconds: `begin` of the next
        sweep removes what is left.
        """
        if self._removes_states:
            try:
                self.states.remove(pack_id)
            except StatesError as error:
                self.note(f"the state of pack {pack_id} is left: it {error}")
                self._removes_states = self.holds_states

    def full(self, cause: TableError) -> DiskFullError:
        """Return the error of a full disk."""
        return DiskFullError(
            f"the disk is full: {cause}; all that is trained is written; make room in "
            f"{self.path} and run the same command again: it trains what is missing"
        )

    def mend(self, error: BaseException) -> str:
        """Return what to do about a file that cannot be written."""
        if _has_cause(error, _FULL):
            return f"make room in {self.path}, and run the same command again"
        if _has_cause(error, _NOT_WRITABLE):
            return f"make {self.path} writable, and run the same command again"
        return "run the same command again"

    def _has_trained(self) -> bool:
        results = (self.fragment_files(kind) for kind in ("members", "failed"))
        try:
            return any(results) or bool((self.sweep_id or self.holds_states) and self.states.packs())
        except StatesError:
            return True

    def _check_writable(self) -> None:
        self._check_kinds()
        try:
            self._holding.check_writable(MINIMUM_FREE_BYTES)
        except OSError as error:
            raise self._unwritable(error) from None

    def _check_kinds(self) -> None:
        """Refuse a folder in place of a file, and the reverse; a pipe would be waited for."""
        for name, pattern in WRITTEN.items():
            folder = self.path / name
            files = [path for path in folder.glob("*") if re.fullmatch(pattern, path.name) and path.exists()]
            wrong = [path for path in files if not path.is_file()]
            if wrong or (folder.exists() and not folder.is_dir()):
                kind, path = ("file", wrong[0]) if wrong else ("folder", folder)
                raise SweepError(
                    f"{path} is no {kind}, and a run has one there; move it away, or give another --out"
                )

    def _unwritable(self, error: Exception) -> SweepError:
        return SweepError(
            f"cannot write to the output directory {self.path}: {error}; "
            "free some space or give a writable --out"
        )


def _rename_bad(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.replace(path, path.with_name(f"{path.name}.bad"))


def _has_cause(error: BaseException, numbers: tuple[int, ...]) -> bool:
    """Tell whether an error is, or was raised from, an error of the system with one of these numbers."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return cause is not None and cause.errno in numbers
