"""Ray Tune: packs as trials, handed out by a search algorithm that asks the sweep for them.

This runs where Tune does: in the Ray process, or in a task on the cluster where the Ray process reaches it
through Ray Client and is no node itself.
"""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path
from typing import Any, Protocol, Self

import ray
from ray import tune
from ray.tune.search import Searcher

from sweeps.cluster.messages import Wanted
from sweeps.cluster.ray_internals import tune_logger
from sweeps.cluster.trainable import FAILURE, METRIC, NEWS, RECEIVER, RESULT, SENT, TASK, PackTrainable
from sweeps.cluster.workers import StartWatch, failure_of, have_died
from sweeps.executors.events import Failed, Finished, Next, Nodes, Progressed, Returned
from sweeps.executors.places import Resources
from sweeps.worker.task import News

LOOK_SECONDS = 2.0
"""How often a change of the cluster's nodes, and workers that do not start, are looked for."""

MOST_BREAKDOWNS = 20
"""How often Tune is started anew when it breaks down without a result in between."""


class Channel(Protocol):
    """The way to the sweep."""

    def send(self, message: object) -> None:
        """Send a message."""

    def next_pack(self) -> Next:
        """Wait for the answer to `Wanted`."""

    @property
    def stopping(self) -> bool:
        """Whether the sweep said `Stop`."""


def train(channel: Channel, resources: Resources, data: Any, storage: str) -> None:
    """Run Tune until the sweep has no more packs or stops.

    Tune breaks down where Ray kills a worker to save a node's memory, and wherever else it meets what it
    does not know: its packs are then handed back, and it is started anew.

    Args:
        channel: the way to the sweep.
        resources: of a pack.
        data: data sets by digest, in Ray's object store.
        storage: folder for Tune's own files.
    """
    wanted: dict[str, float] = {"cpu": resources.cpus}
    if resources.gpus:
        wanted["gpu"] = resources.gpus
    trainable = tune.with_resources(tune.with_parameters(PackTrainable, data=data), wanted)
    breakdowns = 0
    while True:
        packs = PackSearcher(channel)
        try:
            with _Watching(packs) as watching:
                tune.Tuner(
                    trainable,
                    tune_config=tune.TuneConfig(search_alg=packs, num_samples=-1, reuse_actors=True),
                    run_config=tune.RunConfig(
                        name="packs",
                        storage_path=storage,
                        stop=_StopWith(channel),
                        callbacks=[watching],
                        verbose=0,
                        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    ),
                ).fit()
        except Exception as error:
            print(traceback.format_exc(), flush=True)
            breakdowns = 1 if packs.heard else breakdowns + 1
            if breakdowns > MOST_BREAKDOWNS:
                raise
            packs.hand_back(error)
            time.sleep(min(breakdowns, 5))
        else:
            packs.hand_back(None)
            return


class PackSearcher(Searcher):
    """Shows the sweep's schedule to Tune as a search algorithm: a suggestion is a pack."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(metric=METRIC, mode="max")
        self.heard = False
        self._channel = channel
        self._packs: dict[str, str] = {}
        self._states: dict[str, bytes] = {}
        self._actors: dict[str, str] = {}
        self._nodes, self._starts = cluster_nodes(), StartWatch()
        self._looked = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune writes its parts to a file, from which this one is never read."""
        return {}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take anything: the search is the sweep's."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return a pack's configuration, None for not now, or FINISHED."""
        if self._channel.stopping:
            return Searcher.FINISHED
        self._channel.send(Wanted())
        answer = self._channel.next_pack()
        if answer.finished:
            return Searcher.FINISHED
        if answer.task is None:
            return None
        self._packs[trial_id], self._states[trial_id] = answer.task.pack_id, answer.state
        return {TASK: answer.task}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the sweep of a pack's progress, result or failure.

        A worker that cannot read the pack's state gets it before Tune asks it for the next step: an actor
        takes the calls of a process in their order. The trial's configuration, which Tune writes to files,
        has no room for it.
        """
        pack_id = self._packs.get(trial_id)
        if pack_id is None:
            return
        self.heard = True
        self._actors[trial_id] = result.get("actor_id") or self._actors.get(trial_id, "")
        state = self._states.pop(trial_id, b"")
        if state and RECEIVER in result:
            result[RECEIVER].receive.remote(state)
        self._channel.send(Progressed(pack_id, result[METRIC], result.get(NEWS) or News()))
        if FAILURE in result:
            self._channel.send(Failed(self._packs.pop(trial_id), result[FAILURE]))
        if RESULT in result:
            self._channel.send(Finished(self._packs.pop(trial_id), result[RESULT]))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: `failed` has the error."""

    def failed(self, trial_id: str, error: BaseException) -> None:
        """Tell the sweep of a pack that ended without a result, and why."""
        self._states.pop(trial_id, None)
        pack_id = self._packs.pop(trial_id, None)
        if pack_id is not None:
            self._channel.send(Failed(pack_id, failure_of(error)))

    def hand_back(self, error: Exception | None) -> None:
        """Hand back the packs in training; those whose worker died of the error have failed."""
        actors = {trial_id: self._actors.get(trial_id, "") for trial_id in self._packs}
        died = have_died(list(filter(None, actors.values()))) if error is not None else set()
        for trial_id, pack_id in self._packs.items():
            if error is not None and actors[trial_id] in died:
                self._channel.send(Failed(pack_id, failure_of(error)))
            else:
                self._channel.send(Returned(pack_id))
        self._packs.clear()

    def look(self) -> None:
        """Tell the sweep of new nodes, and of workers that do not start."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        nodes = cluster_nodes()
        if nodes != self._nodes:
            self._nodes = nodes
            self._channel.send(Nodes(nodes))
        if (starting := self._starts.look()) is not None:
            self._channel.send(starting)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the run directory is the record."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the run directory is the record."""


class _Watching(tune.Callback):
    """Shows the searcher what Tune tells no search algorithm: each turn of its loop, and errors.

    Tune names the trial that failed to its callbacks, and the error to its log only. It keeps each trial's
    last result, writes it to files, and never forgets the text of a value that is no JSON. So the searcher's
    values, of which a state has megabytes, leave the result once the searcher has it.
    """

    def __init__(self, packs: PackSearcher) -> None:
        self._packs = packs
        self._log = _LastError()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __enter__(self) -> Self:
        tune_logger().addHandler(self._log)
        return self

    def __exit__(self, *exception: object) -> None:
        tune_logger().removeHandler(self._log)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._packs.look()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        for key in SENT:
            result.pop(key, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._packs.failed(trial.trial_id, self._log.error or RuntimeError(trial.get_error() or "unknown"))
        self._log.error = None


class _LastError(logging.Handler):
    """Keeps the exception that was logged last."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.error = record.exc_info[1] if record.exc_info else None


class _StopWith(tune.Stopper):
    """Stops all trials when the sweep says so; each then saves its state."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._channel.stopping


def cluster_nodes() -> list[dict[str, float]]:
    """Return what each node that is alive has."""
    return [
        {key: float(node["Resources"].get(key, 0.0)) for key in ("CPU", "GPU")}
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]
