"""Why a pack could not be trained, and what is trained in its place."""

from __future__ import annotations

import math
import re
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import ValidationError

from analysis import TableError
from sweeps import SweepError
from sweeps.snapshot import is_installed

if TYPE_CHECKING:
    from sweeps.plan import Pack

Kind = Literal["error", "memory", "lost"]

ATTEMPTS: dict[Kind, int] = {"error": 2, "memory": 3, "lost": 4}
"""Attempts by kind of failure: an exception, a single member that does not fit the memory, a worker or node
that dies without any progress in between. Another worker makes each attempt."""

FIRST_ATTEMPTS: dict[Kind, int] = {"error": 1, "memory": 2, "lost": 2}
"""Failures of every first pack that end the sweep, by kind; a worker may die by chance."""

MENDS: dict[Kind, str] = {
    "error": "mend that",
    "memory": "free memory on the nodes, or let fewer packs share a node (cpus_per_pack)",
    "lost": "see what Ray says in the log",
}
"""What to do where one cause keeps all packs from training."""

LONGEST_GIST = 400
"""Characters of an error that fit a line of a terminal or a cell of a table."""

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r'^(Traceback \(most recent call last\):|\s*File ".*", line \d+)')
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Failure:
    """What ended an attempt to train a pack.

    Attributes:
        kind: `error`, an exception; `memory`, out of memory; `lost`, the worker or its node died.
        reason: in a line.
        details: the traceback, if there is one.
    """

    kind: Kind
    reason: str
    details: str = ""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return the failure that an exception is, where it is handled."""
        kind: Kind = "memory" if _is_out_of_memory(error) else "error"
        return cls(kind, f"{type(error).__name__}: {gist(error)}", traceback.format_exc())


class Retries:
    """Decides what is trained in the place of a pack that failed."""

    def __init__(self) -> None:
        """Start with no failures."""
        self._failures: Counter[tuple[str, Kind]] = Counter()

    def after(self, pack: Pack, failure: Failure) -> list[Pack]:
        """Return the packs to train in its place: itself, its halves, or none when it is given up."""
        if failure.kind == "memory" and len(pack.points) > 1:
            middle = math.ceil(len(pack.points) / 2)
            return [replace(pack, points=pack.points[:middle]), replace(pack, points=pack.points[middle:])]
        key = (pack.pack_id, failure.kind)
        self._failures[key] += 1
        return [pack] if self._failures[key] < ATTEMPTS[failure.kind] else []

    def progressed(self, pack: Pack) -> None:
        """Forgive the losses of a pack that got further: a long pack may outlive many nodes."""
        self._failures.pop((pack.pack_id, "lost"), None)


class FirstPacks:
    """Watches the packs that a sweep begins with: one cause may keep all of them from training.

    Args:
        cells: number of cells in the sweep.

    Attributes:
        over: whether a pack has trained a step.
        failing_cells: ids of the cells in which a pack failed before that.
    """

    def __init__(self, cells: int) -> None:
        """Start before the first pack."""
        self.over = False
        self.failing_cells: set[str] = set()
        self._cells = cells
        self._first: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._causes: set[tuple[Kind, str]] = set()

    def begin(self, pack: Pack, slots: int) -> None:
        """Note a pack that goes into training; as many as there are slots are the first."""
        if not self.over and len(self._first) < slots:
            self._first.add(pack.pack_id)

    def trained(self) -> None:
        """End the watch: a pack has trained a step."""
        self.over = True
        self.failing_cells.clear()

    def failed(self, pack: Pack, failure: Failure) -> bool:
        """Note a failure; return whether the same cause was seen before, and no other.

        Causes are the same that differ in numbers only: sizes, names of nodes.
        """
        if self.over:
            return False
        cause, before = (failure.kind, _NUMBER.sub("#", failure.reason)), set(self._causes)
        self._causes.add(cause)
        self.failing_cells.add(pack.cell.cell_id)
        if failure.kind == "memory" and len(pack.points) > 1:
            self._first.discard(pack.pack_id)  # its halves take its place
        else:
            self._failures[pack.pack_id] += 1
        return before == {cause}

    def share_a_cause(self, others: bool) -> bool:
        """Tell whether every first pack failed in the same way.

        Two packs at least show it, of two cells if the sweep has several, or the only pack does twice.

        Args:
            others: whether other packs wait for training.
        """
        if self.over or len(self._causes) != 1 or self._failures.total() < 2:
            return False
        if (others and len(self._failures) < 2) or len(self.failing_cells) < min(2, self._cells):
            return False
        ((kind, _),) = self._causes
        return all(self._failures[pack_id] >= FIRST_ATTEMPTS[kind] for pack_id in self._first)


def gist(error: BaseException) -> str:
    """Return the cause of an error in one line of at most `LONGEST_GIST` characters.

    Of a text that quotes a traceback it is what stands before it and the exception at its end. An exception
    that says nothing is the line that raised it. What an exception was raised from is added where its text
    lacks it.
    """
    text = gist_of(_text(error))
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if root is not error and (cause := gist_of(_text(root))) not in text:
        text = f"{text} (from {type(root).__name__}: {cause})"
    return _shortened(text)


def gist_of(text: str) -> str:
    """Return the cause in the text of an error, or in the end of a log, in one line; see `gist`."""
    lines = _ESCAPE.sub("", text).splitlines()
    frames = [place for place, line in enumerate(lines) if _FRAME.match(line)]
    if frames:
        outside = [*lines[: frames[0]], *lines[frames[-1] + 1 :]]
        lines = [line for line in outside if line and not line[0].isspace()]
    return _shortened(" ".join(" ".join(lines).split()))


def _text(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
    if isinstance(error, BaseExceptionGroup):
        parts = [f"{type(part).__name__}: {_text(part)}" for part in error.exceptions]
        return f"{error.message}: {'; '.join(dict.fromkeys(parts))}"
    text = "\n".join([str(error), *getattr(error, "__notes__", ())]).strip()
    if text:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{frames[-1].line} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def _shortened(line: str) -> str:
    """Cut a line that is too long in its middle: causes stand at the start or at the end."""
    if len(line) <= LONGEST_GIST:
        return line
    return f"{line[: LONGEST_GIST // 2]} … {line[3 - LONGEST_GIST // 2 :]}"


def located(error: BaseException) -> str:
    """Return type, cause and place of an error in code that is not installed, which its user can mend."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not is_installed(Path(frame.filename))] or frames
    return f"{type(error).__name__}: {gist(error)} ({Path(own[-1].filename).name}, line {own[-1].lineno})"


def explained(error: Exception, note: Callable[[str], None]) -> str:
    """Return why something went wrong in a line; `note` takes the traceback where nobody foresaw it."""
    if isinstance(error, SweepError | TableError | OSError):
        return str(error)
    note("".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {gist(error)} (the traceback is in sweep.log)"


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: on a CPU, PyTorch says so in a RuntimeError's text alone."""
    from torch import OutOfMemoryError  # loaded where packs are trained, and nowhere else for this

    if isinstance(error, (MemoryError, OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
