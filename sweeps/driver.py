"""A sweep from end to end: read, check, plan, train, record, report."""

import importlib
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from analysis.statistics.estimate import CellThreshold
from analysis.statistics.rule import Rule, rules_of
from analysis.text.words import plural
from ouvae.data import Dataset
from search_spaces import Space
from sweeps import SweepError
from sweeps.cluster import dashboard
from sweeps.cluster.messages import NodeResources
from sweeps.cluster.process import RayProcess
from sweeps.errors import explained
from sweeps.executors.training import Executor, Trainer, describe, device_of, resources_of
from sweeps.machine.cpus import usable_cpus
from sweeps.machine.interrupts import Interrupted, Interrupts
from sweeps.plan.cells import PlannedCell, plan_cells
from sweeps.plan.data_sets import DataKey, data_key, load_data_sets
from sweeps.plan.users_code import UsersCode
from sweeps.record.costs import are_measured, measure_missing
from sweeps.record.provenance import commit
from sweeps.record.run_directory import RunDirectory, is_of_disk
from sweeps.schedule import Schedule
from sweeps.schedule import describe as describe_pack
from sweeps.scratch import leave_lost_folder, scratch_folder
from sweeps.search.base import Observations, curves_of_points
from sweeps.search.of_space import searches_of
from sweeps.terminal.console import duration
from sweeps.terminal.progress import Progress
from sweeps.tracking.recorder import DISK, FAILED, OK, Recorder
from sweeps.tracking.store import check as check_store
from sweeps.tracking.tracker import Report
from sweeps.tracking.uri import chosen_uri, ui_command, unused_variables

_NEEDED_LATER = ("ouvae.training.counts", "analysis.figures", "analysis.report")
"""Modules that planning and the end of a sweep import: by then the checkout may hold other code. One that
cannot be imported is said to be so where it is used."""

SERIAL = "serial"
"""The address of no Ray: one pack after another, in this process."""

NOT_LOGGED = 3
"""The exit code of a complete sweep of which MLflow lacks something; 128 and more are for signals."""


@dataclass(frozen=True)
class Options:
    """What the command line says besides the space.

    Attributes:
        address: of a running Ray cluster; None starts a local Ray, and `serial` is no Ray at all.
        out: run directory; None is runs/<space>.
        tracking_uri: of the MLflow store; None is that of the environment, or a SQLite file beside the run
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
        """Whether packs are trained on this machine alone."""
        return self.address in (None, SERIAL)

    def run_directory(self, space: Space) -> Path:
        """Return the run directory."""
        return self.out or Path("runs") / space.name


def run(space: Space, options: Options, console: Console) -> int:
    """Run the space and return the exit code.

    0: complete; 1: packs were given up, or the sweep could not go on; 3: complete, but not all of it is in
    MLflow; 128 and the number of a signal: interrupted. Everything that can be wrong with the input raises
    before any training: DataError, SweepError, TableError.
    """
    leave_lost_folder(options.run_directory(space))
    uri = chosen_uri(options.tracking_uri, options.run_directory(space).parent)
    if options.dashboard:
        dashboard.check(options.address)
    if options.is_local:
        _check_local(space)
    stack = ExitStack()
    sweep = _Sweep(space, options, uri, console, stack)
    try:
        with sweep.interrupts.caught(), stack:
            return sweep.run()
    except Interrupted:
        console.print("The sweep is stopped before any training.")
        return sweep.interrupts.exit_code


def recorded(
    space: Space,
    cells: Sequence[PlannedCell],
    directory: RunDirectory,
    uri: str,
    slots: int,
    interrupts: Interrupts,
) -> tuple[Recorder, Schedule]:
    """Return the recorder of a run, which interrupts reach, and the schedule of what it lacks.

    Args:
        space: that is swept.
        cells: of the space, in their order.
        directory: of the run, opened.
        uri: of the MLflow store.
        slots: packs that are trained at once.
        interrupts: signals.
    """
    observed = [directory.observed(cell) for cell in cells]
    searches = list(zip(cells, searches_of(space, space.swept(), observed, _target(space)), strict=True))
    expected = sum(search.expected_points() for _, search in searches)
    recorder = Recorder(space, cells, directory, uri, expected)
    interrupts.on_signal = recorder.interrupt
    schedule = Schedule(space.name, searches, slots, directory, recorder.tell, space.pack_size)
    return recorder, schedule


def _target(space: Space) -> Rule:
    """Return the rule of the threshold that the space looks for."""
    return rules_of(space.model_dump()).of(space.follow)


class _Sweep:
    """One run of the command: its parts, in the order in which they are there."""

    def __init__(self, space: Space, options: Options, uri: str, console: Console, stack: ExitStack) -> None:
        self._space, self._options, self._uri = space, options, uri
        self._console, self._stack = console, stack
        self._started = time.monotonic()
        self._directory = RunDirectory(options.run_directory(space))
        self._on_abandon: Callable[[], None] = lambda: None
        self.interrupts = Interrupts(space.grace_seconds, console.print, self._abandon)

    def run(self) -> int:
        """Check, train, report; return the exit code."""
        space, options, directory = self._space, self._options, self._directory
        scratch = self._stack.enter_context(scratch_folder())
        with directory.held(space):
            self._announce()
            users_code = UsersCode(space.cells())
            executor = self._executor(scratch, users_code)
            commit()  # of the code that was copied, whatever is checked out later
            self.interrupts.check()
            data = load_data_sets(space.cells(), options.data_dir)
            for module in _NEEDED_LATER:  # imported while Ray starts
                with suppress(Exception):
                    importlib.import_module(module)
            self.interrupts.check()
            check_store(self._uri)
            self.interrupts.check()
            nodes = executor.connect()
            device = device_of(space, nodes, directory.device)
            cells = plan_cells(space.swept(), lambda cell: data[data_key(cell)], device, users_code)
            directory.require_like(cells)
            resources = resources_of(space, device)
            slots = resources.room_in(nodes)
            if not slots and options.is_local:
                raise SweepError(
                    f"this machine has {describe(nodes, resources)}, and a pack asks for {resources}; lower "
                    "gpus_per_pack, set device=cpu, or give the --address of a cluster"
                )
            for cell in cells:
                cell.multiply_adds()  # refuses a system that does not compute
            self.interrupts.begin_saving()
            directory.begin()
            cell_ids = {cell.cell_id for cell in cells}
            directory.keep_failed(lambda row: row["cell_id"] in cell_ids)
            recorder, schedule = recorded(space, cells, directory, self._uri, max(1, slots), self.interrupts)
            self._announce_training(schedule, describe(nodes, resources), device)
            problem, seconds = self._train(schedule, executor, recorder, data, device, nodes)
            with recorder.beside("clean-up"):
                executor.end()
            return self._finish(schedule, recorder, problem, seconds)

    def _executor(self, scratch: Path, users_code: UsersCode) -> Executor:
        """Return where packs are trained, which a second signal kills."""
        if self._options.address == SERIAL:
            from sweeps.executors.serial import Serial  # torch

            return Serial(self._space.cpus_per_pack, users_code)
        options, log = self._options, self._directory.log
        ray = RayProcess(options.address, log, scratch, users_code, options.dashboard)
        self._stack.callback(ray.kill)
        self._on_abandon = ray.kill
        return ray

    def _train(
        self,
        schedule: Schedule,
        executor: Executor,
        recorder: Recorder,
        data: Mapping[DataKey, Dataset],
        device: str,
        nodes: Sequence[NodeResources],
    ) -> tuple[str, float]:
        """Train what is missing; return what ended it too early, if anything did, and the seconds it took."""
        by_digest = {one.digest: one for one in data.values()}
        local = self._options.is_local
        started, problem = time.monotonic(), ""
        progress = Progress(self._console, schedule, self._estimate)

        def on_progress(pack_id: str, steps_done: int) -> None:
            with recorder.beside("progress"):
                recorder.on_progress()
                progress.update(pack_id, steps_done)

        trainer = Trainer(
            executor, self._space, device, self._directory, self.interrupts,
            self._console.print, self._directory.note, on_progress,
        )  # fmt: skip
        try:
            if not schedule.done:
                with progress.shown():
                    trainer.train(schedule, by_digest, nodes, local)
            if schedule.done and self.interrupts.signal is None:
                cells = [state.planned for state in schedule.cells]
                measure_missing(self._space, cells, by_digest, self._directory, trainer)
        except Exception as error:  # whatever it is, the tables of what is trained are written
            problem = explained(error, self._directory.note)
            if is_of_disk(error):
                recorder.problems[DISK] = problem
            with recorder.beside("clean-up"):
                executor.kill()
        return problem, time.monotonic() - started

    def _estimate(self, observations: Observations) -> CellThreshold:
        """Return what observations of a cell say of the threshold that is followed."""
        return _target(self._space).threshold(curves_of_points(observations))

    def _finish(self, schedule: Schedule, recorder: Recorder, problem: str, seconds: float) -> int:
        """Write and log what came out, say it, and return the exit code."""
        with suppress(SweepError):  # the run directory went with its folder, as the tables say
            leave_lost_folder(self._directory.path)
        if schedule.done:
            with recorder.beside("clean-up"):
                self._directory.keep_failed(schedule.asks_for)
        tables = recorder.write(schedule)
        results = recorder.results(tables)
        problems = list(dict.fromkeys([*filter(None, [problem]), *recorder.problems.values()]))
        cells = [state.planned for state in schedule.cells]
        complete = schedule.done and are_measured(self._space, cells, self._directory)
        if not complete and self.interrupts.signal is not None and not problem:
            code = self.interrupts.exit_code
        else:
            code = OK if complete and not (problems or schedule.failures) else FAILED
        report = recorder.close(code, self.interrupts, self._console)
        if code == OK and not report.complete:
            code = NOT_LOGGED
        for error in problems:
            self._console.print(f"error: {error}")
        if results:
            self._console.print(f"\n{results}\n")
        self._report(schedule, code, tables, report)
        total = time.monotonic() - self._started
        trained = plural(schedule.members_trained, "member")
        self._console.print(f"{duration(total)} in all, {duration(seconds)} of it training {trained}")
        return code

    def _announce(self) -> None:
        """Say what is swept, and what is waited for first."""
        space = self._space
        cells, seeds = plural(len(space.cells()), "cell"), plural(len(space.seeds), "seed")
        probes = " and probes" if space.search == "locate" else ""
        self._console.print(f"space {space.name}: {cells}, {seeds}{probes}, search {space.search}")
        for line in unused_variables(space.name):
            self._console.print(line)
        if self._options.address is None:
            self._console.print("starting Ray")
        elif self._options.address != SERIAL:
            self._console.print(f"connecting to the Ray at {self._options.address}")

    def _announce_training(self, schedule: Schedule, nodes: str, device: str) -> None:
        space, directory = self._space, self._directory
        for notice in directory.notices:
            self._console.print(notice)
        chosen = ", as there is no GPU; device=cuda waits for one" if self._options.address else ""
        kind = device if device == "cuda" or space.device != "auto" else f"{device}{chosen}"
        self._console.print(f"{'no Ray' if self._options.address == SERIAL else 'Ray'}: {nodes} ({kind})")
        there = f"{schedule.members_reused} members are there already"
        expected = sum(state.expected_members for state in schedule.cells)
        if expected:
            steps = sorted({state.planned.cell.steps for state in schedule.cells})
            there += f" of about {expected} ({' or '.join(map(str, steps))} steps each)"
        if directory.failed:
            there += f", {len(directory.failed)} failed and are tried again"
        self._console.print(f"into {directory.path}: {there}")

    def _report(self, schedule: Schedule, code: int, tables: Mapping[str, pa.Table], report: Report) -> None:
        path = self._directory.path
        for pack, reason in schedule.failures:
            self._console.print(f"FAILED {describe_pack(pack)}: {reason}")
        if schedule.failures:
            self._console.print(f"what led to it is in {self._directory.log}")
        if code not in (OK, NOT_LOGGED):
            self._console.print("The sweep is not complete; the same command trains what is missing.")
        if tables:
            names = ", ".join(f"{name}.parquet" for name in tables)
            self._console.print(f"tables   {path}/: {names}")
            for word, made in (("figures", "figures/"), ("report ", "report.html")):
                if (path / made).exists():
                    self._console.print(f"{word}  {path}/{made}")
        if self._directory.costs.exists():
            self._console.print(f"costs    {self._directory.costs}")
        self._console.print(f"{report}")
        self._console.print("next")
        self._console.print(f"  {ui_command(self._uri)}")
        if tables and report.curves_url is not None:
            self._console.print(f"  then {report.curves_url}")
        if tables:
            for command in ("thresholds", "figures", "report"):
                self._console.print(f"  python analysis/{command}.py {shlex.quote(str(path))}")
            self._console.print(f"  optuna-dashboard {shlex.quote(str(self._directory.studies))}")

    def _abandon(self) -> None:
        self._on_abandon()
        self._console.show_cursor(True)


def _check_local(space: Space) -> None:
    """Refuse a pack that this machine has no room for, before anything is started."""
    if space.cpus_per_pack > (cpus := usable_cpus()):
        raise SweepError(
            f"cpus_per_pack: {space.cpus_per_pack} with {cpus} CPUs for this process; set it to at "
            "most that, or give the --address of a cluster"
        )
