"""List run directories, and delete those that are named, with their runs in MLflow.

python sweeps/clean.py runs
python sweeps/clean.py runs/old runs/wrong --delete
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.command import parsed
from analysis.tables.replacing import user_path
from sweeps import SweepError
from sweeps.record.identity import exclusive_id
from sweeps.tracking.refusals import mend, reason
from sweeps.tracking.store import delete_sweep
from sweeps.tracking.uri import add_store, chosen_uri

if TYPE_CHECKING:
    from sweeps.record.removal import RunState

HEAD = ["run", "members", "MB", "last written", "state"]


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(
        description="List run directories: their members, size, age and state. With --delete, delete those "
        "that are named, and their runs in MLflow. Files of others in them stay.",
    )
    add = result.add_argument
    add("runs", type=user_path, metavar="RUN", nargs="+", help="folder of a run, or of several to list them")
    add("--delete", action="store_true", help="delete the named runs")
    add_store(result, "the run")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for runs that cannot be used."""
    given = parsed(parser(), arguments)
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.text.words import aligned
    from sweeps.record.removal import run_states

    try:
        if given.delete:
            for run in given.runs:
                _delete(run, given.tracking_uri)
        else:
            states = run_states(given.runs)
            print("\n".join(aligned([HEAD, *map(_line, states)])))
            print(f"to delete a run, name it: ouvae-clean {shlex.quote(str(states[0].path))} --delete")
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _line(run: "RunState") -> list[str]:
    from analysis.text.words import duration

    return [
        str(run.path),
        f"{run.members}",
        f"{run.size / 1e6:.1f}",
        f"{duration(run.age)} ago",
        run.state,
    ]


def _delete(run: Path, tracking_uri: str | None) -> None:
    """Delete a run's runs in MLflow, and then its directory. Raises SweepError."""
    from sweeps.record.removal import remove_run

    uri = chosen_uri(tracking_uri, run.absolute().parent)
    left = remove_run(run, partial(_delete_in_mlflow, uri))
    if left:
        print(f"left in it, as no sweep made it: {', '.join(path.name for path in left)}")


def _delete_in_mlflow(uri: str, run: "RunState") -> None:
    """Delete a run's runs in MLflow, and say what goes. Raises SweepError."""
    from analysis.text.words import plural

    try:
        deleted = delete_sweep(uri, sweep_id) if (sweep_id := exclusive_id(run.path)) else 0
    except SweepError:
        raise
    except Exception as error:
        raise SweepError(
            f"{run.path} is not deleted, as its runs in MLflow cannot be: {reason(error)}. {mend(error, uri)}"
        ) from error
    print(f"deleted {run.path}: {plural(run.members, 'member')}, {plural(deleted, 'run')} of MLflow")


if __name__ == "__main__":
    sys.exit(main())
