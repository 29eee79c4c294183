"""Whether workers come up: how long they have had their slots, and what Ray's logs say about it."""

from __future__ import annotations

import time

from sweeps.cluster.logs import last_error
from sweeps.cluster.ray_internals import PENDING, QUEUE_CLASS, actor_states, session_logs
from sweeps.executors.events import Starting


class StartWatch:
    """Watches the actors of this job: Tune makes an actor once its resources are reserved."""

    def __init__(self) -> None:
        self._well, self._pending_since = time.time(), 0.0

    def look(self) -> Starting | None:
        """Return for how long actors have waited for a worker while none has come up; None without such."""
        states = actor_states(QUEUE_CLASS)
        now = time.time()
        if "ALIVE" in states or not any(name in PENDING for name in states):
            self._well, self._pending_since = now, 0.0
            return None
        self._pending_since = self._pending_since or now
        return Starting(now - self._pending_since, last_error(session_logs(), self._well))
