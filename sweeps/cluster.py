"""Ray: connecting to it, one Tune trial a pack, and nothing else. The only module that imports Ray.

The driver's checkout travels to the workers as Ray `py_modules`, the data through Ray's object store: a
worker node needs the declared packages, not this checkout, and downloads nothing. What trials report is
handed to a `Schedule`, whose run directory is the only record; Tune's own files are scratch.

Import `sweeps.environment` and call its `prepare` before this module.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import platform
import shutil
import socket
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import torch
from ray import tune
from ray.train._internal import storage
from ray.tune.search import Searcher

from ouvae.cost import Cost, measure
from ouvae.data import Dataset
from ouvae.pack import GIB
from ouvae.pack import Pack as TrainingPack
from ouvae.settings import Settings
from sweeps import SweepError

if TYPE_CHECKING:  # workers import this module, and need nothing more of the project than `ouvae`
    from search_spaces import Space
    from sweeps.plan import Pack
    from sweeps.records import PackReport
    from sweeps.schedule import Schedule

PACKAGES = ("ouvae", "sweeps", "search_spaces", "analysis")
"""What a worker imports of this project."""

REPORT_SECONDS = 2.0
"""How often a trial reports its progress."""

WORKER_RESTARTS = 3
"""How often a pack whose worker died starts again, from its checkpoint where there is one."""


@dataclass(frozen=True)
class Cluster:
    """A connected Ray cluster.

    Attributes:
        device: where members train: `cuda` if the cluster has GPUs and the space does not say `cpu`.
        slots: packs that train at once.
        description: for the terminal.
    """

    device: str
    slots: int
    description: str


@contextlib.contextmanager
def connected(address: str | None, space: Space) -> Iterator[Cluster]:
    """Connect to the Ray cluster at `address`, or start a local Ray on loopback for None.

    Raises:
        SweepError: nothing answers there within seconds, or the cluster has no room for a pack.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address is not None:
        _probe(address)
    options: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "runtime_env": {
            "py_modules": [str(_package_folder(name)) for name in PACKAGES],
            "excludes": ["__pycache__", "*.pyc"],
            "env_vars": {"RAY_USAGE_STATS_ENABLED": "0"},
        },
    }
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": local_cpus(),
            "include_dashboard": False,
        }
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except Exception as error:
        where = "a local Ray could not be started" if address is None else f"no Ray at {address}"
        raise SweepError(f"{where}: {_gist(error)}; {_ADDRESS_HELP}") from None
    try:
        yield _describe(space)
    finally:
        ray.shutdown()


def local_cpus() -> int:
    """Return the number of CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def train(
    schedule: Schedule,
    space: Space,
    data: Mapping[str, Dataset],
    checkpoints: Path,
    on_progress: Callable[[str, int], None],
) -> None:
    """Train the schedule's packs until it is done; one Tune trial a pack, actors reused.

    Args:
        schedule: what to train; it is told of every finished pack.
        space: what a pack asks Ray for.
        data: the data sets by digest; they go to the workers through the object store.
        checkpoints: folder of the packs' states, used by workers that see it.
        on_progress: called with a pack's id and the training steps it has done.
    """
    scratch = tempfile.mkdtemp(prefix="ouvae-tune-")
    trials = _PackSearcher(schedule, space, checkpoints, on_progress)
    resources: dict[str, float] = {"cpu": space.cpus_per_pack}
    if any(state.planned.device == "cuda" for state in schedule.cells):
        resources["gpu"] = space.gpus_per_pack
    if ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]
        # Tune stages files in the session folder of the driver's node; a Ray Client driver has no node.
        storage._get_ray_train_session_dir = lambda: scratch  # type: ignore[attr-defined]
    try:
        tune.run(
            tune.with_parameters(PackTrainable, data=data),
            name=space.name,
            search_alg=trials,
            num_samples=-1,
            resources_per_trial=resources,
            reuse_actors=True,
            raise_on_failed_trial=False,
            storage_path=scratch,
            verbose=0,
            # The controller runs here, where the run directory is, through Ray Client too.
            _remote=False,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if trials.error is not None:
        raise trials.error


def measure_costs(
    members: Sequence[tuple[Settings, float]],
    data: Dataset,
    device: str,
    space: Space,
    rounds: int,
    steps: int,
) -> list[Cost]:
    """Measure the costs of members (settings, rho) side by side, in one task on one worker.

    Raises:
        SweepError: the task failed.
    """

    def task(members: Sequence[tuple[Settings, float]], data: Dataset) -> list[Cost]:
        torch.set_num_threads(threads)
        return measure(members, data, device, rounds, steps)

    threads = space.cpus_per_pack
    gpus = space.gpus_per_pack if device == "cuda" else 0
    remote = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=WORKER_RESTARTS)(task)
    try:
        costs: list[Cost] = ray.get(remote.remote(list(members), ray.put(data)))
        return costs
    except ray.exceptions.RayError as error:
        raise SweepError(f"the costs could not be measured: {error}") from None


class PackTrainable(tune.Trainable):
    """One pack in training, on a worker.

    `config` holds plain values: settings, members as (rho, seed), the data set's digest, device, threads, and
    the path of the checkpoint, which is used if its folder is there, that is on a file system shared with
    the driver.
    """

    def setup(self, config: dict[str, Any], data: Mapping[str, Dataset] | None = None) -> None:
        """Take the data sets from the object store and build the pack."""
        assert data is not None, "the data sets come with the trial"
        self._data = data
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Build the next pack in the same process."""
        self._start(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for about `REPORT_SECONDS`; the last report carries the outcomes."""
        try:
            return self._train()
        except Exception:
            return {"done": True, "error": traceback.format_exc(limit=-6)}

    def _start(self, config: dict[str, Any]) -> None:
        self._config = config
        self._pack: TrainingPack | None = None
        self._seconds = 0.0

    def _build(self) -> TrainingPack:
        config = self._config
        torch.set_num_threads(config["threads"])
        pack = TrainingPack(
            Settings(**config["settings"]),
            config["members"],
            self._data[config["data"]],
            config["device"],
            config["evaluation_bytes"],
        )
        self._checkpoint = Path(config["checkpoint"])
        self._saves = config["checkpoint_seconds"] > 0 and self._checkpoint.parent.is_dir()
        self._saved_at = time.monotonic()
        if self._saves and self._checkpoint.exists():
            state = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
            pack.load_state_dict(state["pack"])
            self._seconds = state["seconds"]
        return pack

    def _train(self) -> dict[str, Any]:
        started = time.monotonic()
        pack = self._pack = self._pack or self._build()
        while not pack.done and time.monotonic() - started < REPORT_SECONDS:
            pack.train_step()
        self._seconds += time.monotonic() - started
        report = {"steps_done": pack.step, "done": pack.done}
        if pack.done:
            return report | {
                "seconds": self._seconds,
                "outcomes": [
                    {
                        "history": [vars(metrics) for metrics in outcome.history],
                        "diverged_at_step": outcome.diverged_at_step,
                        "test": vars(outcome.test) if outcome.test is not None else None,
                    }
                    for outcome in pack.outcomes()
                ],
                "parameters": pack.parameters_per_member,
                "torch_version": torch.__version__,
                "python_version": platform.python_version(),
            }
        if self._saves and time.monotonic() - self._saved_at > self._config["checkpoint_seconds"]:
            self._save(pack)
        return report

    def _save(self, pack: TrainingPack) -> None:
        """Write the pack's state, atomically; a full disk costs the checkpoint, not the pack."""
        aside = self._checkpoint.with_name(f".{self._checkpoint.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            torch.save({"pack": pack.state_dict(), "seconds": self._seconds}, aside)
            os.replace(aside, self._checkpoint)
        aside.unlink(missing_ok=True)
        self._saved_at = time.monotonic()


class _PackSearcher(Searcher):
    """Shows a `Schedule` to Tune as a search algorithm: a suggestion is a pack."""

    def __init__(
        self,
        schedule: Schedule,
        space: Space,
        checkpoints: Path,
        on_progress: Callable[[str, int], None],
    ) -> None:
        super().__init__(metric="steps_done", mode="max")
        self.error: Exception | None = None
        self._schedule, self._space, self._checkpoints = schedule, space, checkpoints
        self._on_progress = on_progress
        self._packs: dict[str, Pack] = {}
        self._again: list[Pack] = []
        self._deaths: Counter[str] = Counter()

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:  # a config, None for not now, or FINISHED
        if self.error is not None or self._schedule.done:
            return Searcher.FINISHED
        pack = self._again.pop(0) if self._again else self._schedule.next_pack()
        if pack is None:
            return None
        self._packs[trial_id] = pack
        return {
            "settings": vars(pack.cell.settings()),
            "members": [(point.rho, point.seed) for point in pack.points],
            "data": pack.cell.data_digest,
            "device": pack.cell.device,
            "threads": self._space.cpus_per_pack,
            "evaluation_bytes": round(self._space.evaluation_gib * GIB),
            "checkpoint": str(self._checkpoints.resolve() / f"{pack.pack_id}.pt"),
            "checkpoint_seconds": 60 * self._space.checkpoint_minutes,
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._packs and "steps_done" in result:
            self._on_progress(self._packs[trial_id].pack_id, result["steps_done"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        pack = self._packs.pop(trial_id, None)
        if pack is None:
            return
        try:
            if result is None or "outcomes" not in result:
                self._failed(pack, (result or {}).get("error"))
                return
            report: PackReport = {
                "outcomes": result["outcomes"],
                "parameters": result["parameters"],
                "seconds": result["seconds"],
                "torch_version": result["torch_version"],
                "python_version": result["python_version"],
            }
            self._schedule.finished(pack, report)
        except Exception as problem:  # kept for `train`: Tune would go on without it
            self.error = self.error or problem

    def _failed(self, pack: Pack, reason: str | None) -> None:
        """Give up a pack that raised, and one whose worker died too often; else train it again.

        Tune's own retries would not do: it gives up a trial whose worker dies just as it is handed over
        from the trial before.
        """
        self._deaths[pack.pack_id] += reason is None
        if reason is None and self._deaths[pack.pack_id] <= WORKER_RESTARTS:
            self._again.append(pack)
        else:
            self._schedule.gave_up(pack, reason or f"its worker died {WORKER_RESTARTS + 1} times")

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the run directory is the record."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the run directory is the record."""


_ADDRESS_HELP = (
    "start a cluster with `ray start --head`, give --address HOST:PORT of a running one, "
    "or leave --address out for a local Ray"
)


def _probe(address: str) -> None:
    """Refuse an address that nothing listens at within seconds, where Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise SweepError(
            f"--address {address}: write it as auto, HOST:PORT or ray://HOST:PORT; {_ADDRESS_HELP}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise SweepError(f"no Ray at {address}: {error}; {_ADDRESS_HELP}") from None


def _describe(space: Space) -> Cluster:
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = int(resources.get("CPU", 0)), resources.get("GPU", 0.0)
    nodes = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
    device = ("cuda" if gpus else "cpu") if space.device == "auto" else space.device
    slots = cpus // space.cpus_per_pack
    if device == "cuda":
        slots = min(slots, int(gpus / space.gpus_per_pack))
    if slots < 1:
        wanted = f"{space.cpus_per_pack} CPUs"
        wanted += f" and {space.gpus_per_pack:g} GPUs" if device == "cuda" else ""
        raise SweepError(
            f"the cluster has {cpus} CPUs and {gpus:g} GPUs, a pack asks for {wanted}; "
            "add nodes or lower cpus_per_pack, gpus_per_pack or set device=cpu"
        )
    gpu_text = f", {gpus:g} GPUs" if gpus else ""
    text = f"{nodes} node{'s' if nodes > 1 else ''}, {cpus} CPUs{gpu_text}: {slots} packs at once"
    return Cluster(device, slots, text)


def _package_folder(name: str) -> Path:
    file = importlib.import_module(name).__file__
    assert file is not None
    return Path(file).parent


def _gist(error: BaseException) -> str:
    """Return an error's first line, and the last of the server's traceback where Ray's client appends it."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return f"{lines[0]} {lines[-1]}" if any(line.startswith("Traceback") for line in lines) else lines[0]
