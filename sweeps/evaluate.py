"""Measure the members of a run anew from their kept weights.

python sweeps/evaluate.py runs/kept
"""

import argparse
import sys
from collections.abc import Sequence

from analysis.command import parsed
from analysis.tables.replacing import user_path
from sweeps.phase_transition import add_store_and_data, leave


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(
        description="Measure the members of a run anew from their kept weights, and write its tables again: "
        "for when what is measured has changed."
    )
    result.add_argument(
        "run", type=user_path, metavar="RUN", help="folder of a run that keeps weights (save_weights)"
    )
    add_store_and_data(result)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; see `measure_anew`, and 2 for unusable input."""
    given = parsed(parser(), arguments)
    try:
        return _run(given)
    except KeyboardInterrupt:  # while all is imported, before the evaluation listens for signals
        return 130


def _run(given: argparse.Namespace) -> int:
    # Imported only now: a typo should cost no seconds.
    from analysis import TableError
    from ouvae.data import DataError
    from search_spaces import SpaceError
    from sweeps import SweepError
    from sweeps.machine.interrupts import Interrupted
    from sweeps.remeasuring.evaluation import measure_anew
    from sweeps.terminal.console import Terminal

    console = Terminal()
    try:
        return measure_anew(given.run, given.tracking_uri, given.data_dir, console)
    except Interrupted as stopped:
        console.print("The evaluation is stopped before any measurement.")
        return stopped.exit_code
    except (SweepError, SpaceError, DataError, TableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def command() -> None:
    """Run the command line and leave: what the script and the installed `ouvae-evaluate` do."""
    leave(main)


if __name__ == "__main__":
    command()
