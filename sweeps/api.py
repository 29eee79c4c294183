"""A sweep from Python: in a program or a notebook.

>>> from sweeps import sweep
>>> run = sweep("digits", seeds=5, out="runs/mine")
>>> run.thresholds[["cell", "order_parameter", "critical_value"]]
"""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import search_spaces
from analysis.run import Run, load
from analysis.tables.replacing import expanded
from search_spaces import Space
from sweeps import driver
from sweeps.errors import SweepError
from sweeps.machine.interrupts import Interrupted
from sweeps.preparing import Options
from sweeps.terminal.console import Terminal
from sweeps.tracking.recorder import OK


def sweep(
    space: str | Path | Mapping[str, Any] | Space = "digits",
    *,
    out: str | Path | None = None,
    address: str | None = None,
    budget: str | None = None,
    tracking_uri: str | None = None,
    data_dir: str | Path | None = None,
    checkpoints: str | None = None,
    quiet: bool = False,
    **keys: Any,
) -> Run:
    """Run a space, or go on with its run, and return the run as `analysis.load` does.

    In a terminal or a notebook a table of the cells shows the progress. An interruption (Ctrl-C, or the
    notebook's *interrupt*) saves what is trained and raises KeyboardInterrupt; the same call goes on. A
    second one ends the sweep at once.

    Args:
        space: name of a space, its file, its keys and values, or the space itself.
        out: run directory; None is runs/NAME, with the space's name.
        address: of a running Ray cluster; None starts a local Ray, and `serial` trains in this process.
        budget: one of the space's budgets.
        tracking_uri: of the MLflow store; None is the environment's, or a SQLite file beside the run
            directory.
        data_dir: folder with the data files; None downloads them.
        checkpoints: URI for the states of packs in training; None is where the run keeps them, at first its
            directory.
        quiet: print nothing.
        keys: of the space, such as `seeds=5`, in place of the space's own.

    Raises:
        DataError: a data set cannot be loaded.
        KeyboardInterrupt: the sweep was interrupted.
        SystemExit: SIGTERM or SIGHUP came.
        SpaceError: the space is wrong; the message lists all problems.
        SweepError: the options are wrong, or the sweep is not complete; what is trained is in the run
            directory.
        TableError: the run directory holds tables that cannot be read.
        ValueError: no file can have a path.
    """
    if isinstance(space, Space):
        space = space.model_dump(mode="json")
    source = space if isinstance(space, Mapping) else str(space)
    read = search_spaces.load(source, budget=budget, keys=keys)
    folders = [None if path is None else expanded(str(path)) for path in (out, data_dir)]
    options = Options(
        address, folders[0], tracking_uri, folders[1], checkpoints=checkpoints, ends_process=False
    )
    console = Terminal(quiet)
    try:
        code = driver.sweep(read, options, console)
    except Interrupted as stopped:
        code = stopped.exit_code
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if code > 128:
        raise SystemExit(code)
    path = options.run_directory(read)
    if code not in (OK, driver.NOT_LOGGED):
        reasons = [f"the sweep in {path} is not complete; the same call goes on", *console.reasons]
        raise SweepError("\n".join(reasons))
    return load(path)
