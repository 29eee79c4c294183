"""The runs of a sweep in MLflow: the only module that imports mlflow.

An experiment holds a space, a run the sweep, a child run each cell, a grandchild run each member.

===========  ============================================================================
run          holds
===========  ============================================================================
sweep        settings, counts (`members`, of which `members_diverged` and `members_failed`, and
             `cells`), files as artifacts
cell         settings, the numbers of its threshold at step = members that it is known from, and
             its curves: metrics such as `kl_top_nats` at step = 1000 rho, the mean over seeds,
             and `members/kl_top_nats`, what each of its members has
member       settings, the final metrics and their history over training steps
===========  ============================================================================

The tag `level` (sweep, cell or member) tells them apart. MLflow compares params and tags as text
and metrics as numbers, so a member's rho is all three: `params.depth = "3" and metrics.rho > 0.8`.

What a run holds follows from the tables alone, and a cell's or member's run is FINISHED or FAILED only when
it is whole, so that a writer may be killed at any moment: running the same sweep again completes what is
missing and repeats nothing. A cell's run that is not whole is RUNNING as long as its sweep is, then KILLED.

mlflow is imported at the first use of a store (2 to 4 seconds), never with this module.
"""

from __future__ import annotations

import colorsys
import contextlib
import errno
import fcntl
import getpass
import json
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from analysis.files import UNSUPPORTED
from sweeps import SweepError
from sweeps.locks import lock
from sweeps.tracking.refusals import mend, reason
from sweeps.tracking.relocation import artifacts_of, point_here
from sweeps.tracking.uri import check_uri, sqlite_path, sqlite_uri, without_password
from sweeps.tracking.values import (
    CELL_PARAMS,
    CELL_TAGS,
    MEMBER_PARAMS,
    MEMBER_TAGS,
    STEPS_PER_RHO,
    Points,
    Value,
    cell_tags,
    curve_values,
    digest_of,
    member_values,
    milliseconds,
    point_values,
    rho_text,
    stamp,
    texts,
    threshold_values,
    utc,
)
from sweeps.tracking.view import view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The tracker retries by itself, after a look at what the store holds: a request that MLflow
    # repeats because its answer was lost would create the same run twice.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}
_PAGE = 100
_BUSY_SECONDS = 20.0  # to wait for who writes, as MLflow does
_LONGEST_DIGEST = 36
_MOST_VALUES = 1000  # of a request

# Okabe and Ito's palette, distinct to colour-blind eyes; MLflow's own choice can repeat itself.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
_GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, stay far apart

_VIEW = "mlflow.sharedViewState."
"""Tags of an experiment that begin so hold views that are shared by an address."""

_COMMAND = "sweeps/phase_transition.py"
_DESCRIPTION = "mlflow.note.content"
"""The tag whose Markdown the UI shows as a run's, or an experiment's, description."""

_NOTE = (
    'Curves of KL against rho: search for `tags.level = "cell"`, expand the sweep (+), open the chart '
    f"view: `kl_top_nats`, at step = {STEPS_PER_RHO} rho."
)


def check(uri: str) -> None:
    """Look at the store at `uri`, so that a sweep which cannot be tracked ends before it begins.

    Nothing is written: folder and file of a new SQLite store are made with its first run.

    Raises:
        SweepError: as `check_uri` does; the SQLite file is no MLflow store; the server gives no good answer
            within 5 seconds.
    """
    check_uri(uri)
    if uri.startswith("sqlite:"):
        _check_sqlite(sqlite_path(uri))
        if _is_empty(sqlite_path(uri)):
            return
    try:
        connect(uri).search_experiments(max_results=1)
    except SweepError:
        raise
    except Exception as error:
        raise SweepError(
            f"the tracking store {without_password(uri)} cannot be used: {reason(error)}. {mend(error, uri)}"
        ) from error


@dataclass
class _Known:
    """A run as the store holds it."""

    run_id: str
    start_ms: int
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing from the run of a cell or a member."""
        return self.status in ("FINISHED", "FAILED")


class SweepRuns:
    """The runs of one sweep in MLflow. Use it from one thread; any may set `status`.

    Attributes:
        status: MLflow's status that the sweep's run has to have, from the next `open` on.
        opened: whether what the store holds is known.
        untracked: status of each member that gets no run of its own, by its id.
        untracked_cells: those that get none.
        curves_url: the page of the cells' curves, once the store is reached.
    """

    def __init__(self, uri: str, space: str, sweep_id: str, sweep_name: str, params: dict[str, str]) -> None:
        self.uri, self.space, self.name, self.params = uri, space, sweep_name, params
        self.common = {"sweep_id": sweep_id, "space": space}
        self.status = "RUNNING"
        self.untracked: dict[str, str] = {}
        self.untracked_cells: set[str] = set()
        self._known_from: dict[str, int] = {}  # members that the thresholds of a cell's run are of
        self._points: dict[str, set[Value]] = {}  # of the members that a cell's run has
        self.opened = False
        self.curves_url: str | None = None

    def open(self) -> None:
        """Read what the store holds of this sweep, once; let its runs have the status that is due."""
        if not self.opened:
            self._read()
        self._settle()
        self.opened = True

    def _read(self) -> None:
        """Read what the store holds of this sweep; mend what a killed writer left."""
        self.client = connect(self.uri)
        self.experiment = _experiment(self.client, self.uri, self.space, _NOTE)
        self.curves_url = self._curves_url()
        known = [_known(run) for run in self._search()]
        self.cells = self._unique("cell_id", known, "cell")
        self.members = self._unique("member_id", known, "member")
        for member in self.members.values():
            self._move(member, self.cells.get(member.tags["cell_id"]))
        sweeps = self._unique("sweep_id", known, "sweep")
        self.sweep = next(iter(sweeps.values()), None) or self._create(
            self.name, {**self.common, "level": "sweep", _DESCRIPTION: _NOTE, **self._source()}, None
        )
        self._share_view()
        for cell in self.cells.values():
            self._move(cell, self.sweep)
        self._describe_sweep()

    def member(self, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> bool:
        """Log a member, in place of what it was if it ended at another time; False if it was there, whole."""
        run, end = self.members.get(row["member_id"]), utc(row["finished_at"])
        if run and run.tags["finished_at"] != stamp(end):  # trained, or failed, anew since
            self.client.delete_run(run.run_id)
            run = None
        if run and run.whole:
            return False
        run = run or self._create_member(row, end)
        params = _params(texts(row, MEMBER_PARAMS))
        self.client.log_batch(run.run_id, _metrics(member_values(row, history)), params)
        status = "FINISHED" if row["status"] == "completed" else "FAILED"
        self._set_status(run, status, milliseconds(end))
        if not self.sweep.metrics:
            self._log_counts()
        return True

    def cell(
        self,
        cell_id: str,
        label: str,
        params: dict[str, str],
        curves: Mapping[str, Sequence[tuple[float, float]]],
        thresholds: Sequence[Mapping[str, Any]],
        data: Mapping[str, str],
        note: str,
        points: Mapping[str, Points],
    ) -> bool:
        """Log a cell's curves, thresholds, data and members' values; False if they were there, the same."""
        from mlflow.entities import RunTag

        digest = digest_of(label, params, curves, thresholds)
        run = old = self.cells.get(cell_id)
        if run and run.whole and run.tags.get("curve") == digest:
            return False
        if run and (run.tags.get("curve", digest) != digest or not _agree(run.params, params)):
            run = None
        if run is None:
            kept = old.tags if old else {}
            tags = {key: kept[key] for key in (*CELL_TAGS, "mlflow.runColor") if key in kept}
            tags |= {**texts(params, CELL_TAGS), "curve": digest}
            run = self._create_cell(cell_id, label, tags, {})
        elif "curve" not in run.tags:
            self.client.set_tag(run.run_id, "curve", digest)
            run.tags["curve"] = digest
        values = curve_values(curves, run.start_ms) + threshold_values(thresholds, run.start_ms)
        tags_after = [RunTag(*tag) for tag in (cell_tags(thresholds) | {_DESCRIPTION: note}).items()]
        self.client.log_batch(run.run_id, _metrics(values), _params(params), tags_after)
        self._log_points(run, points)
        if data:
            self.client.log_inputs(run.run_id, _inputs(data))
        for member in self.members.values():
            if member.tags["cell_id"] == cell_id:
                self._move(member, run)
        if old and old is not run:
            self.client.delete_run(old.run_id)
        self._set_status(run, "FINISHED")
        self._log_counts()
        return True

    def known(
        self, cell_id: str, thresholds: Sequence[Mapping[str, Any]], points: Mapping[str, Points]
    ) -> bool:
        """Log what is known by now of a cell that is not whole; False of any other."""
        run, members = self.cells.get(cell_id), thresholds[0]["n_members"]
        if run is None or run.whole or self._known_from.get(run.run_id) == members:
            return False
        self.client.log_batch(run.run_id, _metrics(threshold_values(thresholds, run.start_ms)))
        self._log_points(run, points)
        self._known_from[run.run_id] = members
        return True

    def _log_points(self, run: _Known, points: Mapping[str, Points]) -> None:
        """Log those values of a cell's members that its run lacks, as far as that is known."""
        there = self._points.setdefault(run.run_id, set())
        new = [value for value in point_values(points, run.start_ms) if value not in there]
        for first in range(0, len(new), _MOST_VALUES):
            self.client.log_batch(run.run_id, _metrics(new[first : first + _MOST_VALUES]))
        there.update(new)

    def describe(self, note: str) -> bool:
        """Say of the sweep in words what it found."""
        self.client.set_tag(self.sweep.run_id, _DESCRIPTION, f"{note}\n\n{_NOTE}")
        return True

    def artifact(self, path: Path, folder: str | None) -> bool:
        """Log a file."""
        self.client.log_artifact(self.sweep.run_id, str(path), folder)
        return True

    def finish(self, status: str) -> bool:
        """End the sweep's run."""
        self._log_counts()
        self.status = status
        self._settle()
        return True

    def _curves_url(self) -> str:
        query = {
            "workflowType": "machine_learning",
            "viewStateShareKey": self.common["sweep_id"],
            "compareRunsMode": "CHART",
        }
        return f"{_server(self.uri)}/#/experiments/{self.experiment}/runs?{urlencode(query, quote_via=quote)}"

    def _share_view(self) -> None:
        """Keep the view that `curves_url` opens: the cells of the sweep, all drawn, with their thresholds."""
        sweep_id = self.common["sweep_id"]
        self.client.set_experiment_tag(self.experiment, _VIEW + sweep_id, json.dumps(view(sweep_id)))

    def _source(self) -> dict[str, str]:
        """Return the tags from which the UI says what made a run, of which code, and who."""
        tags = {"mlflow.source.name": _COMMAND, "mlflow.source.type": "LOCAL"}
        if commit := self.params.get("commit"):
            tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
        with contextlib.suppress(OSError, KeyError):  # of a user without a name
            tags["mlflow.user"] = getpass.getuser()
        return tags

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

    def _settle(self) -> None:
        """Give the sweep's run its status; cells that are not whole are RUNNING as long as it is."""
        sweep_status = self.status
        cell_status = "RUNNING" if sweep_status == "RUNNING" else "KILLED"
        due = [(self.sweep, sweep_status)]
        due += [(cell, cell_status) for cell in self.cells.values() if not cell.whole]
        for run, status in due:
            if run.status != status:
                self._set_status(run, status)

    def _set_status(self, run: _Known, status: str, end_ms: int | None = None) -> None:
        if status == "RUNNING":
            self.client.update_run(run.run_id, status)
        else:
            self.client.set_terminated(run.run_id, status, end_ms)
        run.status = status

    def _create(
        self, name: str, tags: dict[str, str], parent: _Known | None, start_ms: int | None = None
    ) -> _Known:
        parent_tag = {"mlflow.parentRunId": parent.run_id} if parent else {}
        return _known(self.client.create_run(self.experiment, start_ms, {**tags, **parent_tag}, name))

    def _create_cell(self, cell_id: str, label: str, tags: dict[str, str], params: dict[str, str]) -> _Known:
        color = _color(len(self.cells))
        identity = {"level": "cell", "cell_id": cell_id, "cell": label, "status": "running"}
        tags = {"mlflow.runColor": color, **self.common, **self._source(), **tags, **identity}
        run = self._create(label, tags, self.sweep)
        self.client.log_batch(run.run_id, params=_params(params))
        run.params.update(params)
        self.cells[cell_id] = run
        return run

    def _create_member(self, row: Mapping[str, Any], end: datetime) -> _Known:
        cell = self.cells.get(row["cell_id"]) or self._create_cell(
            row["cell_id"], row["cell"], texts(row, CELL_TAGS), texts(row, CELL_PARAMS)
        )
        rho = rho_text(row["rho"])
        tags = {**self.common, **texts(row, MEMBER_TAGS), "level": "member", "rho": rho}
        tags["finished_at"] = stamp(end)
        start_ms = milliseconds(end) - round(1000 * row["seconds"])
        run = self._create(f"rho={rho} seed={row['seed']}", tags, cell, start_ms)
        self.members[row["member_id"]] = run
        return run

    def _move(self, child: _Known, parent: _Known | None) -> None:
        if parent and child.tags.get("mlflow.parentRunId") != parent.run_id:
            self.client.set_tag(child.run_id, "mlflow.parentRunId", parent.run_id)
            child.tags["mlflow.parentRunId"] = parent.run_id

    def _log_counts(self) -> None:
        others, cells = dict(self.untracked), set(self.untracked_cells)  # another thread adds to them
        statuses = Counter(others[member] for member in others.keys() - self.members.keys())
        statuses.update(run.tags.get("status", "") for run in self.members.values() if run.whole)
        counts = {
            "members": float(statuses.total()),
            "members_diverged": float(statuses["diverged"]),
            "members_failed": float(statuses["failed"]),
            "cells": float(len(cells | {cell_id for cell_id, run in self.cells.items() if run.whole})),
        }
        now = milliseconds(datetime.now(UTC))
        held = self.sweep.metrics
        new = _metrics([Value(key, n, now, 0) for key, n in counts.items() if held.get(key) != n])
        self.client.log_batch(self.sweep.run_id, new)
        self.sweep.metrics.update(counts)


def _inputs(data: Mapping[str, str]) -> list[DatasetInput]:
    """Give data sets, whose digests are by their names, as inputs of a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    context = InputTag("mlflow.data.context", "training")
    return [
        DatasetInput(
            Dataset(name, digest[:_LONGEST_DIGEST], "code", json.dumps({"dataset": name})), [context]
        )
        for name, digest in data.items()
    ]


def _color(place: int) -> str:
    """Give the colour of the cell at a place: of the palette, and beyond it one that no other cell has."""
    if place < len(_COLORS):
        return _COLORS[place]
    hue, light = place * _GOLDEN % 1, (0.35, 0.5, 0.65)[place % 3]
    return "#" + "".join(f"{round(255 * part):02X}" for part in colorsys.hls_to_rgb(hue, light, 0.7))


def log_files(uri: str, experiment: str, name: str, files: Iterable[Path], tags: Mapping[str, str]) -> str:
    """Log files to the run of that name, made where there is none, and set its tags; return its address.

    A file logged again replaces the one before. The address is on the server, or as `ui_command` serves a
    SQLite store.
    """
    client = connect(uri)
    experiment_id = _experiment(client, uri, experiment, "Pages and other files that belong to no one sweep.")
    quoted = name.replace("'", "\\'")
    found = client.search_runs([experiment_id], f"attributes.run_name = '{quoted}'", max_results=1)
    run = found[0] if found else client.create_run(experiment_id, run_name=name)
    run_id = run.info.run_id
    for key, text in tags.items():
        client.set_tag(run_id, key, text)
    for file in files:
        client.log_artifact(run_id, str(file))
    client.set_terminated(run_id)
    return f"{_server(uri)}/#/experiments/{experiment_id}/runs/{run_id}/artifacts"


def _server(uri: str) -> str:
    """Give where the store's pages are, with a SQLite store behind `ui_command`."""
    return "http://127.0.0.1:5000" if uri.startswith("sqlite:") else without_password(uri).rstrip("/")


def _experiment(client: MlflowClient, uri: str, name: str, note: str) -> str:
    """Give the id of an experiment, which exists after it.

    A SQLite store that was moved or copied with its mlartifacts/ has its files where they are now.
    """
    if uri.startswith("sqlite:"):
        point_here(sqlite_path(uri))
    found = client.get_experiment_by_name(name)
    if found is None:
        local = uri.startswith("sqlite:")
        location = artifacts_of(sqlite_path(uri), name) if local else None
        return client.create_experiment(name, location, {_DESCRIPTION: note})
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def connect(uri: str) -> MlflowClient:
    """Give a client of the store; a SQLite file exists after it, with a rollback journal.

    Who reads waits for who writes, and the other way round: MLflow sets a busy timeout of 20 s by itself.

    Raises:
        SweepError: the file is in WAL mode, and another program has it open.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    if not uri.startswith("sqlite:"):
        return MlflowClient(uri, uri)
    path = sqlite_path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        if path.exists():
            _leave_wal(path)
        client = MlflowClient(sqlite_uri(path), sqlite_uri(path))
        client.search_experiments(max_results=1)
    return client


def _leave_wal(path: Path) -> None:
    """Give a SQLite file a rollback journal, whose locks other machines see.

    In WAL mode, in which earlier versions left it, a file that two machines open is damaged: they do not
    share the memory by which its users take turns. That no other machine opens it cannot be known.
    """
    with contextlib.closing(sqlite3.connect(path, _BUSY_SECONDS)) as database:
        if database.execute("pragma journal_mode").fetchone() != ("wal",):
            return
        try:
            database.execute("pragma journal_mode=delete")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise SweepError(
                f"the tracking store {path} is in WAL mode, which damages files on shared storage, and "
                "stays so while another program has it open; close that program, such as `mlflow ui`, and "
                "run the same command again"
            ) from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other sweeps out: of two that create the tables of one file, MLflow fails one.

    Network file systems have no locks of folders. The sweep that MLflow fails there tries again.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            lock(descriptor)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
        yield
    finally:
        os.close(descriptor)


def _check_sqlite(path: Path) -> None:
    try:
        folder = next(folder for folder in path.parents if folder.exists())
        with tempfile.TemporaryFile(dir=folder) as file:
            _check_locks(file.fileno(), path)
        if path.exists():
            with path.open("r+b"):
                pass
    except OSError as error:
        raise SweepError(
            f"the tracking store {path} cannot be written: {error}. Make the folder and the file "
            "writable, or name another with sqlite:///PATH."
        ) from error


def _is_empty(path: Path) -> bool:
    """Tell whether a SQLite file is missing or without tables, which MLflow makes with the first run.

    Raises:
        SweepError: its tables are another program's, to which MLflow would add its own.
    """
    if not path.exists():
        return True
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", timeout=0, uri=True)
        ) as file:
            tables = {name for (name,) in file.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error:
        return False  # MLflow waits for locks, and says what else it is
    if tables and not any("experiments" in name or "alembic" in name for name in tables):
        raise SweepError(
            f"the tracking store {path} cannot be used: it is the database of another program. Name another "
            "with sqlite:///PATH."
        )
    return not tables


def _check_locks(descriptor: int, path: Path) -> None:
    """Refuse a file system without the locks by which SQLite's users take turns."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        raise SweepError(
            f"the tracking store {path} cannot be used: its file system has no locks ({error.strerror}), "
            "which SQLite needs; name a store elsewhere with --tracking-uri sqlite:///PATH, or a server with "
            "--tracking-uri http://HOST:PORT"
        ) from None


def _known(run: Run) -> _Known:
    info, data = run.info, run.data
    return _Known(
        info.run_id, info.start_time, info.status, dict(data.tags), dict(data.params), dict(data.metrics)
    )


def _metrics(values: Sequence[Value]) -> list[Metric]:
    from mlflow.entities import Metric

    return [Metric(*value) for value in values]


def _params(texts: Mapping[str, str]) -> list[Param]:
    from mlflow.entities import Param

    return [Param(key, text) for key, text in texts.items()]


def _agree(held: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(held.get(key, text) == text for key, text in wanted.items())
