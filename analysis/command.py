"""What the commands share: their streams, arguments, completion and exit codes."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import argcomplete

from analysis import TableError
from analysis.streams import open_streams

TABLE_FORMATS = ("latex", "markdown", "csv")
"""The names in `analysis.text.printed.FORMATS`, which loads Arrow."""


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Open the streams and return a command's arguments; answer a shell that completes them, and exit.

    A shell runs the command at every press of Tab. Commands import Arrow, torch, Ray and MLflow after this.
    """
    open_streams()
    argcomplete.autocomplete(parser)
    return parser.parse_args(argv)


def run_script(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    work: Callable[[argparse.Namespace], Sequence[Path]],
) -> int:
    """Do a command's work, print which files it wrote, and return its exit code: 2 after a TableError."""
    arguments = parsed(parser, argv)
    try:
        paths = work(arguments)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(f"wrote {path}")
    return 0
