"""A pack in training with its saved state: built, trained in slices, saved, reported. Knows no Ray."""

from __future__ import annotations

import ctypes
import platform
import time
from pathlib import Path

import torch

from ouvae.data import Dataset
from ouvae.training.outcome import Sheet
from ouvae.training.pack import PackTraining, pack_of
from sweeps.errors import gist
from sweeps.worker.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from sweeps.worker.hardware import joined, machine
from sweeps.worker.states import States, StatesError
from sweeps.worker.task import News, PackResult, Task
from sweeps.worker.weights import State, write_weights

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST = 2**30


class PackWork:
    """What a worker does with a pack.

    Args:
        states: where the worker finds and leaves the pack's state; None is the task's place.
    """

    def __init__(self, task: Task, data: Dataset, states: States | None = None) -> None:
        """Build the pack at its last saved state, or at step 0."""
        torch.set_num_threads(task.threads)
        keep_freed_memory()
        self._news = News()
        self._task, self._data = task, data
        self._states = states or task.states
        self._saves = task.checkpoint_seconds > 0
        if (self._saves and self._states.is_carried) or not self._sees_weights():
            self._news.unseen = platform.node()
        self._saved_at = time.monotonic()
        self._seconds = 0.0
        self._machines = [machine(task.device)]
        self._training = self._restored() or self._new()

    @property
    def steps_done(self) -> int:
        """Training steps of the pack so far."""
        return self._training.step

    def advance(self, seconds: float) -> PackResult | None:
        """Train for about `seconds`, save the state when due, and return the result of a finished pack."""
        training, started = self._training, time.monotonic()
        while not training.done and time.monotonic() - started < seconds:
            training.train_step()
        self._seconds += time.monotonic() - started
        if training.done:
            self._keep_weights()
            return self._result(self._sheets())
        if time.monotonic() - self._saved_at > self._task.checkpoint_seconds:
            self.save()
        return None

    def save(self) -> None:
        """Write the state, where states are saved; a failure is news."""
        if not self._saves:
            return
        machines = [dict(part) for part in self._machines]
        state = {"pack": self._training.state_dict(), "seconds": self._seconds, "machines": machines}
        try:
            write_checkpoint(self._states, self._task.pack_id, state)
        except CheckpointError as error:
            self._news.trouble = f"checkpoint not written: {error}"
        self._saved_at = time.monotonic()

    def take_news(self) -> News:
        """Return what has happened since the last call."""
        news, self._news = self._news, News()
        news.state = self._states.taken()
        return news

    def _keep_weights(self) -> None:
        """Write the trained weights, where they are kept; a failure is a notice."""
        task, path = self._task, Path(self._task.weights)
        if not (task.weights and self._sees_weights()):
            return
        kept, weights = self._training.weights(task.best_weights)
        if not kept:
            return
        members = [task.members[place] for place in kept]
        state: State = "best" if task.best_weights and task.cell.select == "best" else "last"
        try:
            write_weights(path, task.cell, task.control, self._data.image_shape, members, weights, state)
        except OSError as error:
            self._news.notices.append(f"weights not kept: {error}")

    def _sees_weights(self) -> bool:
        """Tell whether the folder for trained weights is here, if they are kept."""
        return not self._task.weights or Path(self._task.weights).parent.is_dir()

    def _sheets(self) -> dict[int, Sheet]:
        """Return the sheets that are to be drawn; a failure is a notice, and costs no pack.

        A system of users' own need not have the methods that draw.
        """
        try:
            return self._training.sheets(self._task.drawn)
        except NotImplementedError:
            return {}
        except Exception as error:
            self._news.notices.append(f"sheets not drawn: {type(error).__name__}: {gist(error)}")
            return {}

    def _new(self) -> PackTraining:
        task = self._task
        return pack_of(task.cell, task.control, task.members, self._data, task.device, task.evaluation_bytes)

    def _restored(self) -> PackTraining | None:
        """Return the pack at its saved state; None without a usable state."""
        if not self._saves:
            return None
        pack_id = self._task.pack_id
        try:
            state = read_checkpoint(self._states, pack_id)
            if state is None:
                return None
            training = self._new()
            training.load_state_dict(state["pack"])
        except StatesError as error:
            self._news.trouble = f"checkpoint not used, its pack starts afresh: {error}"
            return None
        except Exception as error:
            # Whatever is wrong with it is not worth the pack, which may be half loaded now.
            bad = self._states.set_aside(pack_id)
            why = error if isinstance(error, CheckpointError) else f"it does not fit: {error!r:.200}"
            fate = f"set aside as {bad}" if bad else "not used"
            self._news.notices.append(f"checkpoint {fate}, its pack starts afresh: {why}")
            return None
        self._seconds = state["seconds"]
        earlier = [part for part in state.get("machines", []) if part not in self._machines]
        self._machines = [*earlier, *self._machines]
        return training

    def _result(self, sheets: dict[int, Sheet]) -> PackResult:
        return PackResult(
            outcomes=tuple(self._training.outcomes()),
            parameters=self._training.parameters_per_member,
            seconds=self._seconds,
            torch_version=str(torch.__version__),  # plain: its own class would bring torch along
            python_version=platform.python_version(),
            machine=joined(self._machines),
            sheets=sheets,
        )


def keep_freed_memory() -> None:
    """Let the GNU C library keep freed memory in this process.

    A step frees blocks of megabytes and asks for them again; the system would map and clear each anew.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            set_option(option, _LARGEST)
