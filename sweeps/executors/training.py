"""The schedule's way to Ray and back: packs go out, reports come in, until the schedule is done.

Whatever Ray does, the schedule goes on: a pack that fails is tried again or recorded, and a Ray that is lost
is started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ouvae.data import Dataset
from ouvae.declared import Cell
from search_spaces import Space
from sweeps import SweepError
from sweeps.cluster import messages
from sweeps.cluster.messages import NodeResources, Resources
from sweeps.cluster.process import RayLost
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.packs import Pack
from sweeps.record.run_directory import RunDirectory, weights_path
from sweeps.schedule import Schedule
from sweeps.terminal.console import duration
from sweeps.worker.task import Task

if TYPE_CHECKING:
    from ouvae.training.costs import Cost

MOST_LOSSES = 2
"""A Ray that is lost this often without a pack finished in between is not started again."""

PENDING = 32
"""Packs that may wait for a place on a cluster: an autoscaler adds nodes for what waits."""

STOP_SHARE = 0.65
"""The share of the grace in which packs save their states; tables, figures and MLflow have the rest."""

FAILED_START_SECONDS, SILENT_START_SECONDS = 15.0, 120.0
"""How long packs with slots wait for the first worker: with an error in Ray's logs, and without one."""


SAY_WAITING_SECONDS = 10.0


class NoWorkers(RayLost):
    """No worker starts, although packs have their slots; the message says since when, and what Ray says."""


class Executor(Protocol):
    """Where packs are trained, as it is spoken to: see `sweeps.cluster.process.RayProcess`."""

    def connect(self) -> Sequence[NodeResources]:
        """Wait until packs can be trained, and return the nodes that there are."""

    def restart(self) -> Sequence[NodeResources]:
        """Start again after a loss, as `connect`."""

    def send(self, message: object) -> None:
        """Send a message of `sweeps.cluster.messages`."""

    def receive(self, timeout: float) -> Any:
        """Return the next message, or None after `timeout` seconds without one."""

    def end(self) -> None:
        """End in good order."""

    def kill(self) -> None:
        """End at once."""


class Trainer:
    """Trains a schedule's packs and measures costs by a Ray process, or what plays its part.

    Args:
        executor: it, connected.
        space: how packs run.
        device: where members train, `cpu` or `cuda`.
        directory: the run, which has the folders of the packs' states and weights.
        interrupts: signals, on which it stops.
        say: prints a line.
        log: writes what is too long for a line.
        on_progress: called with a pack's id and the training steps it has done.
    """

    def __init__(
        self,
        executor: Executor,
        space: Space,
        device: str,
        directory: RunDirectory,
        interrupts: Interrupts,
        say: Callable[[str], None],
        log: Callable[[str], None],
        on_progress: Callable[[str, int], None],
    ) -> None:
        """Train nothing yet."""
        self._executor, self._space, self._directory = executor, space, directory
        self._interrupts, self._say, self._log, self._on_progress = interrupts, say, log, on_progress
        self.resources = resources_of(space, device)
        self._room = 0
        self._packs: dict[str, Pack] = {}
        self._begun: set[str] = set()
        self._blind: set[str] = set()
        self._quiet_since = self._said_waiting = 0.0
        self._starting = self._stop_sent = False

    def train(
        self, schedule: Schedule, data: Mapping[str, Dataset], nodes: Sequence[NodeResources], local: bool
    ) -> None:
        """Train until the schedule is done or a signal came.

        Args:
            schedule: what to train.
            data: the data sets by digest.
            nodes: that there are now.
            local: whether they are this machine.

        Raises:
            SweepError: Ray was lost or starts no workers, twice; no node has room for a pack; all first packs
                fail in the same way; or a finished pack cannot be written.
        """
        losses, finished = 0, 0
        self._resize(schedule, nodes)
        while True:
            try:
                self._executor.send(
                    messages.Train(self.resources, data, schedule.slots if local else PENDING)
                )
                self._serve(schedule)
                return
            except RayLost as error:
                if self._interrupts.signal is not None:
                    return
                losses = 1 if schedule.members_trained > finished else losses + 1
                finished = schedule.members_trained
                self._return_all(schedule)
                self._log(str(error))
                if losses >= MOST_LOSSES:
                    raise SweepError(self._given_up(error)) from None
                found = str(error) if isinstance(error, NoWorkers) else f"Ray was lost ({error})"
                self._say(f"{found}; Ray is started again, and packs go on where they were saved")
                self._resize(schedule, self._executor.restart())

    def measure(
        self, members: Sequence[tuple[Cell, float]], data: Dataset, device: str, rounds: int, steps: int
    ) -> list[Cost] | None:
        """Measure costs side by side on one worker; None if a signal came.

        Raises:
            SweepError: they could not be measured.
        """
        try:
            self._executor.send(messages.Measure(members, data, device, self.resources, rounds, steps))
            while self._interrupts.signal is None:
                answer = self._executor.receive(0.2)
                if isinstance(answer, messages.Refused):
                    raise SweepError(answer.reason)
                if isinstance(answer, messages.Measured):
                    return answer.costs
        except RayLost as error:
            raise SweepError(f"the costs could not be measured: {error}") from None
        return None

    def _serve(self, schedule: Schedule) -> None:
        """Answer the Ray process until it has ended the training."""
        self._quiet_since = self._said_waiting = sent = time.monotonic()
        self._starting, heard = False, False
        while True:
            message = self._executor.receive(0.2)
            if isinstance(message, messages.Ended):
                return
            if message is not None:
                heard = True
                self._take(message, schedule)
            elif not heard and time.monotonic() - sent > SILENT_START_SECONDS:
                raise NoWorkers(f"Ray has asked for no pack within {duration(SILENT_START_SECONDS)}")
            self._watch_for_nodes()
            if self._interrupts.signal is not None and not self._stopped_in_time():
                self._executor.kill()
                return

    def _take(self, message: object, schedule: Schedule) -> None:
        match message:
            case messages.Wanted():
                self._executor.send(self._next(schedule))
            case messages.Progress(pack_id, steps_done):
                self._begun.add(pack_id)
                self._starting = False
                schedule.progressed(self._packs[pack_id], steps_done)
                self._on_progress(pack_id, steps_done)
            case messages.Finished(pack_id, result):
                schedule.finished(self._take_back(pack_id), result)
            case messages.Failed(pack_id, failure):
                self._log(f"pack {pack_id}: {failure.reason}\n{failure.details}")
                if line := schedule.failed(self._take_back(pack_id), failure):
                    self._say(line)
            case messages.Returned(pack_id):
                schedule.returned(self._take_back(pack_id))
            case messages.Nodes(nodes):
                self._say(f"Ray: {describe(nodes, self.resources)}")
                self._resize(schedule, nodes)
            case messages.Starting():
                self._note_start(message)
            case messages.Notice(text):
                self._say(text)
            case messages.Unseen(node):
                self._note_blind(node)

    def _note_start(self, starting: messages.Starting) -> None:
        """End a wait for workers that have their slots and do not come up. Raises NoWorkers."""
        self._starting = True
        patience = FAILED_START_SECONDS if starting.error else SILENT_START_SECONDS
        if starting.seconds > patience:
            said = f": {starting.error}" if starting.error else ", and Ray's logs on this node name no error"
            raise NoWorkers(f"no worker came up within {duration(patience)}, although slots are free{said}")

    def _given_up(self, error: RayLost) -> str:
        """Return the line that ends a sweep whose Ray was started again in vain."""
        log = self._directory.log
        if isinstance(error, NoWorkers):
            return f"{error}; mend that, or train without Ray: --address serial (Ray's messages: {log})"
        return f"Ray was lost again ({error}); its messages are in {log}"

    def _note_blind(self, node: str) -> None:
        """Say of the first node that does not see the run directory what that means; log the others."""
        if node in self._blind:
            return
        folder, first = self._directory.path.resolve(), not self._blind
        self._blind.add(node)
        self._log(f"node {node} does not see {folder}")
        if first:
            space = self._space
            missed = {"checkpoint_minutes=0": "checkpoints are off"} if space.checkpoint_minutes else {}
            missed |= {"save_weights=none": "weights are not kept"} if space.save_weights != "none" else {}
            afresh = ", so that a pack whose worker is lost or stopped starts afresh"
            self._say(
                f"{' and '.join(missed.values())}: node {node} does not see {folder}"
                f"{afresh if space.checkpoint_minutes else ''}; give an --out that all nodes see at the "
                f"same path, or set {' and '.join(missed)} to go without (further nodes: sweep.log)"
            )

    def _next(self, schedule: Schedule) -> messages.Next:
        if schedule.done or self._interrupts.signal is not None:
            return messages.Next(None, finished=True)
        pack = schedule.next_pack()
        if pack is None:
            return messages.Next(None)
        self._packs[pack.pack_id] = pack
        return messages.Next(self._task(pack))

    def _task(self, pack: Pack) -> Task:
        space, kept = self._space, self._space.save_weights
        folder = self._directory.path.resolve()
        return Task(
            pack_id=pack.pack_id,
            cell=pack.cell.cell,
            members=[(point.rho, point.seed) for point in pack.points],
            data=pack.cell.data_digest,
            device=pack.cell.device,
            threads=space.cpus_per_pack,
            evaluation_bytes=round(space.evaluation_gib * 2**30),
            checkpoint=str(self._directory.checkpoints.resolve() / f"{pack.pack_id}.pt"),
            checkpoint_seconds=60 * space.checkpoint_minutes,
            weights="" if kept == "none" else str(weights_path(folder, pack.pack_id)),
            best_weights=kept == "best",
        )

    def _resize(self, schedule: Schedule, nodes: Sequence[NodeResources]) -> None:
        self._room = self.resources.room_in(nodes)
        schedule.resize(self._room)

    def _take_back(self, pack_id: str) -> Pack:
        self._begun.discard(pack_id)
        return self._packs.pop(pack_id)

    def _return_all(self, schedule: Schedule) -> None:
        for pack_id in list(self._packs):
            schedule.returned(self._take_back(pack_id))

    def _stopped_in_time(self) -> bool:
        """Ask the packs to save and stop; False once there is no more time for it."""
        if not self._stop_sent:
            self._stop_sent = True
            self._executor.send(messages.Stop())
        return bool(self._interrupts.seconds_left(STOP_SHARE))

    def _watch_for_nodes(self) -> None:
        """Say that packs wait for a place; end a wait for nodes when it is too long."""
        now = time.monotonic()
        if self._begun or not self._packs:
            self._quiet_since = self._said_waiting = now
            return
        waited, patience = now - self._quiet_since, 60 * self._space.wait_minutes
        if not self._room and waited > patience:
            raise SweepError(
                f"no node with {self.resources} for a pack came within {duration(patience)}; add nodes, "
                "wait longer (wait_minutes), or lower cpus_per_pack, gpus_per_pack or set device=cpu"
            )
        if now - self._said_waiting > SAY_WAITING_SECONDS:
            self._said_waiting = now
            limit = "" if self._room else f" of at most {duration(patience)} (wait_minutes)"
            awaited = "worker to start" if self._starting else f"node with {self.resources} free for a pack"
            self._say(f"waiting for a {awaited}: {duration(waited)}{limit * (not self._starting)}")


def resources_of(space: Space, device: str) -> Resources:
    """Return what a pack asks Ray for."""
    return Resources(space.cpus_per_pack, space.gpus_per_pack if device == "cuda" else 0.0)


def device_of(space: Space, nodes: Sequence[NodeResources], held: str | None) -> str:
    """Return where members train: as the space says; `auto` as what is there was trained, else by the nodes.

    Args:
        space: says `auto`, `cpu` or `cuda`.
        nodes: that there are.
        held: the device of the members that are there; None without any.

    Raises:
        SweepError: `auto`, and no node is there that could tell.
    """
    if space.device != "auto":
        return space.device
    if held is not None:
        return held
    if any(node.get("GPU", 0) for node in nodes):
        return "cuda"
    if resources_of(space, "cpu").room_in(nodes):
        return "cpu"
    raise SweepError(
        "device: auto with a cluster that has no node with room for a pack yet, so that nothing says "
        "where to train; set device=cuda or device=cpu, and the sweep waits for such nodes"
    )


def describe(nodes: Sequence[NodeResources], resources: Resources) -> str:
    """Return the nodes for the terminal."""
    cpus = sum(int(node.get("CPU", 0)) for node in nodes)
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    gpu_text = f", {gpus:g} GPUs" if gpus else ""
    count = f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}"
    return f"{count}, {cpus} CPUs{gpu_text}: {resources.room_in(nodes)} packs at once"
