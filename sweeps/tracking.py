"""MLflow tracking of a sweep: the only module that imports mlflow.

An experiment holds a space, a run the sweep, a child run each cell, a grandchild run each member.

===========  ============================================================================
run          holds
===========  ============================================================================
sweep        settings, counts (`members`, `members_diverged`, `cells`), files as artifacts
cell         settings, the numbers of its threshold, and its curve: the metric `kl_top_nats`
             at step = 1000 rho, the mean over seeds
member       settings, the final metrics and their history over training steps
===========  ============================================================================

The tag `level` (sweep, cell or member) tells them apart. MLflow compares params and tags as text
and metrics as numbers, so a member's rho is all three: `params.depth = "3" and metrics.rho > 0.8`.

One thread writes, fed by a queue, so that training never waits for a store. It can be killed at
any moment: what a run holds follows from the tables alone, and a run is FINISHED or FAILED only
when it is whole, so running the same sweep again completes what is missing and repeats nothing.

mlflow is imported at the first use of a store (2 to 4 seconds), never with this module.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import queue
import shlex
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

from sweeps import SweepError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run

STEPS_PER_RHO = 1000
"""A cell's curve is logged at step = round(STEPS_PER_RHO * rho): a step in MLflow is an integer."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The tracker retries by itself, after a look at what the store holds: a request that MLflow
    # repeats because its answer was lost would create the same run twice.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}
_ATTEMPTS = 3
_LONGEST_WAIT_SECONDS = 30.0
_PAGE = 100

CELL_PARAMS = (
    "dataset", "architecture", "depth", "latents", "hidden", "likelihood", "observation_variance",
    "smoothing", "smoothed_networks", "ou_samples", "start", "steps", "batch_size",
    "learning_rate", "kl_warmup", "eval_every", "precision", "kl_threshold_nats", "rho_c_exact",
)  # fmt: skip
"""The columns of the members table that are params of a cell's run."""

_MEMBER_PARAMS = ("rho", "seed", *CELL_PARAMS, "device", "numerics_version")
_CELL_TAGS = ("space", "cell_id", "cell", "dataset", "architecture", "depth", "latents")
_MEMBER_TAGS = (
    *_CELL_TAGS, "member_id", "seed", "status", "diverged_at_step", "pack_id", "project_version",
    "torch_version", "python_version", "commit",
)  # fmt: skip
_SCALARS = ("kl_top_nats", "elbo_nats", "objective_nats", "reconstruction_nats")
_PER_LAYER = ("kl_nats", "active_units")
# The UI orders charts by name: what comes before `kl_top_nats` would push the curves down the page.
_THRESHOLD_METRICS = (
    "rho_c", "rho_c_low", "rho_c_high", "rho_c_exact", "width", "n_seeds", "n_members", "n_diverged",
)  # fmt: skip
_THRESHOLD_TAGS = (
    "status", "collapsed_side", "method", "confidence", "bracket_low", "bracket_high", "jump_nats",
)  # fmt: skip

# Okabe and Ito's palette, distinct to colour-blind eyes; MLflow's own choice can repeat itself.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
_NOTE = (
    'Curves of KL against rho: search for `tags.level = "cell"`, expand the sweep (+), open the chart '
    f"view: `kl_top_nats`, at step = {STEPS_PER_RHO} rho."
)


def default_uri(folder: Path) -> str:
    """Give the URI of the store in `folder`: a SQLite file, with mlartifacts/ beside it."""
    return _sqlite_uri(folder.resolve() / "mlflow.db")


def ui_command(uri: str) -> str:
    """Give the command that shows the store in a browser; for a server, its address.

    MLflow's own server listens on 127.0.0.1, port 5000, unless told otherwise.
    """
    if not uri.startswith("sqlite:"):
        return _public(uri)
    path = _sqlite_path(uri)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"mlflow ui --backend-store-uri {shlex.quote(_sqlite_uri(shown))}"


def check(uri: str) -> None:
    """Open the store at `uri`, so that a sweep which cannot be tracked ends before it begins.

    A SQLite store is created here if it is new, with its folder.

    Raises:
        SweepError: the scheme is not sqlite, http or https; the SQLite file cannot be written or
            is no MLflow store; the server gives no good answer within 5 seconds.
    """
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite":
        _check_sqlite(_sqlite_path(uri))
        mend = "Move the file away, or name another with sqlite:///PATH."
    elif scheme in ("http", "https"):
        mend = "Start the server, correct the address, or use sqlite:///PATH."
    else:
        found = "MLflow no longer supports file stores" if scheme in ("", "file") else "not usable"
        raise SweepError(
            f"tracking URI {_public(uri)!r}: {found}; use sqlite:///PATH for a file or "
            "http(s)://HOST:PORT for an MLflow server."
        )
    try:
        _connect(uri).search_experiments(max_results=1)
    except Exception as error:
        raise SweepError(
            f"the tracking store {_public(uri)} cannot be used: {_reason(error)}. {mend}"
        ) from error


@dataclass(frozen=True)
class Report:
    """What a tracker did: entries (a member, a cell or a file) by fate.

    Attributes:
        logged: entries logged by this tracker, by kind (`member`, `cell`, `file`).
        present: entries that the store held already, by kind.
        failed: entries that did not get into the store, by kind (also `sweep`: its end).
        last_error: the last error in a line, mended since or not; None without any.
        curves_url: the page that draws the cells' curves over one another, on the server or as
            `ui_command` serves it; None if the store was never reached.
    """

    logged: Mapping[str, int]
    present: Mapping[str, int]
    failed: Mapping[str, int]
    last_error: str | None
    curves_url: str | None

    @property
    def complete(self) -> bool:
        """Whether everything handed to the tracker is in the store."""
        return not any(self.failed.values())

    def __str__(self) -> str:
        """Say it in one line for a terminal."""
        line = f"MLflow: {_counts(self.logged)} logged, {_counts(self.present)} already there"
        if self.complete:
            return line
        return (
            f"{line}, {_counts(self.failed)} not logged ({self.last_error or 'out of time'}); "
            "the same command logs what is missing"
        )


class Tracker:
    """Logs one sweep to MLflow from a thread of its own.

    The methods return at once and never raise for the store's sake: `close` reports. A store that
    does not answer is tried again, after 1 second at first and 30 at most, until `close`.
    Use one tracker at a time for a sweep.

    Args:
        uri: the store, see `check`.
        space: name of the space: the MLflow experiment.
        sweep_id: identifies the sweep; a tracker with the same one goes on with the same runs.
        sweep_name: name of the sweep's run.
        params: settings of the sweep. MLflow never changes a param: a value that differs from the
            one logged by an earlier tracker becomes a tag of the same name.
    """

    def __init__(
        self, uri: str, space: str, sweep_id: str, sweep_name: str, params: Mapping[str, Any]
    ) -> None:
        self._store = _Store(uri, space, sweep_id, sweep_name, _texts(params, params))
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._submitted: Counter[str] = Counter()
        self._logged: Counter[str] = Counter()
        self._present: Counter[str] = Counter()
        self._last_error: str | None = None
        self._closing = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    def log_member(self, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """Log a member: its row of the members table and its rows of the history table."""
        self._submit("member", partial(self._store.member, dict(row), list(history)))

    def log_cell(
        self,
        cell_id: str,
        label: str,
        settings: Mapping[str, Any],
        curve: Iterable[tuple[float, float]],
        threshold: Mapping[str, Any],
    ) -> None:
        """Log a cell that is complete: its curve and its threshold.

        A run whose curve, threshold or settings differ from an earlier log is replaced by a new
        one (a point of a metric cannot be taken back), and its members move there.

        Args:
            cell_id: identifies the cell in the sweep.
            label: the run's name.
            settings: params of the cell's run.
            curve: (rho, top-layer KL in nats) pairs, the mean over seeds.
            threshold: the cell's row of the thresholds table.
        """
        points = sorted((float(rho), float(kl)) for rho, kl in curve)
        params = _texts(settings, settings)
        job = partial(self._store.cell, cell_id, label, params, points, dict(threshold))
        self._submit("cell", job)

    def log_artifacts(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Log files as artifacts of the sweep's run, in `folder`; later versions replace earlier.

        The files are read when their turn comes, at the latest within `close`.
        """
        for path in paths:
            self._submit("file", partial(self._store.artifact, path, folder))

    def close(self, status: str = "FINISHED", timeout: float = 120.0) -> Report:
        """Log what is left, end the sweep's run and report.

        A store that fails now is given up; what is left after `timeout` seconds counts as failed.

        Args:
            status: MLflow's status of the sweep's run: FINISHED, FAILED or KILLED.
            timeout: seconds.
        """
        if not self._closing.is_set():
            self._submit("sweep", partial(self._store.finish, status))
            self._jobs.put(None)
            self._closing.set()
        self._thread.join(timeout)
        self._stopped.set()
        failed = self._submitted - self._logged - self._present
        logged = Counter({kind: n for kind, n in self._logged.items() if kind != "sweep"})
        present, curves_url = Counter(self._present), self._store.curves_url
        return Report(logged, present, failed, self._last_error, curves_url)

    def _submit(self, kind: str, log: Callable[[], bool]) -> None:
        self._submitted[kind] += 1
        self._jobs.put(_Job(kind, log))

    def _work(self) -> None:
        for job in iter(self._jobs.get, None):
            if not self._stopped.is_set():
                self._attempt(job)

    def _attempt(self, job: _Job) -> None:
        """Do a job, or leave it undone: after `_ATTEMPTS` in a store that answers, or at closing.

        An attempt begins with what the store holds, since the request that failed last may well
        have been carried out.
        """
        attempts, wait = 0, 1.0
        while not self._stopped.is_set():
            try:
                self._store.open()
                attempts += 1
                new = job.log()
            except Exception as error:
                self._last_error = _reason(error)
                answers, self._store.opened = self._store.opened, False
                if attempts == _ATTEMPTS:
                    return
                if self._closing.is_set() and not answers:
                    self._stopped.set()
                elif not self._closing.wait(wait):
                    wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
            else:
                (self._logged if new else self._present)[job.kind] += 1
                return


class _Job(NamedTuple):
    kind: str
    log: Callable[[], bool]  # True if it logged something, False if all of it was there


@dataclass
class _Known:
    """A run as the store holds it; `whole` once nothing is missing from it."""

    run_id: str
    start_ms: int
    whole: bool
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)


class _Store:
    """The runs of one sweep in MLflow. Only the writer's thread touches it."""

    def __init__(self, uri: str, space: str, sweep_id: str, sweep_name: str, params: dict[str, str]) -> None:
        self.uri, self.space, self.name, self.params = uri, space, sweep_name, params
        self.common = {"sweep_id": sweep_id, "space": space}
        self.opened = False
        self.curves_url: str | None = None

    def open(self) -> None:
        """Read what the store holds of this sweep, once; mend what a killed writer left."""
        if self.opened:
            return
        self.client = _connect(self.uri)
        self.experiment = self._experiment()
        self.curves_url = self._curves_url()
        known = [_known(run) for run in self._search()]
        self.cells = self._unique("cell_id", known, "cell")
        self.members = self._unique("member_id", known, "member")
        for member in self.members.values():
            self._move(member, self.cells.get(member.tags["cell_id"]))
        sweeps = self._unique("sweep_id", known, "sweep")
        self.sweep = next(iter(sweeps.values()), None) or self._create(
            self.name, {**self.common, "level": "sweep", "mlflow.note.content": _NOTE}, None
        )
        for cell in self.cells.values():
            self._move(cell, self.sweep)
        self._describe_sweep()
        self.opened = True

    def member(self, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> bool:
        """Log a member; False if it was there, whole."""
        run, end = self.members.get(row["member_id"]), _utc(row["finished_at"])
        if run and run.whole:
            return False
        if run and run.tags["finished_at"] != _stamp(end):  # trained anew since
            self.client.delete_run(run.run_id)
            run = None
        run = run or self._create_member(row, end)
        params = _params(_texts(row, _MEMBER_PARAMS))
        self.client.log_batch(run.run_id, _member_metrics(row, history), params)
        status = "FINISHED" if row["status"] == "completed" else "FAILED"
        self.client.set_terminated(run.run_id, status, _milliseconds(end))
        run.whole = True
        if not self.sweep.metrics:
            self._log_counts()
        return True

    def cell(
        self,
        cell_id: str,
        label: str,
        params: dict[str, str],
        curve: Sequence[tuple[float, float]],
        threshold: Mapping[str, Any],
    ) -> bool:
        """Log a cell's curve and threshold; False if they were there, the same."""
        from mlflow.entities import RunTag

        digest = _digest(label, params, curve, threshold)
        run = old = self.cells.get(cell_id)
        if run and run.whole and run.tags.get("curve") == digest:
            return False
        if run and (run.tags.get("curve", digest) != digest or not _agree(run.params, params)):
            run = None
        if run is None:
            kept = old.tags if old else {}
            tags = {key: kept[key] for key in (*_CELL_TAGS, "mlflow.runColor") if key in kept}
            tags |= {**_texts(params, _CELL_TAGS), "curve": digest}
            run = self._create_cell(cell_id, label, tags, {})
        elif "curve" not in run.tags:
            self.client.set_tag(run.run_id, "curve", digest)
            run.tags["curve"] = digest
        metrics = _cell_metrics(curve, threshold, run.start_ms)
        tags_after = [RunTag(*tag) for tag in _texts(threshold, _THRESHOLD_TAGS).items()]
        self.client.log_batch(run.run_id, metrics, _params(params), tags_after)
        for member in self.members.values():
            if member.tags["cell_id"] == cell_id:
                self._move(member, run)
        if old and old is not run:
            self.client.delete_run(old.run_id)
        self.client.set_terminated(run.run_id)
        run.whole = True
        self._log_counts()
        return True

    def artifact(self, path: Path, folder: str | None) -> bool:
        """Log a file."""
        self.client.log_artifact(self.sweep.run_id, str(path), folder)
        return True

    def finish(self, status: str) -> bool:
        """End the sweep's run."""
        self._log_counts()
        self.client.set_terminated(self.sweep.run_id, status)
        return True

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self.space)
        if found is None:
            location = None
            if self.uri.startswith("sqlite:"):
                folder = _sqlite_path(self.uri).parent / "mlartifacts" / self.space
                location = folder.as_uri()
            return self.client.create_experiment(self.space, location, {"mlflow.note.content": _NOTE})
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _curves_url(self) -> str:
        local = self.uri.startswith("sqlite:")
        server = "http://127.0.0.1:5000" if local else _public(self.uri).rstrip("/")
        query = {
            "workflowType": "machine_learning",
            "searchFilter": f'tags.level = "cell" and tags.sweep_id = "{self.common["sweep_id"]}"',
            "orderByKey": "metrics.`rho_c`",
            "orderByAsc": "true",
            "compareRunsMode": "CHART",
        }
        return f"{server}/#/experiments/{self.experiment}/runs?{urlencode(query, quote_via=quote)}"

    def _search(self) -> Iterator[Run]:
        where, token = f"tags.sweep_id = '{self.common['sweep_id']}'", None
        while True:
            page = self.client.search_runs([self.experiment], where, max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _unique(self, tag: str, known: Sequence[_Known], level: str) -> dict[str, _Known]:
        """Map the runs of a level by `tag`; of two for one thing a whole member or the newer stays.

        Two come of a request whose answer was lost, or of a cell's run half replaced.
        """
        found: dict[str, _Known] = {}
        runs = [run for run in known if run.tags.get("level") == level]
        for run in sorted(runs, key=lambda run: (level == "member" and run.whole, run.start_ms)):
            if run.tags[tag] in found:
                self.client.delete_run(found[run.tags[tag]].run_id)
            found[run.tags[tag]] = run
        return found

    def _describe_sweep(self) -> None:
        """Log the sweep's params, and as tags those that MLflow holds with another value."""
        from mlflow.entities import RunTag

        held, run_id = self.sweep.params, self.sweep.run_id
        new = _params({key: text for key, text in self.params.items() if key not in held})
        changed = [
            RunTag(key, text)
            for key, text in self.params.items()
            if self.sweep.tags.get(key, held.get(key, text)) != text
        ]
        self.client.log_batch(run_id, params=new, tags=changed)
        if self.sweep.whole:
            self.client.update_run(run_id, status="RUNNING")

    def _create(
        self, name: str, tags: dict[str, str], parent: _Known | None, start_ms: int | None = None
    ) -> _Known:
        parent_tag = {"mlflow.parentRunId": parent.run_id} if parent else {}
        return _known(self.client.create_run(self.experiment, start_ms, {**tags, **parent_tag}, name))

    def _create_cell(self, cell_id: str, label: str, tags: dict[str, str], params: dict[str, str]) -> _Known:
        color = _COLORS[len(self.cells) % len(_COLORS)]
        identity = {"level": "cell", "cell_id": cell_id, "cell": label, "status": "running"}
        tags = {"mlflow.runColor": color, **self.common, **tags, **identity}
        run = self._create(label, tags, self.sweep)
        self.client.log_batch(run.run_id, params=_params(params))
        run.params.update(params)
        self.cells[cell_id] = run
        return run

    def _create_member(self, row: Mapping[str, Any], end: datetime) -> _Known:
        cell = self.cells.get(row["cell_id"]) or self._create_cell(
            row["cell_id"], row["cell"], _texts(row, _CELL_TAGS), _texts(row, CELL_PARAMS)
        )
        rho = _rho_text(row["rho"])
        tags = {**self.common, **_texts(row, _MEMBER_TAGS), "level": "member", "rho": rho}
        tags["finished_at"] = _stamp(end)
        start_ms = _milliseconds(end) - round(1000 * row["seconds"])
        run = self._create(f"rho={rho} seed={row['seed']}", tags, cell, start_ms)
        self.members[row["member_id"]] = run
        return run

    def _move(self, child: _Known, parent: _Known | None) -> None:
        if parent and child.tags.get("mlflow.parentRunId") != parent.run_id:
            self.client.set_tag(child.run_id, "mlflow.parentRunId", parent.run_id)
            child.tags["mlflow.parentRunId"] = parent.run_id

    def _log_counts(self) -> None:
        from mlflow.entities import Metric

        whole = [run for run in self.members.values() if run.whole]
        counts = {
            "members": float(len(whole)),
            "members_diverged": float(sum(run.tags.get("status") == "diverged" for run in whole)),
            "cells": float(sum(run.whole for run in self.cells.values())),
        }
        now = _milliseconds(datetime.now(UTC))
        held = self.sweep.metrics
        new = [Metric(key, n, now, 0) for key, n in counts.items() if held.get(key) != n]
        self.client.log_batch(self.sweep.run_id, new)
        self.sweep.metrics.update(counts)


def _connect(uri: str) -> MlflowClient:
    """Give a client of the store; a SQLite file exists after it, in WAL mode.

    With WAL a browser reads while the sweep writes. MLflow sets a busy timeout of 20 s by itself.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    if not uri.startswith("sqlite:"):
        return MlflowClient(uri, uri)
    path = _sqlite_path(uri)
    with _locked(path.parent):
        client = MlflowClient(_sqlite_uri(path), _sqlite_uri(path))
        client.search_experiments(max_results=1)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("pragma journal_mode=wal")
    return client


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other sweeps out: of two that create the tables of one file, MLflow fails one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_sqlite(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            with path.open("r+b"):
                pass
    except OSError as error:
        raise SweepError(
            f"the tracking store {path} cannot be written: {error}. Make the folder and the file "
            "writable, or name another with sqlite:///PATH."
        ) from error


def _sqlite_path(uri: str) -> Path:
    name = unquote(uri.removeprefix("sqlite:///").partition("?")[0])
    if name in ("", ":memory:", uri):
        raise SweepError(f"tracking URI {uri!r} names no file; use sqlite:///PATH.")
    return Path(name).resolve()


def _sqlite_uri(path: Path) -> str:
    return f"sqlite:///{quote(str(path), safe='/ ')}"


def _known(run: Run) -> _Known:
    whole = run.info.status in ("FINISHED", "FAILED", "KILLED")
    data = run.data
    return _Known(
        run.info.run_id, run.info.start_time, whole, dict(data.tags), dict(data.params),
        dict(data.metrics),
    )  # fmt: skip


def _member_metrics(row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """Give a member's points, one a key and step; at its last step the row's values.

    The timestamps run from the start to the end of the member's own training time.
    """
    from mlflow.entities import Metric

    diverged = row.get("diverged_at_step")
    last = row["steps"] if diverged is None else diverged
    final = {**row, "step": last}
    values = {
        (key, int(evaluation["step"])): value
        for evaluation in [*history, final]
        for key, value in _metric_values(evaluation)
    }
    values |= {("rho", last): row["rho"], ("seconds", last): row["seconds"]}
    end = _milliseconds(_utc(row["finished_at"]))
    per_step = 1000 * row["seconds"] / max(row["steps"], 1)
    return [
        Metric(key, _number(value), end - round(per_step * (last - step)), step)
        for (key, step), value in values.items()
    ]


def _metric_values(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key in _SCALARS:
        if evaluation.get(key) is not None:
            yield key, evaluation[key]
    for key in _PER_LAYER:
        for layer, value in enumerate(evaluation.get(key) or [], start=1):
            yield f"{key}/z{layer}", value


def _cell_metrics(
    curve: Sequence[tuple[float, float]], threshold: Mapping[str, Any], base_ms: int
) -> list[Metric]:
    """Give the points of a cell's curve, and its threshold's numbers at step 0."""
    from mlflow.entities import Metric

    points = [("kl_top_nats", round(STEPS_PER_RHO * rho), kl) for rho, kl in curve]
    numbers = [(key, 0, threshold[key]) for key in _THRESHOLD_METRICS if threshold.get(key) is not None]
    return [Metric(key, _number(v), base_ms + step, step) for key, step, v in points + numbers]


def _number(value: float) -> float:
    """Give a float that MLflow can hold: infinities come back from it as 1.8e308."""
    return math.nan if math.isinf(value) else float(value)


def _texts(values: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """Give params or tags: the `keys` that have a value, as text."""
    return {key: _text(values[key]) for key in keys if values.get(key) is not None}


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    return str(value)


def _rho_text(rho: float) -> str:
    return f"{rho:.3f}" if math.isclose(rho, round(rho, 3), abs_tol=1e-9) else f"{rho:.6g}"


def _params(texts: Mapping[str, str]) -> list[Param]:
    from mlflow.entities import Param

    return [Param(key, text) for key, text in texts.items()]


def _agree(held: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(held.get(key, text) == text for key, text in wanted.items())


def _digest(*values: Any) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _utc(moment: datetime) -> datetime:
    """Give the moment in UTC to the millisecond, as the members table has it."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _milliseconds(moment: datetime) -> int:
    return round(1000 * moment.timestamp())


def _counts(counts: Mapping[str, int]) -> str:
    parts = [f"{n} {kind}{'s' if n != 1 else ''}" for kind, n in counts.items() if n]
    return ", ".join(parts) or "nothing"


def _public(uri: str) -> str:
    """Give the URI without the password that may stand in it."""
    user, at, _ = urlsplit(uri).netloc.rpartition("@")
    return uri.replace(user + at, "", 1)


def _reason(error: BaseException) -> str:
    """Give the first line of the error, or of the system's error that it began with."""
    root = error
    while cause := root.__cause__ or root.__context__:
        root = cause
    said = str(root if isinstance(root, OSError) else error)
    return next(iter(said.splitlines()), "") or type(error).__name__
