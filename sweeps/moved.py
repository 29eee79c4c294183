"""Let the MLflow store of runs that were moved or copied find its files again.

python sweeps/moved.py runs
"""

import argparse
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.command import parsed
from analysis.tables.replacing import user_path
from sweeps.tracking.mlflow_internals import move_artifacts
from sweeps.tracking.uri import artifacts_of, default_uri, sqlite_path, sqlite_uri, ui_command


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    result.add_argument(
        "store",
        type=user_path,
        metavar="RUNS",
        help="folder with mlflow.db and mlartifacts/, or the file itself",
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for input that cannot be used."""
    given: Path = parsed(parser(), arguments).store
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.text.words import plural

    uri = sqlite_uri(given) if given.is_file() else default_uri(given)
    store = sqlite_path(uri)
    try:
        if not store.is_file():
            raise OSError("no such file; give the folder of the runs, which holds mlflow.db and mlartifacts/")
        changed = move_artifacts(store, artifacts_of(uri))
    except (OSError, sqlite3.Error) as error:
        print(f"error: {store} cannot be used: {error}", file=sys.stderr)
        return 2
    print(f"{plural(changed, 'experiment')} moved to {artifacts_of(uri)}\n  {ui_command(uri)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
