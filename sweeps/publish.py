"""Log files to MLflow that belong to no one sweep, such as the page of the paper's appendix.

python sweeps/publish.py runs/paper.html --run "appendix, quick" --tag table6=holds
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sweeps import SweepError
from sweeps.tracking import runs
from sweeps.tracking.uri import default_uri, ui_command


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(prog="publish.py", description="Log files to a run in MLflow.")
    add = result.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="what to log; again: what is there is replaced")
    add("--run", required=True, metavar="NAME", help="the run; it is made where there is none of this name")
    add("--experiment", default="paper", metavar="NAME", help="default: paper")
    add("--tag", action="append", default=[], metavar="KEY=VALUE", help="of the run; may be repeated")
    add("--tracking-uri", metavar="URI", help="MLflow store; default: mlflow.db beside the first file")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for input that cannot be used."""
    given = parser().parse_args(arguments)
    uri = given.tracking_uri or default_uri(given.files[0].parent)
    try:
        missing = [str(file) for file in given.files if not file.is_file()]
        if missing:
            raise SweepError(f"no such file: {', '.join(missing)}")
        tags = dict(_pair(text) for text in given.tag)
        runs.check(uri)
        address = runs.log_files(uri, given.experiment, given.run, given.files, tags)
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        print(f"error: not logged to MLflow: {runs.reason(error)}", file=sys.stderr)
        return 2
    print(f"logged to MLflow: {address}\n  {ui_command(uri)}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise SweepError(f"--tag {text}: write it as KEY=VALUE")
    return key, value


if __name__ == "__main__":
    sys.exit(main())
