"""Standard streams that take whatever a command prints, wherever it was started."""

import io
import os
import sys
from contextlib import suppress
from typing import IO, Any


class Lossy:
    """A stream that drops what it cannot write: the disk is full, its reader or its terminal has left.

    A signal's handler may print while the stream is in use, which is a RuntimeError.

    Args:
        stream: which has all else that is asked for.
    """

    def __init__(self, stream: IO[str]) -> None:
        """Write to the stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, as far as that is possible."""
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, as far as that is possible."""
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream."""
        return getattr(self._stream, name)


def open_streams() -> None:
    """Open the standard streams that are closed; let output drop what cannot be written or encoded.

    The next file to be opened would take the descriptor of a closed stream, and libraries print into those.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):  # not one of a notebook's
            setattr(sys, name, Lossy(stream))
