"""Why an attempt to train a pack failed."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Literal, Self

from sweeps.errors import gist

Kind = Literal["error", "memory", "lost"]


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


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: on a CPU, PyTorch says so only in a RuntimeError's text."""
    from torch import OutOfMemoryError  # loaded where packs are trained, and nowhere else for this

    if isinstance(error, (MemoryError, OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
