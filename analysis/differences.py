"""How the thresholds of two runs differ: `analysis.compare` as a command.

    python analysis/differences.py FIRST SECOND [--format FORMAT]

FIRST and SECOND are folders of runs. Cells that agree in all keys but those that tell the runs apart are
compared, by the rule of the first run.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.command import TABLE_FORMATS, run_script
from analysis.tables.replacing import user_path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare rho_c between corresponding cells of two runs.")
    parser.add_argument("first", type=user_path, metavar="FIRST", help="folder of a run")
    parser.add_argument("second", type=user_path, metavar="SECOND", help="folder of another run")
    parser.add_argument(
        "--format",
        choices=("text", *TABLE_FORMATS, "json"),
        default="text",
        help="of what is printed; json has all numbers (default: text)",
    )
    return parser


def _compare(arguments: argparse.Namespace) -> list[Path]:
    """Print the comparisons; nothing is written."""
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.run import compared, load
    from analysis.text.lines import comparison_lines, comparison_note
    from analysis.text.printed import FORMATS, PrintedTable

    rows = compared(load(arguments.first), load(arguments.second)).to_pylist()
    head, *lines = comparison_lines(rows)
    table = PrintedTable(head, lines)
    if arguments.format == "json":
        print(json.dumps(rows, default=str))
    elif arguments.format == "text":
        print(f"{table}\n{comparison_note(rows)}")
    else:
        print(FORMATS[arguments.format](table))
    return []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    return run_script(_parser(), argv, _compare)


if __name__ == "__main__":
    sys.exit(main())
