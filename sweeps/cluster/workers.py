"""Workers on Ray: whether they come up, by Ray's logs, and what ended them, by Ray's errors and their own."""

from __future__ import annotations

import time
from collections.abc import Collection

from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError, RuntimeEnvSetupError

from sweeps.cluster.logs import SAID, last_error, tail
from sweeps.cluster.ray_internals import (
    PENDING,
    QUEUE_CLASS,
    WORKER_ERRORS,
    actor_states,
    is_dead,
    pids_of,
    session_logs,
    without_task,
)
from sweeps.errors import gist, gist_of
from sweeps.executors.events import Starting
from sweeps.worker.failures import Failure

DEATH_SECONDS = 3.0
"""How long Ray may take to note that an actor is dead after its error has arrived."""

_LEAD_LINES = 2
"""Lines before a fatal error of Python in which the library that aborted says why."""


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


def failure_of(error: BaseException) -> Failure:
    """Return the failure of a pack whose worker ended with an error of Ray or Tune."""
    if not isinstance(error, OutOfMemoryError | RayActorError | RayTaskError) and error.__cause__ is not None:
        error = error.__cause__  # Tune raises errors that it does not expect anew
    details = str(error)
    if isinstance(error, OutOfMemoryError):
        return Failure("memory", "Ray killed its worker: the node was running out of memory", details)
    if isinstance(error, RayTaskError):
        cause = error.cause
        return Failure("error", f"{type(cause).__name__}: {gist(cause)}", details)
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return Failure("error", gist_of(without_task(details)), details)
    if isinstance(error, RuntimeEnvSetupError):
        return Failure("error", gist(error), details)
    cause = _last_words(details) if isinstance(error, RayActorError) else gist(error)
    return Failure("lost", ": ".join(filter(None, ["its worker or node died", cause])), details)


def have_died(actors: Collection[str]) -> set[str]:
    """Return which of these actors are dead, as soon as one is or after `DEATH_SECONDS`."""
    deadline = time.monotonic() + DEATH_SECONDS
    while True:
        dead = {actor for actor in actors if is_dead(actor)}
        if dead or not actors or time.monotonic() > deadline:
            return dead
        time.sleep(0.1)


def _last_words(details: str) -> str:
    """Return the error that the process of a dead actor wrote last, if it ran on this node.

    Marks, stacks and signals that Ray writes there itself begin with a colon, a bracket or a star.
    """
    for pid in pids_of(details):
        for path in session_logs().glob(WORKER_ERRORS.format(pid=pid)):
            lines = [line for line in tail(path).splitlines() if line.strip() and line[0] not in ":[*"]
            errors = [place for place, line in enumerate(lines) if SAID.match(line)]
            if errors:
                end = errors[-1] + 1
                fatal = lines[end - 1].startswith("Fatal Python error")
                return gist_of("\n".join(lines[max(0, end - 1 - _LEAD_LINES * fatal) : end]))
    return ""
