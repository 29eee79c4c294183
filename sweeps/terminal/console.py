"""The terminal: a console that goes on where nothing can be printed, and a notebook's output."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from analysis.streams import Lossy

LONGEST_LINE = 10_000
"""Characters that a line of a table may have."""

REDRAWN_SECONDS = 0.5
"""Least time between two drawings in a notebook."""

_NOTEBOOK_WIDTH = 100
"""Characters of a line in a notebook, which has no width of its own."""


class Terminal(Console):
    """A console on standard output, which goes on where nothing can be printed.

    Attributes:
        is_notebook: whether its output is that of a notebook's cell.
        reasons: the printed lines that say why a sweep is not complete.
    """

    def __init__(self, quiet: bool = False) -> None:
        """Print words as they are: without markup, colours of numbers or breaks of lines; or nothing."""
        self.reasons: list[str] = []
        self.is_notebook = _is_notebook() and not quiet
        super().__init__(
            file=cast(IO[str], Lossy(sys.stdout)),
            quiet=quiet,
            highlight=False,
            markup=False,
            soft_wrap=True,
            force_jupyter=False,
            force_terminal=False if self.is_notebook or quiet else None,  # a kernel says that it has one
        )
        if not self.width:  # COLUMNS=0 would leave nothing of tables
            self.width = 80

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as a console does, and keep the reasons."""
        lines = [line for text in objects if isinstance(text, str) for line in text.splitlines()]
        self.reasons += [line for line in lines if line.startswith(("error: ", "FAILED "))]
        super().print(*objects, **how)


def print_whole(console: Console, table: Table) -> None:
    """Print a table in its full width, which may be more than the console's."""
    options = console.options.update(width=LONGEST_LINE)
    table.width = console.measure(table, options=options).maximum
    console.print(table, soft_wrap=True)


class Drawn(Protocol):
    """A part of the output that is drawn anew."""

    def update(self, view: RenderableType) -> None:
        """Draw this in its place."""


@contextmanager
def redrawn(console: Console) -> Iterator[Drawn | None]:
    """Return a part of the output that goes at the end; None where there is neither terminal nor notebook."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield live
    elif isinstance(console, Terminal) and console.is_notebook:
        output = _NotebookOutput()
        try:
            yield output
        finally:
            output.clear()
    else:
        yield None


def _is_notebook() -> bool:
    """Tell whether this runs in a kernel of Jupyter, whose front end can replace an output."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class _NotebookOutput:
    """An output of a notebook's cell, as text."""

    def __init__(self) -> None:
        self._drawn = 0.0
        show = sys.modules["IPython"].display.display  # of the kernel in which this runs
        self._handle: Any = show({"text/plain": ""}, raw=True, display_id=True)

    def update(self, view: RenderableType) -> None:
        """Draw this in its place, unless it was drawn just now."""
        if time.monotonic() - self._drawn < REDRAWN_SECONDS:
            return
        self._drawn = time.monotonic()
        console = Console(width=_NOTEBOOK_WIDTH, force_jupyter=False, color_system=None)
        with console.capture() as capture:
            console.print(view)
        self._handle.update({"text/plain": capture.get()}, raw=True)

    def clear(self) -> None:
        """Leave nothing."""
        self._handle.update({"text/plain": ""}, raw=True)
