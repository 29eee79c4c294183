"""What the tests of the orchestrator share: packs "trained" at once, and real sweeps as real processes."""

import contextlib
import fcntl
import logging
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from analysis.statistics.rule import rules_of
from ouvae.data import load as load_data
from ouvae.declared import METRICS
from ouvae.training.outcome import Outcome
from ouvae.training.pack import PackTraining
from search_spaces import Space, load
from sweeps import phase_transition
from sweeps.machine import sockets
from sweeps.plan import cells
from sweeps.plan.cells import PlannedCell, Point
from sweeps.plan.packs import Pack
from sweeps.record import tables
from sweeps.record.directory import RunDirectory
from sweeps.record.fragments import Fragment
from sweeps.record.ledger import Ledger
from sweeps.schedule import Schedule
from sweeps.search.of_space import searches_of
from sweeps.tracking.recorder import Recorder
from sweeps.tracking.store import connect
from sweeps.tracking.uri import default_uri
from sweeps.worker.checkpoints import read_checkpoint, write_checkpoint
from sweeps.worker.failures import Failure
from sweeps.worker.states import States
from sweeps.worker.task import PackResult

ROOT = Path(__file__).parents[2]
STEPS = (0, 10, 20)

Found = TypeVar("Found")

SMALL_SPACE = """
dataset: digits
hidden: [16]
ou_samples: 2
search: refine
rho: [0.6, 1.0]
tolerance: 0.2
refine_points: 1
active_from: {{kl_top: 0.25, information_top: 0.1}}
seeds: 2
pack_size: 2
batch_size: 50
learning_rate: 0.01
checkpoint_minutes: 0
save_weights: last
variants:
  - latents: [[6, 6]]
    steps: {steps}
    eval_every: {eval_every}
  - latents: [[4, 4]]
    steps: 300
    eval_every: 150
"""
"""A space of 12 members in 2 rounds, which two CPUs train in 8 packs.

All seeds of both cells have a transition at a quarter of a nat.
"""

PACK_SECONDS = 3.0
"""How long a pack of its first cell trains: more than the 2 s after which it may save its state."""

SERIAL = ("--address", "serial")
"""Where Ray is not the point."""

TIMED = ("seconds", "finished_at", "commit")
"""Columns of the members table that differ between two runs of the same sweep."""


def planned_cells(space: Space, data_digest: str = "d1g357", device: str = "cpu") -> list[PlannedCell]:
    """Plan a space's cells on made-up data of 8x8 pixels."""
    data = SimpleNamespace(digest=data_digest, train=range(90), validation=range(30), test=range(20))
    return cells.plan_cells(space.swept(), lambda cell: data, device)


@contextlib.contextmanager
def held(path: Path, space: Space) -> Iterator[Ledger]:
    """Hold a run directory for a space as a sweep does before it begins, and give its ledger."""
    run = RunDirectory(path)
    with run.held():
        yield Ledger(run, space)


@contextlib.contextmanager
def opened(path: Path, space: Space) -> Iterator[Ledger]:
    """Hold a run directory for a space and begin; give its ledger."""
    with held(path, space) as ledger:
        ledger.run.begin(space.model_dump(mode="json"))
        yield ledger


def schedule_of(space: Space, slots: int, ledger: Ledger) -> Schedule:
    """Open the schedule of a space's cells on made-up data."""
    cells = planned_cells(space)
    searches = searches_of(space, [ledger.observed(cell) for cell in cells])
    return Schedule(cells, searches, ledger, slots, space.pack_size)


def finish(schedule: Schedule, ledger: Ledger, pack: Pack, result: PackResult) -> Fragment:
    """Record a trained pack as the loop of a sweep does."""
    fragment = ledger.add(schedule.pack(pack.pack_id), result)
    schedule.finished(pack.pack_id)
    return fragment


def fail(schedule: Schedule, ledger: Ledger, pack: Pack, failure: Failure) -> str:
    """Record a failed attempt as the loop of a sweep does; return the line about it."""
    attempt = schedule.failed(pack.pack_id, failure)
    if attempt.is_last:
        ledger.fail(pack, failure.reason)
    elif attempt.is_split:
        ledger.run.drop_checkpoint(pack.pack_id)
    schedule.advance()
    return str(attempt)


def write_tables(ledger: Ledger, space: Space) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Write a run's tables as a sweep of the space does; return members, history and thresholds."""
    cell_ids = [cell.cell_id for cell in planned_cells(space)]
    written = tables.write_tables(ledger, cell_ids, rules_of(space.model_dump()))
    return written["members"], written["history"], written["thresholds"]


@pytest.fixture
def make_space() -> Callable[..., Space]:
    """Return a maker of spaces on digits: keys and values of the space."""

    def make(**keys: object) -> Space:
        values = {"name": "made", "latents": [[4, 4]], "rho": [0.5, 0.75, 1.0], "seeds": 2, "search": "grid"}
        values |= {"steps": STEPS[-1], "eval_every": 10, "activation": "relu", "margin": "null"}
        values |= {"active_from": {"kl_top": 0.1, "information_top": 0.1}, "tolerance": 0.06} | keys
        return load("digits", [f"{key}={value}" for key, value in values.items()])

    return make


@pytest.fixture
def plan_cells() -> Callable[..., list[PlannedCell]]:
    """Return the planner of a space's cells, on made-up data."""

    return planned_cells


@pytest.fixture
def result_of() -> Callable[..., PackResult]:
    """Return the trainer of packs: a worker's result from a synthetic KL(point); None diverges."""

    def result(
        pack: Pack, kl_top: Callable[[Point], float | None], steps: Sequence[int] = STEPS
    ) -> PackResult:
        depth = pack.cell.cell.depth

        def evaluation(step: int, kl: float) -> dict[str, object]:
            return dict.fromkeys(metric.name for metric in METRICS) | {
                "step": step,
                "elbo_nats": -20.0,
                "objective_nats": -19.0,
                "reconstruction_nats": -15.0,
                "kl_nats": [5.0] * (depth - 1) + [kl],
                "kl_top_nats": kl,
                "active_units": [4] * depth,
            }

        outcomes = []
        for point in pack.points:
            kl = kl_top(point)
            seen = steps[:2] if kl is None else steps
            history = [evaluation(step, (kl or 0.0) * step / steps[-1]) for step in seen]
            diverged = 15 if kl is None else None
            outcomes.append(Outcome(point.value, point.seed, history, diverged, None))
        machine = {"processor": "a CPU", "cpu_features": "AVX2", "library_versions": "NumPy 2"}
        return PackResult(tuple(outcomes), 321, 6.0, "2.13.0", "3.11.7", machine)

    return result


def wait_until(condition: Callable[[], object], what: str, timeout: float = 900) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.1)


class Sweep:
    """The real command in a session of its own, which its local Ray's processes belong to."""

    def __init__(
        self,
        out: Path,
        arguments: Sequence[str],
        folder: Path,
        prefix: Sequence[str] = (),
        python: str = sys.executable,
        terminal: int | None = None,
        **environment: str,
    ) -> None:
        """Start it.

        `folder` holds its MLflow store, what it prints, and a home in which Ray was never used; `prefix` is
        put before the command, `environment` on top of a clean one. `terminal` is an open terminal, which
        becomes the command's own and takes its standard output.
        """
        self.out, self.store = out, folder / "mlflow.db"
        self._log = folder / f"{out.name}.{time.monotonic_ns()}.log"
        command = [python, str(ROOT / "sweeps/phase_transition.py"), "--out", str(out)]
        command += ["--tracking-uri", f"sqlite:///{self.store}", *arguments]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, *command],
                stdin=terminal,
                stdout=log if terminal is None else terminal,
                stderr=log,
                cwd=folder,
                env=clean_environment(folder / "home") | environment,
                start_new_session=True,
                preexec_fn=_two_cpus if terminal is None else _two_cpus_and_a_terminal,
            )

    @property
    def output(self) -> str:
        """What it printed."""
        return self._log.read_text()

    @property
    def running(self) -> bool:
        """Whether the command runs."""
        return self.process.poll() is None

    def wait(self, timeout: float = 1500) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(timeout)

    def until(self, condition: Callable[[], Found], what: str) -> Found:
        """Poll until `condition` holds while the command runs, and return what it gave then."""
        found = []

        def holds() -> bool:
            running = self.running  # asked first: what it did last still counts
            found[:] = [condition()]
            return bool(found[0]) or not running

        wait_until(holds, what)
        assert found[0], f"ended before {what}:\n{self.output}"
        return found[0]

    def stop(self, number: signal.Signals, grace: float = 25.0) -> int:
        """Send a signal: it is answered at once, and the command ends within its grace; return the code."""
        sent = time.monotonic()
        self.process.send_signal(number)
        self.until(lambda: f"{number.name}: stopping" in self.output, "the signal is answered")
        answered = time.monotonic() - sent
        code = self.wait(60)
        assert answered < 2, self.output
        assert time.monotonic() - sent < grace + 1, self.output
        return code

    def kill(self) -> None:
        """Kill the command as a crash would; its Ray's workers then end by themselves."""
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not self.workers(), "the workers end with their driver", 60)

    def processes(self) -> dict[int, str]:
        """Return the command's processes, Ray's included, by id."""
        return {
            pid: name for pid, (session, _, name) in all_processes().items() if session == self.process.pid
        }

    def workers(self) -> list[int]:
        """Return its Ray's workers."""
        return [
            pid for pid, name in self.processes().items() if re.match("ray::(?!Dashboard|RuntimeEnv)", name)
        ]

    def named(self, name: str) -> list[int]:
        """Return its processes of that name (15 characters of it)."""
        return [pid for pid, other in self.processes().items() if other == name]

    def kill_one(self, name: str) -> int:
        """Kill one of its processes of that name, as soon as there is one, and return its id."""
        killed = self.until(lambda: self.named(name), f"{name} runs")[0]
        os.kill(killed, signal.SIGKILL)
        return killed

    def end(self) -> None:
        """Clean up: end whatever is left."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def statuses(self, level: str) -> list[str]:
        """Return the status of each of its MLflow runs of a level: sweep, cell or member."""
        sweep_id = (self.out / ".sweep_id").read_text()
        select = (
            "select status from runs where lifecycle_stage = 'active' and exists (select 1 from tags where "
            "run_uuid = runs.run_uuid and key = 'level' and value = ?) and exists (select 1 from tags where "
            "run_uuid = runs.run_uuid and key = 'sweep_id' and value = ?)"
        )
        with contextlib.closing(sqlite3.connect(self.store)) as database:
            return [status for (status,) in database.execute(select, (level, sweep_id))]

    def fragments(self) -> dict[str, tuple[int, int]]:
        """Return the finished packs' files with what changes when one is written again."""
        found = self.out.glob("fragments/*.members.parquet")
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

    def counts(self) -> tuple[int, int]:
        """Return how many members it found and how many it trained."""
        found = re.search(r"(\d+) members are there already", self.output)
        trained = re.search(r"of it training (\d+) members?", self.output)
        assert found, self.output
        assert trained, self.output
        return int(found.group(1)), int(trained.group(1))

    def tables(self) -> list[list[dict]]:
        """Return the run's three tables without what differs from run to run."""
        return tables_of(self.out)

    def listening(self) -> set[tuple[str, str]]:
        """Return (address, process) of every TCP socket that its processes listen at."""
        names = self.processes()
        return {(address, names[pid]) for pid, found in sockets.listening(names).items() for address in found}


def add_seconds(states: States) -> dict[str, bytes]:
    """Add 10,000 s of training to each saved state, which show in a pack that resumes; return the states."""
    for pack_id in states.packs():
        state = read_checkpoint(states, pack_id)
        assert state is not None
        write_checkpoint(states, pack_id, state | {"seconds": state["seconds"] + 10_000})
    return {pack_id: states.read(pack_id) or b"" for pack_id in states.packs()}


def refusing(number: int) -> Callable[..., NoReturn]:
    """Return a call of the system that fails with this error number."""

    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


def sweep_digits(out: Path, *keys: str) -> int:
    """Sweep digits with these keys in this process, and return the exit code."""
    return phase_transition.main(["--space", "digits", "--out", str(out), *SERIAL, *sets(keys)])


@contextlib.contextmanager
def drawing_nothing() -> Iterator[pytest.MonkeyPatch]:
    """Let sweeps in this process write neither figures nor a report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "_draw", lambda self, written: None)
        yield patch


def diverging(patch: pytest.MonkeyPatch, members: Collection[tuple[float, int]], at_step: int = 0) -> None:
    """Let members (rho, seed) diverge at a step."""
    note = PackTraining._note_diverged

    def note_more(self: PackTraining, values: torch.Tensor, step: int) -> None:
        bad = torch.tensor([self.members[row] in members for row in self._rows]) & (self.step >= at_step)
        note(self, torch.where(bad, torch.nan, values), step)

    patch.setattr(PackTraining, "_note_diverged", note_more)


def write_tools(folder: Path, tools: Mapping[str, str]) -> None:
    """Write scripts of bash by name into a folder."""
    for name, text in tools.items():
        (folder / name).write_text("#!/usr/bin/env bash\n" + text)
        (folder / name).chmod(0o755)


def sets(overrides: Iterable[str]) -> list[str]:
    """Return the arguments that set KEY=VALUE each."""
    return [word for override in overrides for word in ("--set", override)]


def tables_of(run: Path) -> list[list[dict]]:
    """Return a run's three tables without what differs from run to run."""
    tables: list[pa.Table] = [
        pq.read_table(run / f"{name}.parquet") for name in ("members", "history", "thresholds")
    ]
    return [
        table.drop_columns([name for name in TIMED if name in table.column_names]).to_pylist()
        for table in tables
    ]


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of a user who has set nothing of Ray's or MLflow's and never used Ray."""
    home.mkdir(exist_ok=True)
    kept = {key: text for key, text in os.environ.items() if not re.match("(RAY|TUNE|MLFLOW)_", key)}
    return kept | {"HOME": str(home)}


def _two_cpus() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def _two_cpus_and_a_terminal() -> None:
    _two_cpus()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # its end is a hangup for the session


def all_processes() -> dict[int, tuple[int, int, str]]:
    """Return session, parent and name (15 characters of it) of every process that has not ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            before, _, after = path.read_text().rpartition(")")
        except OSError:
            continue
        fields = after.split()
        if fields[0] not in "ZX":
            found[int(path.parent.name)] = (int(fields[3]), int(fields[1]), before.partition("(")[2])
    return found


def write_small_space(path: Path) -> Path:
    """Write the small space, with as many steps as this machine's speed asks for, and return its file."""
    path.write_text(SMALL_SPACE.format(steps=1000, eval_every=500))
    torch.set_num_threads(1)  # as a worker does
    pack = PackTraining(load(str(path)).cells()[0], [(0.6, 0), (1.0, 0)], load_data("digits"))
    pack.train_step()
    started = time.process_time()
    for _ in range(100):
        pack.train_step()
    step_seconds = (time.process_time() - started) / 100
    half = max(300, math.ceil(PACK_SECONDS / step_seconds / 2))
    path.write_text(SMALL_SPACE.format(steps=2 * half, eval_every=half))
    return path


@pytest.fixture(scope="session")
def small_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the small space."""
    return write_small_space(tmp_path_factory.mktemp("space") / "small.yaml")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an MLflow store that nothing was logged to: MLflow takes seconds to make it."""
    folder = tmp_path_factory.mktemp("store") / "a b#c%d é"
    connect(default_uri(folder))
    return folder / "mlflow.db"


@pytest.fixture
def store_is_there(empty_store: Path, tmp_path: Path) -> None:
    """Put an empty MLflow store into the test's folder, where sweeps into folders beside it log to."""
    shutil.copy(empty_store, tmp_path)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the real runs, which share an MLflow store.

    The command is run in it, and modules lie there that nothing may import.
    """
    folder = tmp_path_factory.mktemp("runs")
    for name in ("ouvae", "sweeps", "timeit"):
        (folder / f"{name}.py").write_text("raise ImportError('a module in the working folder')\n")
    return folder


@pytest.fixture(scope="session")
def start_sweep(runs: Path, small_space: Path) -> Iterator[Callable[..., Sweep]]:
    """Return a starter of the real command on the small space; nothing of it outlives the tests."""
    started = []

    def start(
        name: str, *arguments: str, space: Path = small_space, out: Path | None = None, **options: object
    ) -> Sweep:
        sweep = Sweep(out or runs / name, ["--space", str(space), *arguments], runs, **options)
        started.append(sweep)
        return sweep

    yield start
    for sweep in started:
        sweep.end()


@pytest.fixture(scope="session")
def uninterrupted(start_sweep) -> tuple[Sweep, set[tuple[str, str]]]:
    """Run the small space on a local Ray to its end; return it and all that it ever listened at."""
    sweep, listening = start_sweep("uninterrupted"), set()
    while sweep.running:
        listening |= sweep.listening()
        time.sleep(1)
    assert sweep.wait() == 0, sweep.output
    return sweep, listening


@pytest.fixture(scope="session")
def uninterrupted_serial(start_sweep) -> Sweep:
    """Run the small space in one process to its end, in other packs than two slots train."""
    sweep = start_sweep("uninterrupted_serial", *SERIAL)
    assert sweep.wait() == 0, sweep.output
    return sweep


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """Return the URI of a folder in a bucket of a real S3 server on the loopback interface.

    The environment is that of a user of S3: a key, and nothing else.
    """
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import FileSystem

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        query = f"?scheme=http&endpoint_override={host}:{port}&region=us-east-1"
        system, name = FileSystem.from_uri(f"s3://ouvae-test{query}&allow_bucket_creation=true")
        system.create_dir(name)
        yield f"s3://ouvae-test/states{query}"
        server.stop()


@pytest.fixture(params=[SERIAL, pytest.param((), marks=pytest.mark.proof)], ids=["serial", "a local Ray"])
def where(request: pytest.FixtureRequest) -> tuple[tuple[str, ...], Sweep]:
    """Return the arguments that say where a sweep trains, and an uninterrupted one that has trained there."""
    if request.param:
        return request.param, request.getfixturevalue("uninterrupted_serial")
    sweep, _ = request.getfixturevalue("uninterrupted")
    return request.param, sweep


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a maker of a real file system of a size (as `64k`); skips the test where none can be mounted."""
    folder = tmp_path / "disk"

    def mount(size: str) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            folder.rmdir()
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.exists():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
