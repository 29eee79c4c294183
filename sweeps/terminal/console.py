"""The terminal: a console that goes on where nothing can be printed, and spans of time in words."""

import sys
from typing import IO, cast

from rich.console import Console

from analysis.streams import Lossy


class Terminal(Console):
    """A console on standard output, which goes on where nothing can be printed."""

    def __init__(self) -> None:
        """Print words as they are: without markup, colours of numbers or breaks of lines."""
        file = cast(IO[str], Lossy(sys.stdout))
        super().__init__(file=file, highlight=False, markup=False, soft_wrap=True)
        if not self.width:  # COLUMNS=0 would leave nothing of tables
            self.width = 80


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
