"""A pack on a worker, as a class of Ray Tune.

Workers import nothing of the project but what is imported here, and users' own systems; all of it from the
snapshot, see `sweeps.worker.snapshot`.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from ouvae.data import Dataset
from sweeps.worker import snapshot
from sweeps.worker.failures import Failure
from sweeps.worker.states import States
from sweeps.worker.task import Task

if TYPE_CHECKING:
    from sweeps.worker.work import PackWork

REPORT_SECONDS = 2.0
"""How often a pack in training reports, and how long it takes at most to notice that it shall stop, but for
a step or an evaluation that takes longer."""

METRIC = "steps_done"
"""In every result, since Tune ends the whole experiment where a result lacks its metric."""

TASK = "task"
"""The only key of a trial's configuration."""

SENT = NEWS, RESULT, FAILURE, RECEIVER = "news", "result", "failure", "receiver"
"""Keys of results: a worker's `News`, `PackResult`, `Failure`, and the actor that takes its pack's state."""


class PackTrainable(tune.Trainable):
    """One pack in training.

    The configuration holds a `Task`. The first result comes at once and names the actor; it holds the actor
    itself if the state of the pack is to be carried to it (`receive`). The second-to-last carries the
    `PackResult`; a request for another step acknowledges it. A failure is a result too, and ends
    the worker: another worker makes the next attempt.
    """

    _work: PackWork | None
    _begun: bool
    _before: Collection[str]
    _failed: bool
    _returned: bool
    _steps: int
    _states: States

    def setup(self, config: dict[str, Any], data: Mapping[str, Dataset] | None = None) -> None:
        """Take the data sets from the object store."""
        from sweeps.worker.work import PackWork  # not above: the Ray process needs this module, and no torch

        self._start, self._data, self._before = PackWork, data or {}, ()
        gc.freeze()  # of what is imported nothing goes: looking through it takes longer than all else here
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next pack in the same process."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for about `REPORT_SECONDS`."""
        if self._failed:
            raise RuntimeError("this worker ends after its failure")
        if self._returned:
            self._work = None
            return {METRIC: self._steps, "done": True}
        if not self._begun:
            self._begun = True
            context = ray.get_runtime_context()
            receiver = {RECEIVER: context.current_actor} if self._states.is_carried else {}
            return {METRIC: 0, "actor_id": context.get_actor_id(), **receiver}
        try:
            return self._train()
        except Exception as error:
            self._failed, self._work = True, None
            return {METRIC: self._steps, FAILURE: Failure.of(error)}

    def cleanup(self) -> None:
        """Save a pack that is stopped before its result is acknowledged; no more is carried by then."""
        if self._work is not None and not self._states.is_carried:
            self._work.save()

    def receive(self, state: bytes) -> None:
        """Take the state of the pack, which Ray carries here before the next step."""
        self._states.receive(state)

    def _begin(self, config: dict[str, Any]) -> None:
        self._task: Task = config[TASK]
        self._states = self._task.states.at_worker()
        self._work = None
        gc.collect()  # an optimizer holds itself, and the next pack may need the memory of this one
        self._begun = self._failed = self._returned = False
        self._steps = 0

    def _train(self) -> dict[str, Any]:
        if self._work is None:
            self._before = self._before or snapshot.use()
            self._work = self._start(self._task, self._data[self._task.data], self._states)
        trained = self._work.advance(REPORT_SECONDS)
        snapshot.require_sent(self._before)
        self._steps, self._returned = self._work.steps_done, trained is not None
        result = {METRIC: self._steps, NEWS: self._work.take_news()}
        return result if trained is None else result | {RESULT: trained}
