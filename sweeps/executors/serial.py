"""One pack after another in this very process, without Ray: for tests, and for debugging with breakpoints."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ouvae.data import Dataset
from ouvae.declared import Cell
from ouvae.training.costs import measure
from sweeps.cluster import messages
from sweeps.cluster.messages import NodeResources
from sweeps.errors import gist
from sweeps.plan.users_code import UsersCode
from sweeps.worker.failures import Failure
from sweeps.worker.task import Task
from sweeps.worker.work import PackWork

SLICE_SECONDS = 1.0
"""How long a pack trains before it is asked whether it shall stop."""


class Serial:
    """An `Executor` without Ray: one node, with room for one pack.

    Args:
        cpus: that a pack asks for, all of which the node has.
        users_code: which packs use from where it lies.
    """

    def __init__(self, cpus: int, users_code: UsersCode | None = None) -> None:
        """Start with nothing to do."""
        self._cpus, self._users_code = cpus, users_code or UsersCode(())
        self._said: deque[object] = deque()
        self._data: Mapping[str, Dataset] = {}
        self._task: Task | None = None
        self._work: PackWork | None = None

    def connect(self) -> Sequence[NodeResources]:
        """Return the one node."""
        return [{"CPU": float(self._cpus), "GPU": float(torch.cuda.is_available())}]

    def restart(self) -> Sequence[NodeResources]:
        """Return the one node, which is never lost."""
        return self.connect()

    def send(self, message: object) -> None:
        """Take a message."""
        match message:
            case messages.Train(_, data, _):
                self._data = data
                self._said.append(messages.Wanted())
            case messages.Next(task, finished):
                self._task = task
                if task is None:
                    self._said.append(messages.Ended() if finished else messages.Wanted())
            case messages.Stop():
                self._stop()
            case messages.Measure(members, data, device, _, rounds, steps):
                self._said.append(self._measured(members, data, device, rounds, steps))

    def receive(self, timeout: float) -> Any:
        """Return the next message; where there is none, train a little first.

        Raises:
            SweepError: users' code has changed since it was read.
        """
        if not self._said and self._task is not None:
            self._train(self._task)
        return self._said.popleft() if self._said else None

    def end(self) -> None:
        """End; there is nothing to wait for."""

    def kill(self) -> None:
        """End; there is nothing to kill."""

    def _measured(
        self, members: Sequence[tuple[Cell, float]], data: Dataset, device: str, rounds: int, steps: int
    ) -> object:
        torch.set_num_threads(self._cpus)
        try:
            return messages.Measured(measure(members, data, device, rounds, steps))
        except Exception as error:
            return messages.Refused(f"the costs could not be measured: {gist(error)}")

    def _train(self, task: Task) -> None:
        try:
            self._work = self._work or PackWork(task, self._data[task.data])
            result = self._work.advance(SLICE_SECONDS)
        except Exception as error:
            self._finish(messages.Failed(task.pack_id, Failure.of(error)))
            return
        self._said += [messages.Notice(f"pack {task.pack_id}: {text}") for text in self._work.notices]
        self._work.notices.clear()
        self._said.append(messages.Progress(task.pack_id, self._work.steps_done))
        if result is not None:
            self._users_code.require_unchanged()
            self._finish(messages.Finished(task.pack_id, result))

    def _finish(self, fate: object) -> None:
        self._task = self._work = None
        self._said += [fate, messages.Wanted()]

    def _stop(self) -> None:
        if self._work is not None:
            self._work.save()
        if self._task is not None:
            self._said.append(messages.Returned(self._task.pack_id))
        self._task = self._work = None
        self._said.append(messages.Ended())
