"""The page of a sweep: question and answer, thresholds, interactive charts, settings and versions.

    python analysis/report.py RUN... [--out FILE]

RUN is the folder of a run. The page is one HTML file that loads nothing. The page of one run is
RUN/report.html. Several runs share a page with their cells side by side: report.html in the folder that holds
the first run. Thresholds are computed from the members by the rule of each cell's own run, as in its table.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.command import run_script
from analysis.tables.replacing import replacing, user_path

if TYPE_CHECKING:
    from analysis.results import Results

NAME = "report.html"


def write_report(runs: "Sequence[Results]", out: str | Path | None = None) -> Path:
    """Write the page of runs to `out`, by default `report.html` in the run or beside the first of several.

    Raises TableError where it cannot be made or written.
    """
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.sweep_page.page import render

    folder = runs[0].folder if len(runs) == 1 else runs[0].folder.parent
    path = folder / NAME if out is None else Path(out)
    page = render(runs).encode()
    with replacing(path) as file:
        file.write(page)
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write the page of one run, or of several together.")
    parser.add_argument("runs", type=user_path, metavar="RUN", nargs="+", help="folder of a run")
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="FILE",
        help=f"of the page (default: RUN/{NAME}; of several, beside the first)",
    )
    return parser


def _report(arguments: argparse.Namespace) -> list[Path]:
    from analysis.results import read_results

    return [write_report(read_results(arguments.runs), arguments.out)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    return run_script(_parser(), argv, _report)


if __name__ == "__main__":
    sys.exit(main())
