"""Log the page of the paper's appendix to MLflow, with each table's and figure's verdicts as a tag.

python sweeps/publish.py runs
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.command import parsed
from analysis.tables.replacing import user_path
from sweeps import SweepError
from sweeps.tracking import store
from sweeps.tracking.refusals import mend, reason
from sweeps.tracking.uri import add_store, chosen_uri, ui_command

EXPERIMENT = "paper"

_VERDICTS = re.compile(r'<script type="application/json" id="verdicts">(.*?)</script>', re.DOTALL)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = result.add_argument
    add(
        "page", type=user_path, metavar="PAGE", help="that analysis/paper.py wrote, or the folder of the runs"
    )
    add_store(result, "the page")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for input that cannot be used."""
    given = parsed(parser(), arguments)
    page = given.page / "paper.html" if given.page.is_dir() else given.page
    try:
        verdicts = _verdicts(page)
        uri = chosen_uri(given.tracking_uri, page.parent)
        store.check(uri)
        name = f"appendix, {verdicts['budget']}"
        address = store.log_files(uri, EXPERIMENT, name, [page], verdicts["verdicts"])
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        print(f"error: not logged to MLflow: {reason(error)}. {mend(error, uri)}", file=sys.stderr)
        return 2
    print(f"logged to MLflow: {address}\n  {ui_command(uri)}")
    return 0


def _verdicts(page: Path) -> dict[str, Any]:
    """Return the budget and the verdicts that a page carries.

    Raises:
        SweepError: there is no such page.
    """
    try:
        script = _VERDICTS.search(page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        script = None
    if script is None:
        raise SweepError(f"{page} is no page of the appendix; write it with: python analysis/paper.py all")
    verdicts: dict[str, Any] = json.loads(script.group(1))
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
