"""What the commands share: their end, with the files that they wrote or an error."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis import TableError


def run_script(draw: Callable[[], Sequence[Path]]) -> int:
    """Draw, print which files were written, and return a script's exit code: 2 after a TableError."""
    try:
        paths = draw()
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(f"wrote {path}")
    return 0
