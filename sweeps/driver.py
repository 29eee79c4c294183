"""A sweep from end to end: read, check, plan, train, record, report."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from analysis.statistics.rule import rules_of
from search_spaces import Space
from sweeps import SweepError
from sweeps.cluster import dashboard
from sweeps.cluster.executor import RayExecutor
from sweeps.cluster.process import RayProcess
from sweeps.executors.events import Failed, Finished, Lost, Next, Nodes, Progressed, Returned
from sweeps.executors.executor import SERIAL, Executor, task_of
from sweeps.executors.places import Places, check_local
from sweeps.executors.waiting import Waiting
from sweeps.machine.interrupts import Interrupts
from sweeps.machine.scratch import leave_lost_folder, scratch_folder
from sweeps.plan.cells import PlannedCell, plan_cells, require_computable
from sweeps.plan.data_sets import DataSets
from sweeps.plan.users_code import UsersCode
from sweeps.record.agreement import require_same_space
from sweeps.record.costs import are_measured, measure_missing
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.record.provenance import commit
from sweeps.schedule import Schedule
from sweeps.search.base import threshold_at
from sweeps.search.of_space import searches_of
from sweeps.terminal.progress import Progress
from sweeps.terminal.said import Said
from sweeps.tracking.recorder import FAILED, OK, Recorder
from sweeps.tracking.store import check as check_store
from sweeps.tracking.uri import chosen_uri

_NEEDED_LATER = ("ouvae.training.counts", "analysis.figures", "analysis.report")
"""Modules that planning and the end of a sweep import: by then the checkout may hold other code. An error of
an import is reported where the module is used."""

NOT_LOGGED = 3
"""The exit code of a complete sweep of which MLflow lacks something; 128 and more are for signals."""


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
    """

    address: str | None = None
    out: Path | None = None
    tracking_uri: str | None = None
    data_dir: Path | None = None
    dashboard: bool = False

    @property
    def is_local(self) -> bool:
        """Whether packs are trained on this machine only."""
        return self.address in (None, SERIAL)

    def run_directory(self, space: Space) -> Path:
        """Return the run directory."""
        return self.out or Path("runs") / space.name


def sweep(space: Space, options: Options, console: Console) -> int:
    """Run a space and return the exit code.

    0: complete; 1: packs failed permanently, or the sweep could not go on; 3: complete, but not all of it is
    in MLflow; 128 and the number of a signal: interrupted. Everything that can be wrong with the input raises
    before any training: DataError, SweepError, TableError.

    Raises:
        Interrupted: a signal came before any training.
    """
    uri, run = refuse(space, options), RunDirectory(options.run_directory(space))
    said, interrupts = Said(space, run, console), Interrupts(space.grace_seconds, console.print)
    rule = rules_of(space.model_dump()).of(space.follow)
    with interrupts.caught(), scratch_folder() as scratch, run.held():
        require_same_space(run, space)
        ledger = Ledger(run, space.name, rule.order)
        said.start(options.address)
        users_code = UsersCode(space.cells())
        with executor_of(space, options, run, scratch, users_code) as executor:
            interrupts.on_leave = partial(leave, executor, console)
            data = prepare(space, options, uri, interrupts)
            places = Places(space, executor.connect(), ledger.device, options.is_local)
            cells = plan_cells(space.swept(), data.of, places.device, users_code)
            ledger.require_like(cells)
            require_computable(cells)
            interrupts.begin_saving()
            run.begin(space.model_dump(mode="json"))
            ledger.keep_failed_of(cells)
            recorder, schedule = recorded(space, cells, ledger, uri, places.slots, interrupts)
            said.plan(options.address, places, schedule, ledger)
            screen = Progress(console, schedule, partial(threshold_at, rule))
            waiting = Waiting(space.wait_minutes, places, console.print)
            next_task = partial(next_of, schedule, space, run, interrupts)
            with said.timed(), stopped_by_errors(recorder, executor):
                for event in screen.shown(executor.train(data.by_digest, next_task, places, interrupts)):
                    said.event(event)
                    match event:
                        case Progressed(pack_id, steps):
                            schedule.progressed(pack_id, steps)
                            with recorder.beside("progress"):
                                recorder.begin()
                                screen.update()
                        case Finished(pack_id, result):
                            recorder.tell(ledger.add(schedule.pack(pack_id), result))
                            schedule.finished(pack_id)
                        case Failed(pack_id, failure):
                            attempt = schedule.failed(pack_id, failure)
                            if attempt.is_last:
                                recorder.tell(ledger.fail(attempt.pack, failure.reason))
                            elif attempt.is_split:
                                run.drop_checkpoint(pack_id)
                            schedule.advance()
                            said.attempt(attempt)
                        case Returned(pack_id):
                            schedule.returned(pack_id)
                        case Lost():
                            schedule.return_all()
                        case Nodes(nodes):
                            places.resize(nodes)
                            schedule.resize(places.slots)
                            said.nodes(places)
                    waiting.look(schedule, event)
                if schedule.done and interrupts.signal is None:
                    measure = partial(executor.measure, places, interrupts)
                    measure_missing(space.costs, cells, data.by_digest, run, measure)
        return finish(space, cells, ledger, schedule, recorder, interrupts, said)


def refuse(space: Space, options: Options) -> str:
    """Refuse options that cannot be used here, and return the URI of the MLflow store. Raises SweepError."""
    run = options.run_directory(space)
    leave_lost_folder(run)
    uri = chosen_uri(options.tracking_uri, run.parent)
    if options.dashboard:
        dashboard.check(options.address)
    if options.is_local:
        check_local(space)
    return uri


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


def prepare(space: Space, options: Options, uri: str, interrupts: Interrupts) -> DataSets:
    """Do what takes its time while Ray starts: load the data and the code, and look at the MLflow store.

    Raises:
        DataError: a data set cannot be loaded.
        Interrupted: a signal came.
        SweepError: cells ask for more images than there are, or the store cannot be used.
    """
    commit()  # of the code that was copied, whatever is checked out later
    interrupts.check()
    data = DataSets(space.cells(), options.data_dir)
    for module in _NEEDED_LATER:
        with suppress(Exception):
            importlib.import_module(module)
    interrupts.check()
    check_store(uri)
    interrupts.check()
    return data


def recorded(
    space: Space,
    cells: Sequence[PlannedCell],
    ledger: Ledger,
    uri: str,
    slots: int,
    interrupts: Interrupts,
) -> tuple[Recorder, Schedule]:
    """Return the recorder of a run, which interrupts reach, and the schedule of its missing members.

    Args:
        space: the space.
        cells: of the space, in their order.
        ledger: the members of the run, which has begun.
        uri: of the MLflow store.
        slots: packs that are trained at once.
        interrupts: signals.
    """
    rule = rules_of(space.model_dump()).of(space.follow)
    searches = searches_of(space, space.swept(), [ledger.observed(cell) for cell in cells], rule)
    expected = sum(search.expected_points() for search in searches)
    recorder = Recorder(space, cells, ledger, uri, expected)
    interrupts.on_signal = recorder.interrupt
    planned = list(zip(cells, searches, strict=True))
    return recorder, Schedule(planned, ledger, slots, space.pack_size)


def next_of(schedule: Schedule, space: Space, run: RunDirectory, interrupts: Interrupts) -> Next:
    """Return what to train next."""
    if schedule.done or interrupts.signal is not None:
        return Next(None, finished=True)
    pack = schedule.next_pack()
    return Next(None if pack is None else task_of(pack, space, run))


@contextmanager
def stopped_by_errors(recorder: Recorder, executor: Executor) -> Iterator[None]:
    """End the executor after the block; an error in the block becomes what stopped the sweep.

    The tables of the finished members are written after any error.
    """
    try:
        yield
    except Exception as error:
        recorder.stop(error)
        with recorder.beside("clean-up"):
            executor.kill()
    with recorder.beside("clean-up"):
        executor.end()


def finish(
    space: Space,
    cells: Sequence[PlannedCell],
    ledger: Ledger,
    schedule: Schedule,
    recorder: Recorder,
    interrupts: Interrupts,
    said: Said,
) -> int:
    """Write and log the tables, report, and return the exit code."""
    with suppress(SweepError):  # the run directory went with its folder, as the tables say
        leave_lost_folder(ledger.run.path)
    if schedule.done:
        with recorder.beside("clean-up"):
            ledger.keep_failed(schedule.asks_for)
    tables = recorder.write(schedule)
    results = recorder.results(tables)
    problems = list(dict.fromkeys([*filter(None, [recorder.stopped]), *recorder.problems.values()]))
    complete = schedule.done and are_measured(space.costs, cells, ledger.run)
    if not complete and interrupts.signal is not None and not recorder.stopped:
        code = interrupts.exit_code
    else:
        code = OK if complete and not (problems or schedule.failures) else FAILED
    report = recorder.close(code, interrupts, said.console)
    if code == OK and not report.complete:
        code = NOT_LOGGED
    said.end(problems, results, schedule, tables, report, recorder.uri, is_complete=code in (OK, NOT_LOGGED))
    return code
