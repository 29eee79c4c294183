"""A sweep from end to end: read, check, plan, train, record, report."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.table import Column, Table

from analysis.estimate import Curves, mean_curve
from analysis.figures import write_figures
from analysis.tables import curves
from analysis.thresholds import format_thresholds
from ouvae.data import Dataset
from ouvae.data import load as load_data
from search_spaces import Cell, Space
from sweeps import SweepError, cluster, mlflow_runs, mlflow_uri, tracking
from sweeps.costs import are_measured, measure_missing
from sweeps.mlflow_values import CELL_PARAMS
from sweeps.plan import PlannedCell
from sweeps.progress import Progress, duration
from sweeps.records import commit, project_version
from sweeps.schedule import Schedule
from sweeps.search import search_of
from sweeps.store import Row, RunDirectory

OK, FAILED, INTERRUPTED = 0, 1, 130

CORE_SPEED = 1.5e10
"""Multiply-adds a second of one CPU core in packed training, measured on digits; for estimates alone."""

IMAGE_SHAPES = {
    "digits": (8, 8),
    "mnist": (28, 28),
    "mnist_fixed": (28, 28),
    "mnist_static": (28, 28),
    "omniglot": (28, 28),
    "cifar10": (3, 32, 32),
}
"""Of the image data sets, for estimates without loading them."""

_Key = tuple[str, tuple[float, ...] | None]
"""What a data set is loaded by: its name, and the variances of `gaussian`."""

TABLES_SECONDS = 60.0
"""The tables are rewritten this often while the sweep goes on, and at its end."""


@dataclass(frozen=True)
class Options:
    """What the command line says besides the space.

    Attributes:
        address: of a running Ray cluster; None starts a local Ray.
        out: run directory; None is runs/<space>.
        tracking_uri: of the MLflow store; None is a SQLite file beside the run directory.
        data_dir: folder with the data files; None downloads them.
    """

    address: str | None = None
    out: Path | None = None
    tracking_uri: str | None = None
    data_dir: Path | None = None

    def run_directory(self, space: Space) -> Path:
        """Return the run directory."""
        return self.out or Path("runs") / space.name

    def store_uri(self, space: Space) -> str:
        """Return the URI of the MLflow store."""
        return self.tracking_uri or mlflow_uri.default_uri(self.run_directory(space).parent)


def run(space: Space, options: Options, console: Console) -> int:
    """Run the space and return the exit code: 0, 1 if packs failed, 130 if it was interrupted.

    Everything that can be wrong with the input raises before any training: DataError, SweepError,
    TableError.
    """
    started = time.monotonic()
    data = _load_data(space, options)
    directory = RunDirectory(options.run_directory(space))
    uri = options.store_uri(space)
    with directory.opened(space), ThreadPoolExecutor() as aside:
        recorder = _Recorder(space, directory, uri)
        checked = aside.submit(mlflow_runs.check, uri)  # takes seconds, and so does Ray
        with cluster.connected(options.address, space) as ray:
            checked.result()
            directory.require_like(ray.device, _digests(data))
            cells = [_planned(cell, data, ray.device) for cell in space.cells()]
            schedule = Schedule(space, cells, ray.slots, directory, recorder.on_pack)
            _announce(console, space, schedule, directory, ray.description)
            recorder.start()
            by_digest = {one.digest: one for one in data.values()}
            training_seconds = _train(schedule, space, by_digest, directory, console)
        complete = schedule.done and are_measured(space, cells, directory)
        code = OK if complete else INTERRUPTED
        if schedule.failures:
            code = FAILED
        thresholds, report = recorder.finish(schedule, code)
    total = time.monotonic() - started
    _report(console, space, options, directory, schedule, code, thresholds, report)
    console.print(
        f"{duration(total)} in all, {duration(training_seconds)} of it training "
        f"{schedule.members_trained} members"
    )
    return code


def plan(space: Space, options: Options, console: Console) -> None:
    """Print cells, members, packs and the expected cost of the space; train nothing.

    The cost is an estimate: the arithmetic of the training steps at `CORE_SPEED` per core.
    """
    slots = max(1, cluster.local_cpus() // space.cpus_per_pack)
    device = "cpu" if space.device == "auto" else space.device
    console.print(f"space {space.name}: search {space.search}, seeds {list(space.seeds)}")
    table = Table(Column("cell", no_wrap=True), "members", "packs at first", "member-steps", "core time")
    total, members_total = 0.0, 0
    for cell in space.cells():
        search = search_of(space.part_of(cell))
        members, first = search.expected_points(), len(search.ask())
        shape = IMAGE_SHAPES.get(cell.dataset) or (len(cell.data_variance or ()),)
        planned = PlannedCell(cell, "", shape, device)
        largest = space.pack_size or planned.largest_pack
        packs = max(-(-first // largest), min(-(-2 * slots // len(space.cells())), first))
        seconds = members * cell.steps * planned.multiply_adds() / CORE_SPEED
        table.add_row(cell.label, f"{members}", f"{packs}", f"{members * cell.steps:,}", duration(seconds))
        total, members_total = total + seconds, members_total + members
    console.print(table)
    console.print(
        f"{members_total} members expected, about {duration(total)} of one core, "
        f"{duration(total / slots)} on the {slots} slots of this machine"
    )


class _Recorder:
    """Takes finished packs to MLflow and, now and then, to the tables."""

    def __init__(self, space: Space, directory: RunDirectory, uri: str) -> None:
        self._space, self._directory, self._uri = space, directory, uri
        self._written = time.monotonic()
        self._tracker: tracking.Tracker | None = None

    def start(self) -> None:
        """Open the tracker and hand it what the directory holds, of which it logs what it lacks."""
        space = self._space
        params = space.model_dump(mode="json") | {
            "commit": commit(),
            "project_version": project_version(),
        }
        name = self._directory.path.name
        self._tracker = tracking.Tracker(self._uri, space.name, self._directory.sweep_id, name, params)
        histories: dict[str, list[Row]] = {}
        for row in self._directory.members.values():
            if row["pack_id"] not in histories:
                for entry in self._directory.history(row["pack_id"]):
                    histories.setdefault(row["pack_id"], []).append(entry)
            own = [e for e in histories[row["pack_id"]] if e["member_id"] == row["member_id"]]
            self._tracker.log_member(row, own)

    def on_pack(self, members: Sequence[Row], history: Sequence[Row]) -> None:
        """Take a finished pack."""
        assert self._tracker is not None, "a pack finishes after the start"
        for row in members:
            own = [entry for entry in history if entry["member_id"] == row["member_id"]]
            self._tracker.log_member(row, own)
        if time.monotonic() - self._written > TABLES_SECONDS:
            self._directory.write_tables(self._space)
            self._written = time.monotonic()

    def finish(self, schedule: Schedule, code: int) -> tuple[pa.Table | None, tracking.Report]:
        """Write tables and figures, log them and the cells, close the tracker; return the thresholds."""
        assert self._tracker is not None, "a finish follows a start"
        thresholds: pa.Table | None = None
        if self._directory.members:
            members, _, thresholds = self._directory.write_tables(self._space)
            complete = {state.planned.cell_id for state in schedule.cells if state.done}
            by_cell = curves(members)
            for row in thresholds.to_pylist():
                if row["cell_id"] in complete:
                    self._log_cell(row, by_cell[row["cell_id"]], members)
            figures = write_figures(self._directory.path)
            self._tracker.log_artifacts(figures, "figures")
            names = ("members", "history", "thresholds")
            tables = [self._directory.path / f"{name}.parquet" for name in names]
            self._tracker.log_artifacts([*tables, self._directory.path / "space.yaml"], "tables")
        if self._directory.costs.exists():
            self._tracker.log_artifacts([self._directory.costs], "tables")
        status = {OK: "FINISHED", FAILED: "FAILED"}.get(code, "KILLED")
        return thresholds, self._tracker.close(status)

    def _log_cell(self, threshold: Row, cell_curves: Curves, members: pa.Table) -> None:
        assert self._tracker is not None, "a cell is logged after the start"
        ids = members["cell_id"].to_pylist()
        settings = members.slice(ids.index(threshold["cell_id"]), 1).to_pylist()[0]
        shared = {key: settings[key] for key in CELL_PARAMS}
        curve = list(zip(*mean_curve(cell_curves), strict=True))
        self._tracker.log_cell(threshold["cell_id"], threshold["cell"], shared, curve, threshold)


def _load_data(space: Space, options: Options) -> dict[_Key, Dataset]:
    """Return the data sets of the space's cells."""
    data: dict[_Key, Dataset] = {}
    for cell in space.cells():
        name, variance = key = _data_key(cell)
        if key not in data:
            data[key] = load_data(name, options.data_dir, data_variance=variance)
        found = len(data[key].train)
        if cell.batch_size > found:
            raise SweepError(
                f"batch_size: {cell.batch_size} with {found} training images in {name}; use at most {found}"
            )
    return data


def _data_key(cell: Cell) -> _Key:
    return cell.dataset, cell.data_variance


def _digests(data: Mapping[_Key, Dataset]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in data.values():
        found.setdefault(one.name, []).append(one.digest)
    return found


def _planned(cell: Cell, data: Mapping[_Key, Dataset], device: str) -> PlannedCell:
    own = data[_data_key(cell)]
    return PlannedCell(cell, own.digest, own.image_shape, device)


def _train(
    schedule: Schedule, space: Space, data: Mapping[str, Dataset], directory: RunDirectory, console: Console
) -> float:
    """Train what is missing; return the seconds it took. An interrupt leaves schedule or costs undone."""
    progress = Progress(console)
    started = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        if not schedule.done:
            with progress.following(schedule):
                cluster.train(schedule, space, data, directory.checkpoints, progress.update)
        if schedule.done:  # an interrupted training returns without that
            measure_missing(space, [state.planned for state in schedule.cells], data, directory)
    return time.monotonic() - started


def _announce(
    console: Console, space: Space, schedule: Schedule, directory: RunDirectory, nodes: str
) -> None:
    expected = sum(state.expected_members for state in schedule.cells)
    console.print(
        f"space {space.name}: {len(schedule.cells)} cells, {len(space.seeds)} seeds, "
        f"about {expected} members of {space.steps} steps, search {space.search}\n"
        f"Ray: {nodes} ({schedule.cells[0].planned.device})\n"
        f"into {directory.path}: {schedule.members_reused} members are there already"
    )


def _report(
    console: Console,
    space: Space,
    options: Options,
    directory: RunDirectory,
    schedule: Schedule,
    code: int,
    thresholds: pa.Table | None,
    report: tracking.Report,
) -> None:
    path = directory.path
    if thresholds is not None:
        console.print("\n" + format_thresholds(thresholds) + "\n")
    for pack, reason in schedule.failures:
        points = ", ".join(f"rho={point.rho:g} seed={point.seed}" for point in pack.points)
        console.print(f"FAILED {pack.cell.cell.label} ({points}):\n{reason.rstrip()}\n")
    if code != OK:
        console.print("The sweep is not complete; the same command trains what is missing.")
    if thresholds is not None:
        console.print(f"tables   {path}/members.parquet, history.parquet, thresholds.parquet")
        console.print(f"figures  {path}/figures/")
    if directory.costs.exists():
        console.print(f"costs    {directory.costs}")
    console.print(f"{report}")
    console.print("next")
    console.print(f"  {mlflow_uri.ui_command(options.store_uri(space))}")
    if report.curves_url is not None:
        console.print(f"  then {report.curves_url}")
    if thresholds is not None:
        console.print(f"  python analysis/thresholds.py {path}")
        console.print(f"  python analysis/figures.py {path}")
        console.print(f"  optuna-dashboard sqlite:///{directory.studies}")
