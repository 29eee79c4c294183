"""Where sweeps of `tests/chaos.py` run: beside MLflow's file or server, on a small disk, on two nodes."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.sweeps.conftest import Sweep, all_processes, clean_environment

TRAINING = re.compile(r"ray::(_Inner\.tra|PackTraina)")
"""Names of the processes in which packs train."""

SOON = 120.0
"""Seconds within which a server or a node is up."""


class RefusedHere(Exception):
    """This machine does not give such a place."""


class Place:
    """This machine, a local Ray, and a SQLite file for MLflow."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        """Name the files of a trial, all within `folder`."""
        self.folder, self.out, self.store = folder, folder / "run", folder / "mlflow.db"
        self.prefix: tuple[str, ...] = ()
        self.arguments: list[str] = []
        self.environment: dict[str, str] = {}

    def open(self) -> None:
        """Make what sweeps find here. Raises RefusedHere."""

    def close(self) -> None:
        """End what was made; the run directory and MLflow's file can be read afterwards."""

    def sweep_id(self) -> str:
        """Return who the sweep is."""
        return (self.out / ".sweep_id").read_text()

    def runs(self, sweep_id: str) -> list[tuple[str, ...]]:
        """Return what MLflow has of each run of a sweep: its id, status, end, and number of metrics."""
        select = (
            "select run_uuid, status, end_time, "
            "(select count(*) from metrics where run_uuid = runs.run_uuid) "
            "from runs join tags using (run_uuid) where lifecycle_stage = 'active' and key = 'sweep_id' "
            "and value = ? order by 1"
        )
        with contextlib.closing(sqlite3.connect(self.store)) as database:
            return list(database.execute(select, (sweep_id,)))

    def command(self, sweep: Sweep) -> int:
        """Return the process of the command."""
        return sweep.process.pid

    def training(self, sweep: Sweep) -> list[int]:
        """Return the processes in which packs train."""
        return [pid for pid, name in sweep.processes().items() if TRAINING.match(name)]


class ServerPlace(Place):
    """MLflow is a server on the loopback interface."""

    name = "server"
    _process: subprocess.Popen | None = None

    def open(self) -> None:
        """Start the server on a free port."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._uri = f"http://127.0.0.1:{self._port}"
        self.arguments = ["--tracking-uri", self._uri]
        self.start()
        _wait(self.answers, "MLflow's server answers")

    def start(self) -> None:
        """Start the server, again on the same port and store."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.store}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=clean_environment(self.folder / "server_home") | quiet,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Tell whether the server is healthy."""
        try:
            with urllib.request.urlopen(f"{self._uri}/health", timeout=1):  # noqa: S310
                return True
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of the server's processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        if number == signal.SIGKILL:
            self._process.wait()

    def close(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self.signal(signal.SIGKILL)


class DiskPlace(Place):
    """The run directory is on a file system of 80 MB, of which a sweep wants 64, and of 500 files."""

    name = "disk"

    def open(self) -> None:
        """Mount it."""
        self._disk = self.folder / "disk"
        self._disk.mkdir()
        self._filler = self._disk / "filler"
        done = _mount("-t", "tmpfs", "-o", "size=80m,nr_inodes=500", "tmpfs", self._disk)
        if done.returncode != 0:
            raise RefusedHere(f"a small file system cannot be mounted: {done.stderr.strip()}")
        self.out = self._disk / "run"

    def fill(self, with_what: str) -> None:
        """Leave room for not a byte, or for no file."""
        self._filler.mkdir()
        with contextlib.suppress(OSError), (self._filler / "bytes").open("wb", buffering=0) as file:
            for number in itertools.count():
                if with_what == "bytes":
                    file.write(bytes(4096))
                else:
                    (self._filler / str(number)).touch()

    def empty(self) -> None:
        """Give all of this room back."""
        shutil.rmtree(self._filler)

    def bar_writing(self) -> None:
        """Make the run directory read-only for whoever opens a file from now on."""
        for options in (["--bind", self.out], ["-o", "remount,bind,ro"]):
            assert _mount(*options, self.out).returncode == 0

    def allow_writing(self) -> None:
        """Undo it."""
        subprocess.run(["umount", "--lazy", str(self.out)], check=True)

    def close(self) -> None:
        """Move the run directory to the trial's folder and unmount."""
        if self.out.exists():
            self.out = Path(shutil.copytree(self.out, self.folder / "run"))
        subprocess.run(["umount", "--lazy", str(self._disk)], capture_output=True)


def _mount(*options: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(["mount", *map(str, options)], capture_output=True, text=True)


class ClusterPlace(Place):
    """Two Ray nodes of one CPU each, in a network and a process namespace of their own."""

    name = "cluster"
    port = 6399

    def open(self) -> None:
        """Make the namespaces and start both nodes."""
        inside = (
            "ip link set lo up && mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray && echo ready && read x"
        )
        unshare = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._holder = subprocess.Popen([*unshare, "sh", "-c", inside], text=True, **pipes)
        answer = self._holder.stdout.readline().strip()
        if answer != "ready":
            raise RefusedHere(f"a network namespace cannot be made: {answer}")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        self._namespace = os.readlink(f"/proc/{children[0]}/ns/pid")
        self.prefix = ("nsenter", "--target", children[0], "--net", "--pid", "--mount")
        self.arguments = ["--address", f"127.0.0.1:{self.port}"]
        self.environment = {"RAY_AUTH_MODE": "disabled"}
        self._logs: list[Path] = []
        self._start("--head", f"--port={self.port}", "--include-dashboard=false")
        _wait(self.started, "the head runs")
        self.start_second()
        _wait(self.started, "the second node runs")

    def start_second(self) -> None:
        """Start a second node."""
        self._second = self._start(f"--address=127.0.0.1:{self.port}")

    def started(self) -> bool:
        """Tell whether the node that was started last runs."""
        return "Ray runtime started" in self._logs[-1].read_text()

    def second_raylets(self) -> list[int]:
        """Return the raylet of the second node, if it runs."""
        processes = all_processes()
        nodes = [pid for pid, (_, parent, _) in processes.items() if parent == self._second.pid]
        return [pid for pid, (_, parent, name) in processes.items() if name == "raylet" and parent in nodes]

    def command(self, sweep: Sweep) -> int:
        """Return the process of the command, which `nsenter` has for its only child."""
        children = [pid for pid, (_, parent, _) in all_processes().items() if parent == sweep.process.pid]
        return children[0] if children else sweep.process.pid

    def training(self, sweep: Sweep) -> list[int]:
        """Return the processes in which packs train."""
        return [
            pid for pid, (*_, name) in all_processes().items() if TRAINING.match(name) and self._holds(pid)
        ]

    def close(self) -> None:
        """End everything in the namespace."""
        self._holder.kill()
        self._holder.wait()

    def _start(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
        command += ["--node-ip-address=127.0.0.1", "--disable-usage-stats", *arguments]
        self._logs.append(self.folder / f"node{len(self._logs)}.log")
        environment = clean_environment(self.folder / "node_home") | self.environment
        with self._logs[-1].open("w") as log:
            return subprocess.Popen(
                [*self.prefix, *command], cwd=self.folder, env=environment, stdout=log, stderr=log
            )

    def _holds(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") == self._namespace
        except OSError:
            return False


PLACES = {place.name: place for place in (Place, ServerPlace, DiskPlace, ClusterPlace)}


def _wait(condition, what: str) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline, f"not within {SOON:g} s: {what}"
        time.sleep(0.2)
