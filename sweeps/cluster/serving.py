"""The Ray process from within: it connects to Ray, trains and measures as the sweep says.

`python -m sweeps.cluster.serving DESCRIPTOR ADDRESS SCRATCH DASHBOARD`, started by `sweeps.cluster.process`
from a snapshot of the code, which it sends to the workers: ADDRESS is empty for a local Ray, DASHBOARD where
there shall be none. It ends with the sweep, and by itself when Ray is lost.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import ray
from ray.util.queue import Empty, Queue

from analysis.streams import open_streams
from sweeps.cluster import address as addresses
from sweeps.cluster import dashboard as dashboards
from sweeps.cluster import ray_internals
from sweeps.cluster.environment import TUNE
from sweeps.cluster.logs import last_error
from sweeps.cluster.messages import Connected, Ended, Measure, Measured, Refused, Stop, Train, Wanted
from sweeps.cluster.tuning import cluster_nodes, train
from sweeps.errors import gist
from sweeps.executors.events import Next, Notice
from sweeps.machine.cpus import usable_cpus
from sweeps.machine.processes import descendants, is_running, kill
from sweeps.scratch import remove_after, scratch_folder
from sweeps.worker import snapshot

LOST = 70
"""Exit code of a Ray process that has lost Ray."""

ATTEMPTS_TO_MEASURE = 3
CLIENT_ATTEMPTS = 4


class PipeChannel:
    """The way to the sweep over a pipe. When the sweep is gone, so is this process."""

    def __init__(self, connection: Connection, on_gone: Callable[[], NoReturn]) -> None:
        """Read from the connection in a thread of its own."""
        self._connection, self._on_gone = connection, on_gone
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._sending = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def stopping(self) -> bool:
        """Whether the sweep said `Stop`."""
        return self._stop.is_set()

    def send(self, message: object) -> None:
        """Send a message."""
        with self._sending:
            try:
                self._connection.send(message)
            except OSError:
                self._on_gone()

    def receive(self) -> Any:
        """Wait for the next message."""
        return self._answers.get()

    def next_pack(self) -> Next:
        """Wait for the answer to `Wanted`."""
        answer = self.receive()
        assert isinstance(answer, Next)
        return answer

    def _read(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                self._on_gone()
            if isinstance(message, Stop):
                self._stop.set()
            else:
                self._answers.put(message)


class QueueChannel:
    """The way to the sweep from a task on the cluster: queues, which the Ray process empties and fills."""

    def __init__(self) -> None:
        """Make the queues, as actors that ask for no CPU."""
        self.outgoing = Queue(actor_options={"num_cpus": 0})
        self.incoming = Queue(actor_options={"num_cpus": 0})
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether the sweep said `Stop`, which comes unasked and is the last message then."""
        if not self._stopping:
            with contextlib.suppress(Empty):
                self._stopping = isinstance(self.incoming.get_nowait(), Stop)
        return self._stopping

    def send(self, message: object) -> None:
        """Send a message."""
        self.outgoing.put(message)

    def next_pack(self) -> Next:
        """Wait for the answer to `Wanted`; a stop is one too."""
        answer = self.incoming.get()
        if isinstance(answer, Stop):
            self._stopping = True
            return Next(None, finished=True)
        assert isinstance(answer, Next)
        return answer

    def pump(self, channel: PipeChannel, task: Any) -> None:
        """Carry messages between the sweep and the task until the task is over."""
        stopped = False
        while True:
            ready, _ = ray.wait([task], timeout=0)
            for message in self._sent():
                channel.send(message)
                if isinstance(message, Wanted):
                    self.incoming.put(channel.next_pack())
            if ready:
                ray.get(task)
                return
            if channel.stopping and not stopped:
                stopped = True
                self.incoming.put(Stop())

    def _sent(self) -> Iterator[Any]:
        with contextlib.suppress(Empty):
            yield self.outgoing.get(timeout=0.5)
            while True:
                yield self.outgoing.get_nowait()


def serve(channel: PipeChannel, address: str | None, scratch: Path, dashboard: bool) -> None:
    """Connect, and do what the sweep says until it says `Close`."""
    try:
        dashboard_url = _connect(address, scratch, dashboard)
    except Exception as error:
        logging.getLogger(__name__).exception("Ray could not be reached")
        channel.send(Refused(_refusal(error, address, scratch)))
        return
    client = address is not None and address.startswith("ray://")
    closing = threading.Event()
    if not client:
        threading.Thread(target=_watch, args=(address is None, closing), daemon=True).start()
    channel.send(Connected(cluster_nodes()))
    if dashboard_url:
        channel.send(Notice(dashboards.notice(dashboard_url, scratch)))
    while True:
        message = channel.receive()
        if isinstance(message, Train):
            _train(channel, message, scratch, client)
            channel.send(Ended())
        elif isinstance(message, Measure):
            channel.send(_measure(message))
        else:
            closing.set()
            ray.shutdown()
            return


def _connect(address: str | None, scratch: Path, dashboard: bool) -> str:
    """Connect to Ray or start it; return the HOST:PORT of the dashboard that was asked for, or nothing."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "runtime_env": {
            "py_modules": [str(folder) for folder in snapshot.package_folders().values()],
            "excludes": ["__pycache__", "*.pyc"],
            "env_vars": {
                "RAY_USAGE_STATS_ENABLED": "0",
                snapshot.DIGESTS: json.dumps(snapshot.digests()),
                **TUNE,
            },
        },
    }
    if address is None:
        options |= {
            "num_cpus": usable_cpus(),
            "include_dashboard": dashboard,
            **ray_internals.local_options(scratch / "ray"),
        }
        context = ray.init(address="local", dashboard_host="127.0.0.1", **options)
        if exposed := ray_internals.exposed_addresses():
            ray.shutdown()
            raise RuntimeError(
                f"Ray {ray.__version__} listens to other machines, at {', '.join(exposed)}; "
                "install a version that pyproject.toml allows"
            )
        return (context.dashboard_url or "") if dashboard else ""
    client = address.startswith("ray://")
    for attempt in range(CLIENT_ATTEMPTS if client else 1):
        try:
            ray.init(address=address, **options)
            break
        except ConnectionError:  # a busy head may not have a server for this client within Ray's 30 s
            if attempt == CLIENT_ATTEMPTS - 1 or not client:
                raise
    return ""


def _train(channel: PipeChannel, job: Train, scratch: Path, client: bool) -> None:
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(job.pending)
    if not client:
        train(channel, job.resources, job.data, str(scratch / "tune"))
        return
    remote = QueueChannel()
    run = ray.remote(num_cpus=0, max_retries=0)(_train_on_cluster)
    remote.pump(channel, run.remote(remote, job.resources, job.data, job.pending))


def _train_on_cluster(channel: QueueChannel, resources: Any, data: Any, pending: int) -> None:
    """Run Tune in a task: through Ray Client the Ray process is no node, and Tune wants to run on one."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(pending)
    with scratch_folder() as scratch:
        train(channel, resources, data, str(scratch))


def _measure(job: Measure) -> Measured | Refused:
    cpus, gpus = job.resources.cpus, job.resources.gpus

    def task(*arguments: Any) -> Any:  # not of the job, whose data are too large for a function
        snapshot.use()
        import torch

        from ouvae.training.costs import measure

        torch.set_num_threads(cpus)
        return measure(*arguments)

    try:
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=ATTEMPTS_TO_MEASURE - 1)(task)
        reference = ray.put(job.data)
        costs = ray.get(remote.remote(job.cells, reference, job.device, job.rounds, job.steps))
        return Measured(costs)
    except Exception as error:
        logging.getLogger(__name__).exception("the costs could not be measured")
        return Refused(f"the costs could not be measured: {gist(error)}")


def _watch(local: bool, closing: threading.Event) -> None:
    """End this process when Ray is lost, where Ray itself would wait for minutes or for ever.

    Of a local Ray the servers are this process's children; of a cluster this node's own entry must be alive.
    """
    servers = ray_internals.local_servers() if local else []
    node_id = ray.get_runtime_context().get_node_id()
    while not closing.wait(0.5 if local else 5):
        if local:
            alive = all(map(is_running, servers))
        else:
            alive = any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        if not alive and not closing.is_set():
            print("Ray is lost: its server or this node's raylet died", file=sys.stderr, flush=True)
            kill(descendants(os.getpid()), os.getpgrp())


def _refusal(error: Exception, address: str | None, scratch: Path) -> str:
    """Say why Ray could not be reached or started, with the mend that fits."""
    cause = gist(error)
    if address is None:
        logged = last_error(ray_internals.local_logs(scratch / "ray"), 0.0)
        return f"a local Ray could not be started: {cause}{logged and f' ({logged})'}"
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionAbortedError):
        return f"no Ray at {address}: {cause}; {addresses.HELP}"
    return f"the Ray at {address} cannot be used: {cause}{_mend(cause)}"


def _mend(cause: str) -> str:
    """Return the mend for the versions of a cluster, which Ray compares by its own text only."""
    if not ray_internals.is_version_mismatch(cause):
        return ""
    return f"; use Ray {ray.__version__} and Python {platform.python_version()} there, or theirs here"


def main() -> None:
    """Serve the sweep at the other end of the descriptor."""
    descriptor, address, scratch = int(sys.argv[1]), sys.argv[2] or None, Path(sys.argv[3])
    os.set_inheritable(descriptor, False)
    open_streams()
    for number in (signal.SIGINT, signal.SIGHUP):  # the sweep says when to stop; these reach it first
        signal.signal(number, signal.SIG_IGN)

    def gone() -> NoReturn:
        try:
            remove_after(scratch, descendants(os.getpid()), os.getpgrp())
            time.sleep(10)  # it is killed before
        finally:
            os._exit(LOST)

    serve(PipeChannel(Connection(descriptor), gone), address, scratch, bool(sys.argv[4]))
    os._exit(0)  # the interpreter would walk through all of torch once more


if __name__ == "__main__":
    main()
