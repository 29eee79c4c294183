"""A pack on a worker, as a class of Ray Tune.

Workers import nothing of the project but what is imported here.
"""

from __future__ import annotations

import gc
import platform
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from ouvae.data import Dataset
from ouvae.settings import Settings
from ouvae.training.pack import Pack
from sweeps.checkpoints import CheckpointError, read_checkpoint, set_aside, write_checkpoint

REPORT_SECONDS = 2.0
"""How often a pack in training reports, and how long it takes at most to notice that it shall stop, but for
a step or an evaluation that takes longer."""

METRIC = "steps_done"
"""In every result, since Tune ends the whole experiment where a result lacks its metric."""


class PackTrainable(tune.Trainable):
    """One pack in training.

    `config` holds the fields of a `messages.Task` in plain values. The first result comes at once and says
    which actor this is. The last but one carries the report; that the last is asked for says that it came
    through. A failure is a result too, after which the worker ends: the next attempt is another worker's.
    """

    _pack: Pack | None
    _begun: bool
    _failed: bool
    _steps: int

    def setup(self, config: dict[str, Any], data: Mapping[str, Dataset] | None = None) -> None:
        """Take the data sets from the object store."""
        self._data = data or {}
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next pack in the same process."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for about `REPORT_SECONDS`."""
        if self._failed:
            raise RuntimeError("this worker ends after its failure")
        if self._pack is not None and self._pack.done:
            self._pack = None
            return {METRIC: self._steps, "done": True}
        if not self._begun:
            self._begun = True
            return {METRIC: 0, "actor_id": ray.get_runtime_context().get_actor_id()}
        try:
            return self._train() | self._notices()
        except Exception as error:
            self._failed, self._pack = True, None
            kind = "memory" if _is_out_of_memory(error) else "error"
            reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            return {METRIC: self._steps, "failure": (kind, reason, traceback.format_exc())}

    def cleanup(self) -> None:
        """Save a pack that is stopped before its report came through."""
        if self._pack is not None and self._saves:
            self._save(self._pack)

    def _begin(self, config: dict[str, Any]) -> None:
        self._config = config
        self._pack = None
        gc.collect()  # an optimizer holds itself, and the next pack may need the memory of this one
        self._begun = self._failed = self._saves = False
        self._seconds, self._steps = 0.0, 0
        self._said: list[str] = []

    def _new_pack(self) -> Pack:
        config = self._config
        return Pack(
            Settings(**config["settings"]),
            config["members"],
            self._data[config["data"]],
            config["device"],
            config["evaluation_bytes"],
        )

    def _build(self) -> Pack:
        """Return the pack at its last saved state, or at its start."""
        torch.set_num_threads(self._config["threads"])
        self._checkpoint = Path(self._config["checkpoint"])
        self._saves = self._config["checkpoint_seconds"] > 0 and self._checkpoint.parent.is_dir()
        self._saved_at = time.monotonic()
        pack = self._new_pack()
        if self._saves and self._checkpoint.exists():
            try:
                state = read_checkpoint(self._checkpoint, self._config["pack_id"])
                pack.load_state_dict(state["pack"])
                self._seconds = state["seconds"]
            except Exception as error:
                # Whatever is wrong with it is not worth the pack, which may be half loaded now.
                bad = set_aside(self._checkpoint)
                why = error if isinstance(error, CheckpointError) else f"it does not fit: {error!r:.200}"
                self._said.append(f"checkpoint set aside as {bad.name}, its pack starts afresh: {why}")
                self._seconds = 0.0
                return self._new_pack()
        return pack

    def _train(self) -> dict[str, Any]:
        started = time.monotonic()
        pack = self._pack = self._pack or self._build()
        while not pack.done and time.monotonic() - started < REPORT_SECONDS:
            pack.train_step()
        self._seconds += time.monotonic() - started
        self._steps = pack.step
        if pack.done:
            return {METRIC: pack.step, "reports": [self._report(pack)]}
        if self._saves and time.monotonic() - self._saved_at > self._config["checkpoint_seconds"]:
            self._save(pack)
        return {METRIC: pack.step}

    def _report(self, pack: Pack) -> dict[str, Any]:
        return {
            "outcomes": [
                {
                    "history": [vars(metrics) for metrics in outcome.history],
                    "diverged_at_step": outcome.diverged_at_step,
                    "test": vars(outcome.test) if outcome.test is not None else None,
                }
                for outcome in pack.outcomes()
            ],
            "parameters": pack.parameters_per_member,
            "seconds": self._seconds,
            "torch_version": torch.__version__,
            "python_version": platform.python_version(),
        }

    def _save(self, pack: Pack) -> None:
        """Write the pack's state; a failure costs this checkpoint, not the pack."""
        state = {"pack": pack.state_dict(), "seconds": self._seconds}
        try:
            write_checkpoint(self._checkpoint, self._config["pack_id"], state)
        except CheckpointError as error:
            self._said.append(f"checkpoint not written: {error}")
        self._saved_at = time.monotonic()

    def _notices(self) -> dict[str, list[str]]:
        said, self._said = self._said, []
        return {"notices": said} if said else {}


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: on a CPU, PyTorch says so in a RuntimeError's text alone."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
