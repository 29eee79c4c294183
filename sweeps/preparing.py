"""Before a sweep trains: its options, what they rule out, its executor, and what is loaded meanwhile."""

import importlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from search_spaces import Space, SweptCell
from sweeps.cluster import dashboard
from sweeps.cluster.address import resolve
from sweeps.cluster.executor import RayExecutor
from sweeps.cluster.process import RayProcess
from sweeps.executors.executor import SERIAL, Executor
from sweeps.executors.places import check_local
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.cells import PlannedCell, plan_cells, require_computable
from sweeps.plan.data_sets import DataSets
from sweeps.plan.users_code import UsersCode
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.record.provenance import commit
from sweeps.record.states import IN_RUN, recorded_uri
from sweeps.scratch import leave_lost_folder
from sweeps.tracking.store import check as check_store
from sweeps.tracking.uri import chosen_uri
from sweeps.worker.objects import require_usable

_NEEDED_LATER = (
    "ouvae.training.counts", "analysis.figures", "analysis.report", "analysis.results",
    "analysis.charts.cells", "analysis.charts.curves", "analysis.charts.phases", "analysis.charts.sheets",
    "analysis.charts.training", "analysis.sweep_page.page",
)  # fmt: skip
"""Modules that planning and the end of a sweep import: by then the checkout may hold other code. An error of
an import is reported where the module is used."""


@dataclass(frozen=True)
class Options:
    """Options of the command line besides the space.

    Attributes:
        address: of a running Ray cluster; None starts a local Ray, and `serial` uses no Ray.
        out: run directory; None is runs/<space>.
        tracking_uri: of the MLflow store; None is the environment's, or a SQLite file beside the run
            directory.
        data_dir: folder with the data files; None downloads them.
        dashboard: whether a local Ray starts its dashboard.
        checkpoints: URI for the states of packs, or `run` for the run directory; None is as before, at first
            the run directory.
        ends_process: whether the process ends with the sweep; see `Interrupts`.
    """

    address: str | None = None
    out: Path | None = None
    tracking_uri: str | None = None
    data_dir: Path | None = None
    dashboard: bool = False
    checkpoints: str | None = None
    ends_process: bool = True

    @property
    def is_local(self) -> bool:
        """Whether packs are trained on this machine only."""
        return self.address in (None, SERIAL)

    def run_directory(self, space: Space) -> Path:
        """Return the run directory."""
        return self.out or Path("runs") / space.name


@dataclass(frozen=True)
class Stores:
    """Places outside the run directory.

    Attributes:
        tracking: URI of the MLflow store.
        states: URI of the packs' states; empty for the run directory.
    """

    tracking: str
    states: str


def refuse(space: Space, options: Options) -> Stores:
    """Refuse options that cannot be used here, and return the stores.

    What is wrong with a sweep raises here, in the run directory's `held`, in its `Ledger`, in `prepare` or in
    `planned`. `--dry-run` calls the same.

    Raises:
        SweepError: an option cannot be used.
    """
    run = options.run_directory(space)
    leave_lost_folder(run)
    uri = chosen_uri(options.tracking_uri, run.parent)
    if options.dashboard:
        dashboard.check(options.address)
    if options.is_local:
        check_local(space)
    if options.address != SERIAL:
        resolve(options.address)
    states = recorded_uri(run) if options.checkpoints is None else options.checkpoints
    if states in ("", IN_RUN):
        return Stores(uri, "")
    require_usable(states)
    return Stores(uri, states)


def executor_of(
    space: Space, options: Options, run: RunDirectory, scratch: Path, users_code: UsersCode
) -> Executor:
    """Return the executor of the address; Ray starts now."""
    if options.address == SERIAL:
        from sweeps.executors.serial import Serial  # torch

        return Serial(space.cpus_per_pack, users_code)
    return RayExecutor(RayProcess(options.address, run.log, scratch, users_code, options.dashboard), run.log)


def leave(executor: Executor, console: Console) -> None:
    """Kill what would outlive this process, and give the terminal back."""
    executor.kill()
    console.show_cursor(True)


def prepare(
    space: Space, options: Options, uri: str, interrupts: Interrupts, download: bool = True
) -> DataSets:
    """Do what takes its time while Ray starts: load the data and the code, and look at the MLflow store.

    Without `download`, data sets that a sweep would download are left out.

    Raises:
        DataError: a data set cannot be loaded.
        Interrupted: a signal came.
        SweepError: cells ask for more images than there are, or the store cannot be used.
    """
    commit()  # of the code that was copied, whatever is checked out later
    interrupts.check()
    data = DataSets(space.cells(), options.data_dir, download)
    for module in _NEEDED_LATER:
        with suppress(Exception):
            importlib.import_module(module)
    interrupts.check()
    check_store(uri)
    interrupts.check()
    return data


def planned(
    swept: Sequence[SweptCell], data: DataSets, device: str, users_code: UsersCode, ledger: Ledger
) -> list[PlannedCell]:
    """Return the cells of a space, which can be computed and fit to the members of its run.

    Raises:
        SweepError: they differ from the members in device, data, code or numerics, or cannot be computed.
    """
    cells = plan_cells(swept, data.of, device, users_code)
    ledger.require_like(cells)
    require_computable(cells)
    return cells
