"""Whether workers come up: how long they have had their slots, and what Ray's logs say about it."""

from __future__ import annotations

import time
from pathlib import Path

from ray._private import state, worker

from sweeps.cluster.logs import last_error
from sweeps.cluster.messages import Starting

_PENDING = ("DEPENDENCIES_UNREADY", "PENDING_CREATION")
_QUEUES = "_QueueActor"


class StartWatch:
    """Watches the actors of this job: Tune makes an actor once its resources are reserved."""

    def __init__(self) -> None:
        """Start before the first actor."""
        self._well, self._pending_since = time.time(), 0.0

    def look(self) -> Starting | None:
        """Return for how long actors have waited for a worker while none has come up; None without such."""
        states = [
            actor["State"]
            for actor in state.actors(job_id=worker.global_worker.current_job_id).values()
            if actor["ActorClassName"] != _QUEUES
        ]
        now = time.time()
        if "ALIVE" in states or not any(name in _PENDING for name in states):
            self._well, self._pending_since = now, 0.0
            return None
        self._pending_since = self._pending_since or now
        return Starting(now - self._pending_since, last_error(session_logs(), self._well))


def session_logs() -> Path:
    """Return the folder of the logs of the Ray that this process is connected to, on this node."""
    node = worker._global_node
    assert node is not None, "Ray is connected"
    return Path(node.get_logs_dir_path())
