"""Let the members of other run directories join a run.

python sweeps/merge.py runs/digits other_machine/digits
"""

import argparse
import sys
from collections.abc import Sequence

from analysis import TableError
from analysis.command import parsed
from analysis.figures import write_figures
from analysis.report import write_report
from analysis.tables.replacing import user_path
from search_spaces import SpaceError
from sweeps import SweepError


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(
        description="Let the members of other run directories, of other machines for example, join a run. "
        "All are of one space; they may differ in cells, values and seeds. The others stay as they "
        "are.",
    )
    add = result.add_argument
    add("into", type=user_path, metavar="INTO", help="folder of the run that gets the members")
    add("sources", type=user_path, metavar="FROM", nargs="+", help="folder of a run that has them")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for runs that cannot be merged."""
    given = parsed(parser(), arguments)
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.results import read_results
    from analysis.text.words import plural
    from sweeps.record.merging import merge

    try:
        for joined in merge(given.into, given.sources):
            known = f", {joined.known} are there already" if joined.known else ""
            print(f"{plural(joined.new, 'member')} of {joined.source} joined {given.into}{known}")
        write_figures(given.into)
        write_report(read_results([given.into]))
    except (SweepError, SpaceError, TableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("tables, figures and report are written; the sweep's own command logs the members to MLflow")
    return 0


if __name__ == "__main__":
    sys.exit(main())
