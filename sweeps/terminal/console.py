"""The terminal: a console that goes on where nothing can be printed, and spans of time in words."""

import sys
from contextlib import suppress
from typing import IO, Any, cast

from rich.console import Console


class Terminal(Console):
    """A console on standard output, which goes on where nothing can be printed."""

    def __init__(self) -> None:
        """Print words as they are: without markup, colours of numbers or breaks of lines."""
        file = cast(IO[str], _Lossy(sys.stdout))
        super().__init__(file=file, highlight=False, markup=False, soft_wrap=True)


class _Lossy:
    """A stream that drops what it cannot write: the disk is full, its reader or its terminal has left.

    A signal's handler may print while the stream is in use, which is a RuntimeError.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def duration(seconds: float) -> str:
    """Return seconds as 42 s, 3 min 05 s, 2 h 10 min or 3 d 4 h."""
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    if hours:
        return f"{hours} h {minute:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{second} s"
