"""The terminal: a console that goes on where nothing can be printed."""

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
