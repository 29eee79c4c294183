"""One pack after another in this process, without Ray: for tests, and for debugging with breakpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from ouvae.data import Dataset
from ouvae.declared import Cell
from ouvae.training.costs import Cost, measure
from search_spaces.running import Costs
from sweeps.errors import SweepError, gist
from sweeps.executors.events import (
    Event,
    Failed,
    Finished,
    NodeResources,
    Progressed,
    Quiet,
    Returned,
)
from sweeps.executors.executor import Executor, NextTask
from sweeps.executors.places import Places
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.users_code import UsersCode
from sweeps.worker.failures import Failure
from sweeps.worker.task import Task
from sweeps.worker.work import PackWork

SLICE_SECONDS = 1.0
"""Training time between two reports, after which a signal is noticed."""


class Serial(Executor):
    """An executor of one slot, in this process.

    Args:
        cpus: threads of a pack.
        users_code: users' code, which is used from where it lies.
    """

    def __init__(self, cpus: int, users_code: UsersCode) -> None:
        self._cpus, self._users_code = cpus, users_code

    def connect(self) -> Sequence[NodeResources]:
        """Return the one node."""
        return [{"CPU": float(self._cpus), "GPU": float(torch.cuda.is_available())}]

    def train(
        self, data: Mapping[str, Dataset], next_task: NextTask, places: Places, interrupts: Interrupts
    ) -> Iterator[Event]:
        """Train one task after another; see `Executor.train`."""
        while not (answer := next_task()).finished:
            if answer.task is None:
                yield Quiet()
            else:
                yield from self._pack(answer.task, data[answer.task.data], interrupts)

    def measure(
        self,
        places: Places,
        interrupts: Interrupts,
        cells: Sequence[Cell],
        data: Dataset,
        how: Costs,
    ) -> list[Cost]:
        """Measure here; see `Executor.measure`."""
        torch.set_num_threads(self._cpus)
        try:
            return measure(cells, data, places.device, how.rounds, how.steps)
        except Exception as error:
            raise SweepError(f"the costs could not be measured: {gist(error)}") from error

    def kill(self) -> None:
        """Do nothing: no other process is at work."""

    def _pack(self, task: Task, data: Dataset, interrupts: Interrupts) -> Iterator[Event]:
        work: PackWork | None = None
        while interrupts.signal is None:
            try:
                work = work or PackWork(task, data)
                result = work.advance(SLICE_SECONDS)
            except Exception as error:
                yield Failed(task.pack_id, Failure.of(error))
                return
            yield Progressed(task.pack_id, work.steps_done, work.take_news())
            if result is not None:
                self._users_code.require_unchanged()
                yield Finished(task.pack_id, result)
                return
        if work is not None:
            work.save()
        yield Returned(task.pack_id)
