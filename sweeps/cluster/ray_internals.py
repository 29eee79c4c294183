"""Ray's private and unstable surface: each use of it, with its reason. Only functions import Ray.

Ray may change any of this without notice. `pyproject.toml` therefore excludes the versions of Ray that no
test has seen, and `tests/sweeps/cluster/test_ray_internals.py` asks a real Ray about each entry. To raise the
bound, install the new version and run that file. What happens when Ray changes an entry:

- the interfaces of a local Ray: the sweep refuses to start, because `exposed_addresses` checks them;
- the calls that ask about tokens: every cluster is refused with the answer of the call;
- states of actors: a sweep does not notice workers that never come up;
- Tune's logger, names of log files, texts: messages lose the cause of a failure.
"""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

from sweeps.machine import sockets
from sweeps.machine.processes import descendants

# A local Ray.

LOCAL_ENVIRONMENT = {
    # Ray's switch for clusters on Windows and macOS also decides where a local Ray listens: 127.0.0.1 only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"
}
"""What a local Ray must have in its environment."""

LOCAL_DEFAULTS = {
    # A local Ray that has lost its server does not come back; Ray's default is to wait 60 s for it.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # Ray starts a worker a CPU beforehand, without the runtime environment, so that no pack can use them.
    "RAY_prestart_worker_first_driver": "0",
}
"""What a local Ray has in its environment unless the user sets it."""

_SERVERS = ("gcs_server", "raylet")
"""Names of the processes that a local Ray cannot do without."""


def local_options(folder: Path) -> dict[str, str]:
    """Return the arguments of `ray.init` by which a local Ray keeps its files in a folder.

    The public way, RAY_TMPDIR, sets the folder of every Ray that this process connects to.
    """
    return {"_temp_dir": str(folder)}


def local_logs(folder: Path) -> Path:
    """Return the folder of the logs of a local Ray that keeps its files in `folder`."""
    return folder / "session_latest" / "logs"


def local_servers() -> list[int]:
    """Return the processes that the local Ray of this process cannot do without."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() in _SERVERS]


def exposed_addresses() -> list[str]:
    """Return where the local Ray of this process listens to other machines, sorted."""
    addresses = sockets.listening([os.getpid(), *descendants(os.getpid())]).values()
    return sorted(filter(sockets.is_exposed, set().union(*addresses)))


# A running cluster.

NODE_METHOD = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""A call that the server at HOST:PORT answers without a token, or refuses as unauthenticated."""

CLIENT_METHOD = "/ray.rpc.RayletDriver/ClusterInfo"
"""The same of the server at ray://HOST:PORT."""


def started_cluster_file(environment: Mapping[str, str]) -> Path:
    """Return the file in which `ray start --head` writes the address of its cluster.

    `ray.init(address="auto")` reads it too, but takes any other Ray on this machine as well.
    """
    folder = environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or "/tmp"  # noqa: S108 - as Ray does
    return Path(folder, "ray", "ray_current_cluster")


def uses_proxy(environment: Mapping[str, str]) -> bool:
    """Tell whether Ray's calls go through the proxy of the environment, by default not."""
    return environment.get("RAY_grpc_enable_http_proxy", "0").lower() in ("1", "true")


def is_version_mismatch(message: str) -> bool:
    """Tell whether an error says that the cluster has another Ray or Python; Ray raises a RuntimeError."""
    return message.startswith("Version mismatch")


# Actors. Their states are public only with the dashboard (`ray.util.state`), which a sweep does not start.

PENDING = ("DEPENDENCIES_UNREADY", "PENDING_CREATION")
"""States of an actor whose worker has not come up."""

QUEUE_CLASS = "_QueueActor"
"""Class of the actor behind `ray.util.queue.Queue`."""

_PID = re.compile(r"^\tpid: (\d+)$", re.MULTILINE)
_TASK = re.compile(r", \S*ray::.*$", re.MULTILINE)


def actor_states(but: str) -> list[str]:
    """Return the states of this job's actors, without actors of the class `but`."""
    from ray._private import state, worker

    job = worker.global_worker.current_job_id
    return [actor["State"] for actor in state.actors(job_id=job).values() if actor["ActorClassName"] != but]


def is_dead(actor_id: str) -> bool:
    """Tell whether Ray has noted that an actor is dead."""
    from ray._private import state

    return bool(state.actors(actor_id=actor_id).get("State") == "DEAD")


def pids_of(details: str) -> list[str]:
    """Return the processes that the text of a RayActorError names."""
    return _PID.findall(details)


def without_task(details: str) -> str:
    """Return the text of an error of an actor's creation without Ray's name of the task."""
    return _TASK.sub(":", details)


# Log files.

WORKER_ERRORS = "worker-*-{pid}.err"
"""Standard error of a worker; of all workers with the pid `*`."""

LOG_ERRORS = {
    "runtime_env_*.log": re.compile(r"\sERROR\s"),
    "raylet.out": re.compile(r"^\[[^]]* [CF] |^\[[^]]* [WE] .*\bworker_pool\.cc", re.MULTILINE),
    "gcs_server.out": re.compile(r"^\[[^]]* [CF] ", re.MULTILINE),
}
"""Ray's own log files by pattern, with what starts an error in them."""

SERVER_ERRORS = ("raylet.err", "gcs_server.err")
"""Standard error of Ray's servers."""


def session_logs() -> Path:
    """Return the folder of the logs of the Ray that this process is connected to, on this node."""
    from ray._private import worker

    node = worker._global_node
    assert node is not None, "Ray is connected"
    return Path(node.get_logs_dir_path())


# Tune.


def tune_logger() -> logging.Logger:
    """Return the logger to which Tune writes the exception of a trial, which no callback is given."""
    return logging.getLogger("ray.tune.execution.tune_controller")
