"""Map the top layer's KL against a control parameter: run a search space on Ray, report critical thresholds.

python sweeps/phase_transition.py
python sweeps/phase_transition.py --space mnist_mlp --address auto
python sweeps/phase_transition.py --space my_space.yaml --set seeds=5 --set steps=20000 --out runs/mine
"""

import argparse
import contextlib
import json
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import sweeps
from analysis.command import parsed
from analysis.tables.replacing import user_path
from sweeps import SweepError
from sweeps.machine.interrupts import Interrupted, left_on_signals
from sweeps.tracking.uri import add_store
from sweeps.worker.snapshot import PACKAGES


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    import search_spaces

    result = argparse.ArgumentParser(
        description="Map the top layer's KL against a control parameter over the cells of a search space, "
        "and report the critical threshold of each. A sweep that was stopped goes on with the "
        "same command."
    )
    add = result.add_argument
    space = add(
        "--space",
        default="digits",
        metavar="NAME|FILE",
        help=f"a space by name ({', '.join(search_spaces.names())}) or a YAML file; default digits",
    )
    space.completer = lambda **_: _spaces()  # type: ignore[attr-defined]  # argcomplete calls it
    add(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set any key of the space, VALUE in YAML; may be repeated",
    )
    add(
        "--address",
        metavar="ADDRESS",
        help="of a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT; serial trains in this process, "
        "without Ray; default: a local Ray",
    )
    add(
        "--dashboard",
        action="store_true",
        help="start the dashboard of a local Ray, for this machine only, and print its address",
    )
    add("--out", type=user_path, metavar="DIR", help="run directory; default runs/<space>")
    add(
        "--checkpoints",
        metavar="URI",
        help="where packs in training save their states: s3://, gs://, hdfs:// or file://, as pyarrow reads "
        "them, without credentials; run is the run directory; default: as before, at first the run directory",
    )
    add_store_and_data(result)
    add("--pack-size", type=int, metavar="N", help="most members in a pack; same as --set pack_size=N")
    add("--budget", metavar="NAME", help="which of the space's budgets; default: the first, where it has any")
    add("--dry-run", action="store_true", help="print what would be trained and train nothing")
    add("--quiet", action="store_true", help="print errors only")
    add(
        "--json",
        action="store_true",
        help="print errors only, and at the end one JSON object: exit_code, run, thresholds, comparisons",
    )
    add("--list-spaces", action="store_true", help="list the spaces that ship with the project")
    add("--version", action="version", version=f"ouvae-sweeps {version('ouvae-sweeps')}")
    return result


def _spaces() -> list[str]:
    """Return the names of the spaces that ship with the project, the paper's among them."""
    import search_spaces

    return [*search_spaces.names(), *(f"paper/{name}" for name in search_spaces.names("paper"))]


def add_store_and_data(result: argparse.ArgumentParser) -> None:
    """Add the options that say where the MLflow store and the data are."""
    add_store(result, "the run")
    result.add_argument(
        "--data-dir",
        type=user_path,
        metavar="DIR",
        help="folder with the data set's public files; default: download them once",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: that of `driver.sweep`, or 2 for unusable input."""
    try:
        return _run(parsed(parser(), arguments))
    except KeyboardInterrupt:  # while all is imported, before the sweep listens for signals
        return 130


def _run(given: argparse.Namespace) -> int:
    import search_spaces

    if given.list_spaces:
        for name in _spaces():
            print(f"{name}\n{textwrap.indent(textwrap.fill(search_spaces.question(name), 96), '    ')}")
        return 0
    overrides = list(given.overrides)
    if given.pack_size is not None:
        overrides.append(f"pack_size={given.pack_size}")
    try:
        space = search_spaces.load(given.space, overrides, given.budget)
    except search_spaces.SpaceError as error:
        return _refuse(error)

    # Imported only now: a typo should cost no seconds.
    from analysis import TableError
    from ouvae.data import DataError
    from sweeps import driver, preview
    from sweeps.preparing import Options
    from sweeps.terminal.console import Terminal

    options = Options(
        given.address, given.out, given.tracking_uri, given.data_dir, given.dashboard, given.checkpoints
    )
    is_quiet = (given.quiet or given.json) and not given.dry_run
    console = Terminal(is_quiet)
    try:
        if given.dry_run:
            preview.plan(space, options, console)
            return 0
        code = driver.sweep(space, options, console)
    except Interrupted as stopped:
        console.print("The sweep is stopped before any training.")
        return stopped.exit_code
    except (SweepError, DataError, TableError) as error:
        return _refuse(error)
    if is_quiet:
        for reason in console.reasons:
            print(reason, file=sys.stderr)
    if given.json:
        print(_as_json(options.run_directory(space), code))
    return code


def _as_json(run: Path, code: int) -> str:
    """Return what came of a sweep as one JSON object; without tables its thresholds are null."""
    from analysis.tables.files import read_table
    from analysis.tables.schema import COMPARISONS, THRESHOLDS

    rows = {}
    for name, schema in (("thresholds", THRESHOLDS), ("comparisons", COMPARISONS)):
        path = run / f"{name}.parquet"
        rows[name] = read_table(path, schema).to_pylist() if path.is_file() else None
    return json.dumps({"exit_code": code, "run": str(run), **rows}, default=str)


def _refuse(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


def leave(main: Callable[[], int]) -> None:
    """Run a command line and exit with its code; a signal while all is imported ends it with a line.

    Exit at once: the interpreter would walk through all of torch and MLflow once more, for seconds. A program
    that runs the command, as a notebook does with `%run` and others with `runpy`, goes on: after code 0 this
    returns.

    Raises:
        SystemExit: with another code, within such a program.
    """
    if other := _other_checkout(main):
        sys.exit(_refuse(SweepError(other)))
    if _is_within_a_program():
        if code := main():
            raise SystemExit(code)
        return
    if sys.warnoptions:  # with PYTHONWARNINGS=error libraries that warn of each other cannot be used
        warnings.simplefilter("ignore")
    with left_on_signals():
        code = main()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def _other_checkout(main: Callable[[], int]) -> str:
    """Say that a script would run other code than its checkout's, which Python finds first; empty if not."""
    script = Path(main.__code__.co_filename).resolve()
    imported = Path(sweeps.__file__).resolve().parent
    if script.parent.name != imported.name or script.parent == imported:
        return ""
    here, there = script.parent.parent, imported.parent
    if _code(here) == _code(there):  # installed from here
        return ""
    return (
        f"{script} would run the code in {there}, which Python finds first; set PYTHONPATH={here}, or run "
        f"{imported / script.name}"
    )


def _code(root: Path) -> dict[Path, bytes]:
    """Return the project's modules in a folder, by their relative paths."""
    files = (path for name in PACKAGES for path in (root / name).rglob("*.py"))
    return {path.relative_to(root): path.read_bytes() for path in files}


def _is_within_a_program() -> bool:
    """Tell whether more calls led to `leave` than the script, or the installed command, and `command`."""
    callers, frame = 0, sys._getframe(1).f_back
    while frame is not None:
        callers, frame = callers + 1, frame.f_back
    return callers > 2


def command() -> None:
    """Run the command line and leave: what the script and the installed `ouvae-sweep` do."""
    leave(main)


if __name__ == "__main__":
    command()
