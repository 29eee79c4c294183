"""Packs on Ray: the way to the Ray process and back, and its second start. Imports no Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from analysis.text.words import duration
from ouvae.data import Dataset
from ouvae.declared import Cell
from search_spaces.running import Costs
from sweeps.cluster.messages import Ended, Measure, Measured, Refused, Stop, Train, Wanted
from sweeps.cluster.process import RayLost, RayProcess
from sweeps.errors import SweepError
from sweeps.executors.events import Event, Finished, Lost, NodeResources, Nodes, Notice, Quiet, Starting
from sweeps.executors.executor import Executor, NextTask
from sweeps.executors.places import Places
from sweeps.machine.interrupts import Interrupts

if TYPE_CHECKING:
    from ouvae.training.costs import Cost

MOST_LOSSES = 2
"""Losses of Ray without a finished pack in between that end a sweep."""

STOP_SHARE = 0.65
"""Share of the grace in which packs save their states; tables, figures and MLflow have the rest."""

FAILED_START_SECONDS, SILENT_START_SECONDS = 15.0, 120.0
"""Wait of packs with slots for the first worker: with an error in Ray's logs, and without one."""


class NoWorkers(RayLost):
    """No worker starts, although packs have their slots; the message says since when, and what Ray says."""


class RayExecutor(Executor):
    """Trains packs on Ray, which is started again when it is lost."""

    def __init__(self, process: RayProcess, log: Path) -> None:
        self._process, self._log = process, log

    def connect(self) -> Sequence[NodeResources]:
        """Wait for Ray; see `Executor.connect`."""
        return self._process.connect()

    def train(
        self, data: Mapping[str, Dataset], next_task: NextTask, places: Places, interrupts: Interrupts
    ) -> Iterator[Event]:
        """Train by Ray Tune; see `Executor.train`."""
        losses = 0
        while True:
            try:
                self._process.send(Train(places.resources, data, places.pending))
                for event in self._events(next_task, interrupts):
                    losses = 0 if isinstance(event, Finished) else losses
                    yield event
                return
            except RayLost as error:
                if interrupts.signal is not None:
                    return
                losses += 1
                yield Lost(str(error))
                if losses >= MOST_LOSSES:
                    raise SweepError(self._ending(error)) from None
                cause = str(error) if isinstance(error, NoWorkers) else f"Ray was lost ({error})"
                yield Notice(f"{cause}; Ray is started again, and packs go on where they were saved")
                yield Nodes(self._process.restart())

    def measure(
        self,
        places: Places,
        interrupts: Interrupts,
        cells: Sequence[Cell],
        data: Dataset,
        how: Costs,
    ) -> list[Cost] | None:
        """Measure on one worker; see `Executor.measure`."""
        try:
            self._process.send(Measure(cells, data, places.device, places.resources, how.rounds, how.steps))
            while interrupts.signal is None:
                answer = self._process.receive(0.2)
                if isinstance(answer, Refused):
                    raise SweepError(answer.reason)
                if isinstance(answer, Measured):
                    return answer.costs
        except RayLost as error:
            raise SweepError(f"the costs could not be measured: {error}") from None
        return None

    def end(self) -> None:
        """Let Ray go."""
        self._process.end()

    def kill(self) -> None:
        """Kill the process, and a local Ray with all of its workers."""
        self._process.kill()

    def _events(self, next_task: NextTask, interrupts: Interrupts) -> Iterator[Event]:
        """Yield the messages of the Ray process until it has ended the training. Raises RayLost."""
        sent, heard, stopping = time.monotonic(), False, False
        while not isinstance(message := self._process.receive(0.2), Ended):
            heard = heard or message is not None
            if not heard and time.monotonic() - sent > SILENT_START_SECONDS:
                raise NoWorkers(f"Ray has asked for no pack within {duration(SILENT_START_SECONDS)}")
            if isinstance(message, Wanted):
                self._process.send(next_task())
            elif isinstance(message, Starting):
                _check_start(message)
            yield Quiet() if message is None or isinstance(message, Wanted) else cast(Event, message)
            if interrupts.signal is not None:
                if not stopping:
                    stopping = True
                    self._process.send(Stop())
                if not interrupts.seconds_left(STOP_SHARE):
                    self._process.kill()
                    return

    def _ending(self, error: RayLost) -> str:
        """Return the line that ends a sweep whose Ray was started again in vain."""
        if isinstance(error, NoWorkers):
            return f"{error}; mend that, or train without Ray: --address serial (Ray's messages: {self._log})"
        return f"Ray was lost again ({error}); its messages are in {self._log}"


def _check_start(starting: Starting) -> None:
    """End a wait for workers that have their slots and do not start. Raises NoWorkers."""
    patience = FAILED_START_SECONDS if starting.error else SILENT_START_SECONDS
    if starting.seconds > patience:
        cause = f": {starting.error}" if starting.error else ", and Ray's logs on this node name no error"
        raise NoWorkers(f"no worker came up within {duration(patience)}, although slots are free{cause}")
