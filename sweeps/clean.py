"""List run directories, and delete those that are named, with their runs in MLflow.

python sweeps/clean.py runs
python sweeps/clean.py runs/old runs/wrong --delete
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.streams import open_streams
from analysis.tables.replacing import user_path
from analysis.text.words import aligned, duration, plural
from sweeps import SweepError
from sweeps.record.removal import RunState, remove_run, run_states, sweep_id_of
from sweeps.tracking.refusals import mend, reason
from sweeps.tracking.store import delete_sweep
from sweeps.tracking.uri import URI_VARIABLE, chosen_uri

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
    add(
        "--tracking-uri",
        metavar="URI",
        help=f"MLflow store; default: {URI_VARIABLE}, else mlflow.db beside the run",
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for runs that cannot be used."""
    open_streams()
    given = parser().parse_args(arguments)
    try:
        if given.delete:
            for run in given.runs:
                _delete(run, given.tracking_uri)
        else:
            states = run_states(given.runs)
            print("\n".join(aligned([HEAD, *map(_line, states)])))
            names = " ".join(shlex.quote(str(state.path)) for state in states[:1])
            print(f"to delete a run, name it: ouvae-clean {names} --delete")
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _line(run: RunState) -> list[str]:
    return [
        str(run.path),
        f"{run.members}",
        f"{run.size / 1e6:.1f}",
        f"{duration(run.age)} ago",
        run.state,
    ]


def _delete(run: Path, tracking_uri: str | None) -> None:
    """Delete a run's runs in MLflow, and then its directory. Raises SweepError."""
    (state,) = run_states([run]) if (run / "space.yaml").is_file() else [None]
    if state is None:
        raise SweepError(f"{run} is no run; only a run that is named itself is deleted")
    if state.state == "in use":
        raise SweepError(f"{run} is in use by a sweep or an evaluation; wait for its end")
    uri, deleted = chosen_uri(tracking_uri, run.absolute().parent), 0
    if sweep_id := sweep_id_of(run):
        try:
            deleted = delete_sweep(uri, sweep_id)
        except SweepError:
            raise
        except Exception as error:
            raise SweepError(
                f"{run} is not deleted, as its runs in MLflow cannot be: {reason(error)}. {mend(error, uri)}"
            ) from error
    left = remove_run(run)
    print(f"deleted {run}: {plural(state.members, 'member')}, {plural(deleted, 'run')} of MLflow")
    if left:
        print(f"left in it, as no sweep made it: {', '.join(path.name for path in left)}")


if __name__ == "__main__":
    sys.exit(main())
