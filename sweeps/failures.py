"""Why a pack could not be trained, and what is trained in its place."""

from __future__ import annotations

import math
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from analysis import TableError
from sweeps import SweepError

if TYPE_CHECKING:
    from sweeps.plan import Pack

Kind = Literal["error", "memory", "lost"]

ATTEMPTS: dict[Kind, int] = {"error": 2, "memory": 3, "lost": 4}
"""How often a pack is tried that raises, that does not fit the memory as a single member, and whose worker
or node dies without any progress in between. Each attempt is made by another worker."""


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
        reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        return cls(kind, reason, traceback.format_exc())


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


def explained(error: Exception, note: Callable[[str], None]) -> str:
    """Return why something went wrong in a line; `note` takes the traceback where nobody foresaw it."""
    if isinstance(error, SweepError | TableError | OSError):
        return str(error)
    note("".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {' '.join(str(error).split())} (the traceback is in sweep.log)"


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: on a CPU, PyTorch says so in a RuntimeError's text alone."""
    from torch import OutOfMemoryError  # loaded where packs are trained, and nowhere else for this

    if isinstance(error, (MemoryError, OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
