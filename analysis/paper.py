"""The paper's appendix beside our runs: its tables and figures.

    python analysis/paper.py table6 runs/table6-quick
    python analysis/paper.py all [--runs runs] [--budget quick] [--out runs/paper.html]

The first prints a table (or the thresholds of a figure) with ours beside the published numbers, each
with its budget, and decides the claims that come with it; the figure goes to RUN/figures as .png and
.svg. The second writes one HTML page with everything, which also carries the verdicts as JSON, and says
how to log it to MLflow. Runs are made by `python sweeps/paper.py`; those that are missing are named, with
the command.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import TableError
from analysis.appendix.names import DEFAULT_BUDGET, NAMES
from analysis.command import run_script
from analysis.tables.replacing import replacing, user_path

if TYPE_CHECKING:
    from analysis.appendix.sections import Section


def write_page(runs: str | Path, budget: str, out: str | Path) -> "list[Section]":
    """Write the page of all runs of a budget; return its sections.

    Raises TableError with the problems of all runs that are there and cannot be read, and then writes
    nothing.
    """
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.appendix.exhibits import exhibits_at
    from analysis.appendix.page import render
    from analysis.appendix.sections import build

    sections, problems = [], []
    for exhibit in exhibits_at(budget):
        try:
            sections.append(build(exhibit, Path(runs) / f"{exhibit.name}-{budget}", budget))
        except TableError as error:
            problems.append(str(error))
    if problems:
        raise TableError("\n".join(dict.fromkeys(problems)))
    page = render(sections, budget).encode()
    with replacing(out) as file:
        file.write(page)
    return sections


def report(section: "Section") -> str:
    """Return a section as text: the table or thresholds, the claims, and what the run was made with."""
    from analysis.appendix.text import claim_lines, settings_line, table_lines
    from analysis.text.words import aligned

    exhibit = section.exhibit
    lines = [exhibit.heading]
    if exhibit.table is not None:
        lines += [f"published budget: {exhibit.table.budget}", "", *table_lines(exhibit.table, section.rows)]
        lines += [exhibit.table.note] if exhibit.table.note else []
    else:
        lines += [f"published: {exhibit.shows}"] if exhibit.shows else []
    lines += ["", *aligned([list(line) for line in section.cells])] if section.cells else []
    lines += ["", *section.words] if section.words else []
    lines += ["", *claim_lines(section.claims)] if section.claims else []
    lines += ["", section.tuning] if section.tuning else []
    return "\n".join([*lines, "", settings_line(section.run)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Put the tables and figures of the paper's appendix beside our runs.",
        epilog=f"NAME is all, or one of {', '.join(NAMES)}.",
    )
    name = parser.add_argument("name", metavar="NAME", help="a table or figure, or all for the page")
    name.completer = lambda **_: ("all", *NAMES)  # type: ignore[attr-defined]  # argcomplete calls it
    parser.add_argument(
        "run", type=user_path, metavar="RUN", nargs="?", help="folder of its run (default: RUNS/NAME-BUDGET)"
    )
    parser.add_argument(
        "--runs",
        type=user_path,
        metavar="DIR",
        default=Path("runs"),
        help="folder of the runs (default: runs)",
    )
    parser.add_argument("--budget", help=f"budget of the runs (default: {DEFAULT_BUDGET})")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE", help="of the page (default: RUNS/paper.html)"
    )
    return parser


def _page(arguments: argparse.Namespace) -> list[Path]:
    if arguments.run is not None:
        raise TableError(f"all takes no RUN ({arguments.run}); give the folder of the runs as --runs")
    out = arguments.out or Path(arguments.runs) / "paper.html"
    budget = arguments.budget or DEFAULT_BUDGET
    sections = write_page(arguments.runs, budget, out)
    for section in sections:
        print(f"{section.exhibit.name}: {section.verdicts}")
    logged = arguments.out or arguments.runs
    print(f"wrote {out}; to log it to MLflow:\n  python sweeps/publish.py {shlex.quote(str(logged))}")
    return []


def _exhibit(arguments: argparse.Namespace) -> list[Path]:
    from analysis.appendix.exhibits import exhibit_of
    from analysis.appendix.sections import build

    exhibit = exhibit_of(arguments.name)
    if arguments.out is not None:
        raise TableError(f"--out {arguments.out}: only all writes a page; figures go into the run")
    budget = arguments.budget or DEFAULT_BUDGET
    folder = arguments.run or Path(arguments.runs) / f"{exhibit.name}-{budget}"
    section = build(exhibit, folder, arguments.budget)
    print(report(section))
    return [] if section.chart is None else section.chart.save_in(section.run.folder / "figures")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    return run_script(
        _parser(), argv, lambda arguments: (_page if arguments.name == "all" else _exhibit)(arguments)
    )


if __name__ == "__main__":
    sys.exit(main())
