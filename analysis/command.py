"""What the commands share: their streams, arguments and exit codes."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis import TableError
from analysis.streams import open_streams


def run_script(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    work: Callable[[argparse.Namespace], Sequence[Path]],
) -> int:
    """Do a command's work, print which files it wrote, and return its exit code: 2 after a TableError."""
    open_streams()
    arguments = parser.parse_args(argv)
    try:
        paths = work(arguments)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(f"wrote {path}")
    return 0
