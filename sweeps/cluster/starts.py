"""Whether workers come up: how long they have had their slots, and what Ray's logs say about it."""

from __future__ import annotations

import time

from sweeps.cluster.internals import actor_states, session_logs
from sweeps.cluster.logs import last_error
from sweeps.executors.events import Starting

_PENDING = ("DEPENDENCIES_UNREADY", "PENDING_CREATION")
_QUEUES = "_QueueActor"


class StartWatch:
    """Watches the actors of this job: Tune makes an actor once its resources are reserved."""

    def __init__(self) -> None:
        """Start before the first actor."""
        self._well, self._pending_since = time.time(), 0.0

    def look(self) -> Starting | None:
        """Return for how long actors have waited for a worker while none has come up; None without such."""
        states = actor_states(_QUEUES)
        now = time.time()
        if "ALIVE" in states or not any(name in _PENDING for name in states):
            self._well, self._pending_since = now, 0.0
            return None
        self._pending_since = self._pending_since or now
        return Starting(now - self._pending_since, last_error(session_logs(), self._well))
