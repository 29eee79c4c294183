"""What all executors have in common, and the tasks that they ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self, TypeAlias

from ouvae.data import Dataset
from ouvae.declared import Cell
from search_spaces import Space
from search_spaces.running import Costs
from sweeps.executors.events import Event, Next, NodeResources
from sweeps.executors.places import Places
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.packs import Pack
from sweeps.record.directory import RunDirectory
from sweeps.record.paths import Paths
from sweeps.schedule import Schedule
from sweeps.worker.task import Task

if TYPE_CHECKING:
    from ouvae.training.costs import Cost

SERIAL = "serial"
"""The address that stands for no Ray: one pack after another, in the sweep's process."""

NextTask: TypeAlias = Callable[[], Next]


class Executor(ABC):
    """Trains packs. It starts when it is made, and is killed at the end of a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @abstractmethod
    def connect(self) -> Sequence[NodeResources]:
        """Wait until packs can be trained, and return the nodes.

        Raises:
            SweepError: Ray cannot be reached or started.
        """

    @abstractmethod
    def train(
        self, data: Mapping[str, Dataset], next_task: NextTask, places: Places, interrupts: Interrupts
    ) -> Iterator[Event]:
        """Train tasks and yield what happens, until there are no more tasks or a signal comes.

        Packs save their states on a signal.

        Args:
            data: the data sets by digest.
            next_task: asked whenever there is room for a pack.
            places: resources and slots of packs.
            interrupts: signals.

        Raises:
            SweepError: Ray was lost or started no workers, twice; or users' code has changed.
        """

    @abstractmethod
    def measure(
        self,
        places: Places,
        interrupts: Interrupts,
        cells: Sequence[Cell],
        data: Dataset,
        how: Costs,
    ) -> list[Cost] | None:
        """Return the costs of a member of each cell, measured side by side; None if a signal came.

        Raises:
            SweepError: they could not be measured.
        """

    def end(self) -> None:
        """End in good order."""
        self.kill()

    @abstractmethod
    def kill(self) -> None:
        """End at once."""


def next_of(schedule: Schedule, space: Space, run: RunDirectory, interrupts: Interrupts) -> Next:
    """Return what to train next."""
    if schedule.done or interrupts.signal is not None:
        return Next(None, finished=True)
    pack = schedule.next_pack()
    if pack is None:
        return Next(None)
    return Next(task_of(pack, space, run), state=run.states.to_carry(pack.pack_id))


def task_of(pack: Pack, space: Space, run: RunDirectory) -> Task:
    """Return the task of a pack."""
    files = Paths(run.path.resolve())
    return Task(
        pack_id=pack.pack_id,
        cell=pack.cell.cell,
        control=pack.cell.control,
        members=[(point.value, point.seed) for point in pack.points],
        data=pack.cell.data_digest,
        device=pack.cell.device,
        threads=space.cpus_per_pack,
        evaluation_bytes=round(space.evaluation_gib * 2**30),
        states=run.states,
        checkpoint_seconds=60 * space.checkpoint_minutes,
        weights="" if space.save_weights == "none" else str(files.weights_of(pack.pack_id)),
        best_weights=space.save_weights == "best",
        drawn=drawn_of(pack, space),
    )


def drawn_of(pack: Pack, space: Space) -> list[int]:
    """Return the indices of a pack's members whose sheets a space keeps."""
    if space.save_images == "none":
        return []
    first = space.seeds[0]
    return [
        index
        for index, point in enumerate(pack.points)
        if point.seed == first and point.value in pack.cell.values
    ]
