"""The runs of a sweep in MLflow.

A space is an experiment, and a sweep is a run in it. Each cell is a child run of the sweep, and each member
is a child run of its cell.

===========  ============================================================================
run          holds
===========  ============================================================================
sweep        settings, counts (`members`, of which `members_diverged` and `members_failed`, and
             `cells`), files as artifacts
cell         settings; the numbers of its thresholds at step = number of members used; its curves,
             means over seeds at step = 1000 value (on a log scale 1000 log10 value), such as
             `kl_top_nats`; and its sheet as an artifact
member       settings, the final metrics and their history over training steps
===========  ============================================================================

The tag `level` (sweep, cell or member) tells runs apart. MLflow compares params and tags as text and metrics
as numbers, so a member's control parameter is all three: `params.depth = "3" and metrics.kl_weight > 0.8`.

The tables determine everything that a run holds, and the run of a cell or member is FINISHED or FAILED only
once it is complete. A writer may therefore be killed at any moment: running the same sweep again adds what is
missing and repeats nothing. An incomplete run of a cell is RUNNING while its sweep runs, then KILLED.

mlflow is imported at the first use of a store (2 to 4 seconds), never with this module.
"""

from __future__ import annotations

import colorsys
import contextlib
import getpass
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.charts.sheets import cell_of_file
from ouvae.declared import OrderParameter
from sweeps.tracking import descriptions, views
from sweeps.tracking.mlflow_internals import RUN_COLOR, SHARED_VIEW
from sweeps.tracking.store import DESCRIPTION, connect, experiment_of, server_of
from sweeps.tracking.values import (
    CELL_PARAMS,
    CELL_TAGS,
    MEMBER_PARAMS,
    MEMBER_TAGS,
    CompleteCell,
    Value,
    cell_tags,
    control_text,
    curve_values,
    member_values,
    milliseconds,
    stamp,
    texts,
    threshold_values,
    utc,
)

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param, Run

_PAGE = 100
_LONGEST_DIGEST = 36
_MOST_SWEEPS = 12  # that an experiment's description links

# Okabe and Ito's palette, distinct to colour-blind eyes. MLflow's default colours can repeat.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
_GOLDEN = (5**0.5 - 1) / 2  # its multiples modulo 1 stay far apart

_COMMAND = "sweeps/phase_transition.py"


@dataclass
class _Stored:
    """A run as the store holds it."""

    run_id: str
    start_ms: int
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether the run of a cell or a member is complete."""
        return self.status in ("FINISHED", "FAILED")


class SweepRuns:
    """The runs of one sweep in MLflow. Use it from one thread; any thread may set `status`.

    Attributes:
        status: MLflow's status for the sweep's run; the next `open` writes it.
        opened: whether the store has been read.
        untracked: statuses of the members that get no run, by member id.
        untracked_cells: ids of the cells that get no run.
        curves_url: the page of the cells' curves; None until the store is reached.
        watched: the order parameters of the view, the targeted one first.
        control: the control parameter.
    """

    def __init__(
        self,
        uri: str,
        space: str,
        sweep_id: str,
        sweep_name: str,
        params: dict[str, str],
        watched: Sequence[OrderParameter],
        control: str,
    ) -> None:
        self.uri, self.space, self.name, self.params = uri, space, sweep_name, params
        self.watched, self.control = watched, control
        self.common = {"sweep_id": sweep_id, "space": space}
        self.status = "RUNNING"
        self.untracked: dict[str, str] = {}
        self.untracked_cells: set[str] = set()
        self._logged_members: dict[str, int] = {}  # number of members behind the logged thresholds, by run id
        self.opened = False
        self.curves_url: str | None = None

    def open(self) -> None:
        """Read the sweep's runs from the store, once, and set the status of the unfinished ones."""
        if not self.opened:
            self._read()
        self._settle()
        self.opened = True

    def _read(self) -> None:
        """Read the sweep's runs from the store, and repair what a killed writer left."""
        self.client = connect(self.uri)
        self.experiment = experiment_of(self.client, self.uri, self.space)
        self._pages = views.pages(self.experiment, self.common["sweep_id"])
        self.curves_url = f"{server_of(self.uri)}/{self._pages[views.CURVES]}"
        runs = [_stored(run) for run in self._search()]
        self.cells = self._unique("cell_id", runs, "cell")
        self.members = self._unique("member_id", runs, "member")
        for member in self.members.values():
            self._move(member, self.cells.get(member.tags["cell_id"]))
        sweeps = self._unique("sweep_id", runs, "sweep")
        self.sweep = next(iter(sweeps.values()), None) or self._create(
            self.name, {**self.common, "level": "sweep", **self._source()}, None
        )
        for key, state in views.states(self.common["sweep_id"], self.watched, self.control).items():
            self.client.set_experiment_tag(self.experiment, SHARED_VIEW + key, json.dumps(state))
        if DESCRIPTION not in self.sweep.tags:
            self.describe(descriptions.IN_TRAINING)
        for cell in self.cells.values():
            self._move(cell, self.sweep)
        self._describe_sweep()

    def member(self, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> bool:
        """Log a member; False if its run is complete. A run with another `finished_at` is replaced."""
        run, end = self.members.get(row["member_id"]), utc(row["finished_at"])
        if run and run.tags["finished_at"] != stamp(end):  # the member was trained, or failed, again since
            self.client.delete_run(run.run_id)
            run = None
        if run and run.whole:
            return False
        run = run or self._create_member(row, end)
        params = _params(texts(row, MEMBER_PARAMS))
        self.client.log_batch(run.run_id, _metrics(member_values(row, history, self.watched)), params)
        status = "FINISHED" if row["status"] == "completed" else "FAILED"
        self._set_status(run, status, milliseconds(end))
        if not self.sweep.metrics:
            self._log_counts()
        return True

    def cell(self, cell: CompleteCell) -> bool:
        """Log a cell's thresholds, curves and data; False if its run holds the same."""
        from mlflow.entities import RunTag

        digest, params = cell.digest, cell.params
        run = old = self.cells.get(cell.cell_id)
        if run and run.whole and run.tags.get("curve") == digest:
            return False
        agrees = run is not None and all(run.params.get(key, text) == text for key, text in params.items())
        if run and (run.tags.get("curve", digest) != digest or not agrees):
            run = None
        if run is None:
            kept = old.tags if old else {}
            tags = {key: kept[key] for key in (*CELL_TAGS, RUN_COLOR) if key in kept}
            tags |= {**texts(params, CELL_TAGS), "curve": digest}
            run = self._create_cell(cell.cell_id, cell.label, tags, {})
        elif "curve" not in run.tags:
            self.client.set_tag(run.run_id, "curve", digest)
            run.tags["curve"] = digest
        # The UI lists metrics as they came: thresholds first, not the KL at the last value.
        values = threshold_values(cell.thresholds, run.start_ms) + curve_values(cell.curves, run.start_ms)
        tags_after = [RunTag(*tag) for tag in (cell_tags(cell.thresholds) | {DESCRIPTION: cell.note}).items()]
        self.client.log_batch(run.run_id, _metrics(values), _params(params), tags_after)
        if cell.data:
            self.client.log_inputs(run.run_id, _inputs(cell.data))
        for member in self.members.values():
            if member.tags["cell_id"] == cell.cell_id:
                self._move(member, run)
        if old and old is not run:
            self.client.delete_run(old.run_id)
        self._set_status(run, "FINISHED")
        self._log_counts()
        return True

    def interim_cell(self, cell_id: str, thresholds: Sequence[Mapping[str, Any]]) -> bool:
        """Log the thresholds so far of a cell with an incomplete run; False if there are no new members."""
        run, members = self.cells.get(cell_id), thresholds[0]["n_members"]
        if run is None or run.whole or self._logged_members.get(run.run_id) == members:
            return False
        self.client.log_batch(run.run_id, _metrics(threshold_values(thresholds, run.start_ms)))
        self._logged_members[run.run_id] = members
        return True

    def describe(self, answer: str) -> bool:
        """Set the descriptions of the sweep and its experiment: its result in words, and the pages about it.

        The experiment keeps a description that a user wrote, and an answer until there is another.
        """
        text = descriptions.of_sweep(answer, self._pages)
        self.client.set_tag(self.sweep.run_id, DESCRIPTION, text)
        current = self.client.get_experiment(self.experiment).tags.get(DESCRIPTION)
        is_answer = answer != descriptions.IN_TRAINING
        if not current or (is_answer and descriptions.is_replaceable(current)):
            text = descriptions.of_experiment(answer, self._pages, self._other_sweeps())
            self.client.set_experiment_tag(self.experiment, DESCRIPTION, text)
        return True

    def _other_sweeps(self) -> dict[str, str]:
        """Return the pages of the thresholds of the space's other sweeps by name, the newest first."""
        newest = ["attributes.start_time DESC"]
        runs = self.client.search_runs(
            [self.experiment], "tags.level = 'sweep'", max_results=_MOST_SWEEPS, order_by=newest
        )
        return {
            run.info.run_name: views.pages(self.experiment, run.data.tags["sweep_id"])[views.THRESHOLDS]
            for run in runs
            if run.info.run_id != self.sweep.run_id
        }

    def artifact(self, path: Path, folder: str | None) -> bool:
        """Log a file: the sheet of a cell at the cell's run, if it has one, and others at the sweep's."""
        run = self.cells.get(cell_of_file(path.stem) or "", self.sweep)
        self.client.log_artifact(run.run_id, str(path), folder)
        return True

    def finish(self, status: str) -> bool:
        """End the sweep's run."""
        self._log_counts()
        self.status = status
        self._settle()
        return True

    def _source(self) -> dict[str, str]:
        """Return the tags that the UI shows as the run's source: command, commit and user."""
        tags = {"mlflow.source.name": _COMMAND, "mlflow.source.type": "LOCAL"}
        if commit := self.params.get("commit"):
            tags["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
        with contextlib.suppress(OSError, KeyError):  # the user has no name
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

    def _unique(self, tag: str, stored: Sequence[_Stored], level: str) -> dict[str, _Stored]:
        """Map the runs of a level by `tag`; delete all but one of the runs with the same tag.

        Of a member's runs a complete run is kept, otherwise the newest. Duplicates come from a request whose
        answer was lost, or from an interrupted replacement of a cell's run.
        """
        unique: dict[str, _Stored] = {}
        runs = [run for run in stored if run.tags.get("level") == level]
        for run in sorted(runs, key=lambda run: (level == "member" and run.whole, run.start_ms)):
            if run.tags[tag] in unique:
                self.client.delete_run(unique[run.tags[tag]].run_id)
            unique[run.tags[tag]] = run
        return unique

    def _describe_sweep(self) -> None:
        """Log the sweep's params; a value that differs from the logged param becomes a tag."""
        from mlflow.entities import RunTag

        logged, run_id = self.sweep.params, self.sweep.run_id
        new = _params({key: text for key, text in self.params.items() if key not in logged})
        changed = [
            RunTag(key, text)
            for key, text in self.params.items()
            if self.sweep.tags.get(key, logged.get(key, text)) != text
        ]
        self.client.log_batch(run_id, params=new, tags=changed)

    def _settle(self) -> None:
        """Set the sweep's status; incomplete cells are RUNNING while the sweep is, then KILLED."""
        sweep_status = self.status
        cell_status = "RUNNING" if sweep_status == "RUNNING" else "KILLED"
        due = [(self.sweep, sweep_status)]
        due += [(cell, cell_status) for cell in self.cells.values() if not cell.whole]
        for run, status in due:
            if run.status != status:
                self._set_status(run, status)

    def _set_status(self, run: _Stored, status: str, end_ms: int | None = None) -> None:
        if status == "RUNNING":
            self.client.update_run(run.run_id, status)
        else:
            self.client.set_terminated(run.run_id, status, end_ms)
        run.status = status

    def _create(
        self, name: str, tags: dict[str, str], parent: _Stored | None, start_ms: int | None = None
    ) -> _Stored:
        parent_tag = {"mlflow.parentRunId": parent.run_id} if parent else {}
        return _stored(self.client.create_run(self.experiment, start_ms, {**tags, **parent_tag}, name))

    def _create_cell(self, cell_id: str, label: str, tags: dict[str, str], params: dict[str, str]) -> _Stored:
        color = _color(len(self.cells))
        identity = {"level": "cell", "cell_id": cell_id, "cell": label, "status": "running"}
        tags = {RUN_COLOR: color, **self.common, **self._source(), **tags, **identity}
        run = self._create(label, tags, self.sweep)
        self.client.log_batch(run.run_id, params=_params(params))
        run.params.update(params)
        self.cells[cell_id] = run
        return run

    def _create_member(self, row: Mapping[str, Any], end: datetime) -> _Stored:
        cell = self.cells.get(row["cell_id"]) or self._create_cell(
            row["cell_id"],
            row["cell"],
            texts(row, CELL_TAGS),
            texts({**row, row["control"]: None}, CELL_PARAMS),
        )
        value = control_text(row["value"])
        tags = {**self.common, **texts(row, MEMBER_TAGS), "level": "member", row["control"]: value}
        tags["finished_at"] = stamp(end)
        if RUN_COLOR in cell.tags:
            tags[RUN_COLOR] = cell.tags[RUN_COLOR]
        start_ms = milliseconds(end) - round(1000 * row["seconds"])
        run = self._create(f"{row['control']}={value} seed={row['seed']}", tags, cell, start_ms)
        self.members[row["member_id"]] = run
        return run

    def _move(self, child: _Stored, parent: _Stored | None) -> None:
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
        logged = self.sweep.metrics
        new = _metrics([Value(key, n, now, 0) for key, n in counts.items() if logged.get(key) != n])
        self.client.log_batch(self.sweep.run_id, new)
        self.sweep.metrics.update(counts)


def _inputs(data: Mapping[str, str]) -> list[DatasetInput]:
    """Return data sets, given as digests by name, as inputs of a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    context = InputTag("mlflow.data.context", "training")
    return [
        DatasetInput(
            Dataset(name, digest[:_LONGEST_DIGEST], "code", json.dumps({"dataset": name})), [context]
        )
        for name, digest in data.items()
    ]


def _color(index: int) -> str:
    """Return the colour of a cell by its index: from the palette, and then a different hue for each index."""
    if index < len(_COLORS):
        return _COLORS[index]
    hue, light = index * _GOLDEN % 1, (0.35, 0.5, 0.65)[index % 3]
    return "#" + "".join(f"{round(255 * part):02X}" for part in colorsys.hls_to_rgb(hue, light, 0.7))


def _stored(run: Run) -> _Stored:
    info, data = run.info, run.data
    return _Stored(
        info.run_id, info.start_time, info.status, dict(data.tags), dict(data.params), dict(data.metrics)
    )


def _metrics(values: Sequence[Value]) -> list[Metric]:
    from mlflow.entities import Metric

    return [Metric(*value) for value in values]


def _params(texts: Mapping[str, str]) -> list[Param]:
    from mlflow.entities import Param

    return [Param(key, text) for key, text in texts.items()]
