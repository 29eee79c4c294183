"""Waiting for nodes and workers: what is said of it, and when it ends a sweep."""

import time
from collections.abc import Callable

from analysis.text.words import duration
from sweeps.errors import SweepError
from sweeps.executors.events import Event, Progressed, Starting
from sweeps.executors.places import Places
from sweeps.schedule import Schedule

SAY_SECONDS = 10.0
"""Time between two lines about a wait."""


class Waiting:
    """Watches packs that were given out and do not begin.

    Args:
        minutes: maximum wait for a node with free resources for a pack.
        places: resources and slots of packs.
        say: prints a line.
    """

    def __init__(self, minutes: float, places: Places, say: Callable[[str], None]) -> None:
        self._patience, self._places, self._say = 60 * minutes, places, say
        self._since = self._said = time.monotonic()
        self._starting = False

    def look(self, schedule: Schedule, event: Event) -> None:
        """Say now and then that packs wait.

        Raises:
            SweepError: no node had room for a pack for too long.
        """
        if isinstance(event, Starting | Progressed):
            self._starting = isinstance(event, Starting)
        now, training = time.monotonic(), schedule.in_training.values()
        if not training or any(running.steps is not None for running in training):
            self._since = self._said = now
            return
        waited, resources = now - self._since, self._places.resources
        if not self._places.free and waited > self._patience:
            raise SweepError(
                f"no node with {resources} for a pack came within {duration(self._patience)}; add nodes, "
                "wait longer (wait_minutes), or lower cpus_per_pack, gpus_per_pack or set device=cpu"
            )
        if now - self._said > SAY_SECONDS:
            self._said = now
            limit = "" if self._places.free else f" of at most {duration(self._patience)} (wait_minutes)"
            awaited = "worker to start" if self._starting else f"node with {resources} free for a pack"
            self._say(f"waiting for a {awaited}: {duration(waited)}{limit * (not self._starting)}")
