"""Laws of the tracking: what MLflow holds follows from the tables, whatever happened on the way."""

import errno
import fcntl
import functools
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analysis.tables.files import rows_of, table_of
from analysis.tables.schema import HISTORY, MEMBERS
from ouvae.declared import Cell
from sweeps import SweepError
from sweeps.tracking.store import check
from sweeps.tracking.tracker import Report, Tracker
from sweeps.tracking.uri import default_uri, ui_command, ui_port
from sweeps.tracking.values import CELL_PARAMS, CompleteCell, member_values, texts

ROOT = Path(__file__).parents[3]
RHOS = (0.5, 0.7, 0.85, 1.0)
STEPS = (100, 200, 300)
START = datetime(2026, 1, 1, tzinfo=UTC)


def member(depth: int, rho: float, seed: int = 0, **changes: Any) -> tuple[dict, list[dict]]:
    """Return a row of the members table and its rows of the history table."""
    kl = kl_top(depth, rho)
    row = {
        "member_id": f"member-{depth}-{rho}-{seed}",
        "space": "depths",
        "cell_id": f"cell-{depth}",
        "cell": f"digits mlp {','.join('8' * depth)}",
        **dict(Cell(dataset="digits", latents=(8,) * depth, steps=STEPS[-1], eval_every=100)),
        "depth": depth,
        "code_digest": None,
        "rho": rho,
        "control": "rho",
        "value": rho,
        "seed": seed,
        "device": "cpu",
        "critical_exact": None,
        "status": "completed",
        "diverged_at_step": None,
        "seconds": 3.0,
        "pack_id": "pack-1",
        "pack_members": 4,
        "finished_at": START + timedelta(seconds=100 * rho, microseconds=1234),
        "numerics_version": 1,
        "commit": "abc",
        **evaluation(depth, kl),
    } | changes
    history = [{"step": step, **evaluation(depth, kl * step / STEPS[-1])} for step in STEPS]
    if row["status"] == "diverged":
        row |= dict.fromkeys(evaluation(depth, kl))
        history = [{"step": 100, **evaluation(depth, math.nan), "elbo_nats": -math.inf}]
    if row["status"] == "failed":
        row |= dict.fromkeys([*evaluation(depth, kl), "parameters", "pixels", "torch_version"])
        row |= {"seconds": 0.0, "failure": row.get("failure", "out of memory")}
        history = []
    history = [{"member_id": row["member_id"], **entry} for entry in history]
    return through(MEMBERS, [row])[0], through(HISTORY, history)


def through(schema: pa.Schema, rows: list[dict]) -> list[dict]:
    """Return rows as a table of this schema gives them; columns that a row lacks are null."""
    return rows_of(table_of([dict.fromkeys(schema.names) | row for row in rows], schema))


def evaluation(depth: int, kl: float) -> dict[str, Any]:
    return {
        "kl_top_nats": kl,
        "kl_nats": [5.0] * (depth - 1) + [kl],
        "elbo_nats": -24.0 + kl,
        "objective_nats": -23.0 + kl,
        "reconstruction_nats": -19.0,
        "active_units": [8] * depth,
    }


def kl_top(depth: int, rho: float) -> float:
    return max(0.0, 8 * (0.94 - 0.03 * depth - rho))


def threshold(depth: int) -> dict[str, Any]:
    return {
        "order_parameter": "kl_top",
        "depth": depth,
        "critical_value": 0.9 - 0.03 * depth,
        "critical_low": 0.7,
        "critical_high": 0.85,
        "confidence": None,
        "n_seeds": 1,
        "n_members": len(RHOS),
        "status": "transition",
        "collapsed_side": "high",
        "seeds": [{"seed": 0, "critical_value": 0.8}],
    }


def log(tracker: Tracker, rhos: tuple[float, ...] = RHOS, depths: tuple[int, ...] = (2, 3)) -> None:
    for depth in depths:
        for rho in rhos:
            row, history = member(depth, rho)
            tracker.log_member(row, history)
        tracker.log_cell(cell(depth, rhos))


def cell(depth: int, rhos: tuple[float, ...] = RHOS, **changes: Any) -> CompleteCell:
    """Return a complete cell of these members, with changes of its threshold."""
    row, _ = member(depth, rhos[0])
    return CompleteCell(
        row["cell_id"],
        row["cell"],
        params=texts(row, CELL_PARAMS),
        curves={"kl_top_nats": [(rho, kl_top(depth, rho)) for rho in rhos]},
        thresholds=[threshold(depth) | changes],
        data={"digits": "c0ffee"},
        note=f"depth {depth}",
    )


def tracker(uri: str, sweep_id: str = "sweep-1", track: str = "members", **params: Any) -> Tracker:
    return Tracker(uri, "depths", sweep_id, sweep_id, {"seeds": 1, **params}, track)


def sweep(uri: str, rhos: tuple[float, ...] = RHOS, sweep_id: str = "sweep-1") -> Report:
    writer = tracker(uri, sweep_id)
    log(writer, rhos)
    return writer.close()


def count_of_runs(uri: str) -> int:
    """Return how many runs the store holds, also while something is written to it."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])


def contents(uri: str) -> dict[str, dict[str, Any]]:
    """Return all that the store holds of its active runs, by `sweep/cell/member` name."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:

        def select(table: str) -> list[tuple]:
            where = "run_uuid in (select run_uuid from runs where lifecycle_stage = 'active')"
            return database.execute(f"select * from {table} where {where}").fetchall()

        database.row_factory = sqlite3.Row
        database.execute("begin")  # of one moment, whatever is written meanwhile
        runs = {row["run_uuid"]: {**row, "points": [], "params": {}} for row in select("runs")}
        tags: dict[str, dict[str, str]] = {run_id: {} for run_id in runs}
        for row in select("tags"):
            tags[row["run_uuid"]][row["key"]] = row["value"]
        for row in select("params"):
            runs[row["run_uuid"]]["params"][row["key"]] = row["value"]
        for row in select("metrics"):
            value = math.nan if row["is_nan"] else row["value"]
            point = (row["key"], row["step"], value, row["timestamp"])
            runs[row["run_uuid"]]["points"].append(point)

    def path(run_id: str) -> str:
        parent = tags[run_id].get("mlflow.parentRunId")
        return (path(parent) + "/" if parent else "") + runs[run_id]["name"]

    found: dict[str, dict[str, Any]] = {}
    for run_id, run in runs.items():
        assert path(run_id) not in found, f"two runs are {path(run_id)}"
        found[path(run_id)] = {**run, "tags": tags[run_id], "points": sorted(run["points"])}
    return found


def lasting(uri: str) -> dict[str, Any]:
    """Return what does not depend on the moment of logging."""
    return {
        path: {
            "status": run["status"],
            "params": run["params"],
            "tags": {k: v for k, v in run["tags"].items() if k != "mlflow.parentRunId"},
            "points": repr([p if "rho=" in path else p[:3] for p in run["points"]]),
        }
        for path, run in contents(uri).items()
    }


def points(run: dict[str, Any], key: str) -> list[tuple[int, float]]:
    return [(step, value) for name, step, value, _ in run["points"] if name == key]


def unfinished(uri: str) -> tuple[str, bool, bool]:
    """Return the youngest run that has not ended: its name, has it params, has it points."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        run_id, name = database.execute(
            "select run_uuid, name from runs where status = 'RUNNING' order by rowid desc limit 1"
        ).fetchone()
        params, metrics = (
            database.execute(f"select 1 from {table} where run_uuid = ?", [run_id]).fetchone()
            for table in ("params", "metrics")
        )
    return name, params is not None, metrics is not None


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return default_uri(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Return a maker of what an undisturbed sweep holds, after a shorter sweep of these rho if any."""

    @functools.cache
    def swept(shorter: tuple[float, ...]) -> str:
        folder = tmp_path_factory.mktemp("undisturbed")
        shutil.copy(empty_store, folder / "mlflow.db")
        for rhos in (shorter, RHOS) if shorter else (RHOS,):
            sweep(default_uri(folder), rhos)
        return default_uri(folder)

    return lambda shorter=(): lasting(swept(shorter))


def test_runs_nest_as_sweep_cell_member(uri: str) -> None:
    report = sweep(uri)
    assert report.complete
    assert (report.logged, report.present) == ({"member": 8, "cell": 2}, {})
    held = contents(uri)
    assert set(held) == (
        {"sweep-1"}
        | {f"sweep-1/digits mlp {latents}" for latents in ("8,8", "8,8,8")}
        | {
            f"sweep-1/digits mlp {latents}/rho={rho:.3f} seed=0"
            for latents in ("8,8", "8,8,8")
            for rho in RHOS
        }
    )
    levels = [run["tags"]["level"] for run in held.values()]
    assert sorted(set(levels)) == ["cell", "member", "sweep"]
    assert {run["status"] for run in held.values()} == {"FINISHED"}
    last = {key: value for key, _, value, _ in held["sweep-1"]["points"]}
    assert last == {"cells": 2.0, "members": 8.0, "members_diverged": 0.0, "members_failed": 0.0}


@pytest.mark.parametrize(("track", "cells"), [("cells", ("8,8", "8,8,8")), ("sweep", ())])
def test_what_gets_no_run_of_its_own_counts_all_the_same(uri: str, track: str, cells: tuple) -> None:
    writer = tracker(uri, track=track)
    log(writer)
    writer.log_member(*member(2, 0.5, seed=1, status="diverged", diverged_at_step=9))
    report = writer.close()
    assert report.complete
    assert report.logged == ({"cell": len(cells)} if cells else {})
    held = contents(uri)
    assert set(held) == {"sweep-1", *(f"sweep-1/digits mlp {latents}" for latents in cells)}
    last = {key: value for key, _, value, _ in held["sweep-1"]["points"]}
    assert last == {"cells": 2.0, "members": 9.0, "members_diverged": 1.0, "members_failed": 0.0}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (
            'params.depth = "3" and metrics.rho > 0.8',
            ["rho=0.850 seed=0", "rho=0.900 seed=1", "rho=1.000 seed=0"],
        ),
        ('tags.rho = "0.850" and tags.depth = "2"', ["rho=0.850 seed=0"]),
        ('tags.level = "cell"', ["digits mlp 8,8", "digits mlp 8,8,8"]),
        ('tags.level = "cell" and metrics.critical_value < 0.82', ["digits mlp 8,8,8"]),
        ('tags.status = "diverged"', ["rho=0.900 seed=1"]),
        ('metrics.members >= 9 and params.seeds = "1"', ["sweep-1"]),
        ('params.latents = "8,8" and metrics.`kl_nats/z2` > 2', ["rho=0.500 seed=0"]),
    ],
)
def test_filters_find_runs(searchable: str, query: str, names: list[str]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(searchable)
    experiment = client.get_experiment_by_name("depths")
    found = [run.info.run_name for run in client.search_runs([experiment.experiment_id], query)]
    assert sorted(found) == names


@pytest.fixture(scope="module")
def searchable(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("searchable")
    shutil.copy(empty_store, folder / "mlflow.db")
    writer = tracker(default_uri(folder))
    log(writer)
    writer.log_member(*member(3, 0.9, 1, status="diverged", diverged_at_step=150))
    assert writer.close().complete
    return default_uri(folder)


def test_a_member_holds_its_history_and_its_row(uri: str) -> None:
    sweep(uri)
    run = contents(uri)["sweep-1/digits mlp 8,8,8/rho=0.500 seed=0"]
    kl = kl_top(3, 0.5)
    assert points(run, "kl_top_nats") == [(step, kl * step / 300) for step in STEPS]
    assert points(run, "kl_nats/z1") == [(step, 5.0) for step in STEPS]
    assert points(run, "kl_nats/z3") == points(run, "kl_top_nats")
    assert points(run, "active_units/z2") == [(step, 8.0) for step in STEPS]
    assert points(run, "rho") == [(300, 0.5)]
    assert run["params"]["rho"] == "0.5"
    assert run["params"]["latents"] == "8,8,8"
    assert "critical_exact" not in run["params"]
    assert run["end_time"] - run["start_time"] == 3000
    assert datetime.fromtimestamp(run["end_time"] / 1000, UTC) == START + timedelta(
        seconds=50, milliseconds=1
    )
    times = [time for key, _, _, time in run["points"] if key == "elbo_nats"]
    assert times == [run["start_time"] + 1000, run["start_time"] + 2000, run["end_time"]]


def test_a_diverged_member_is_a_failed_run_with_what_it_had(uri: str) -> None:
    writer = tracker(uri)
    writer.log_member(*member(2, 0.5, status="diverged", diverged_at_step=150))
    assert writer.close().complete
    run = contents(uri)["sweep-1/digits mlp 8,8/rho=0.500 seed=0"]
    assert (run["status"], run["tags"]["diverged_at_step"]) == ("FAILED", "150")
    assert points(run, "rho") == [(150, 0.5)]
    for key in ("kl_top_nats", "elbo_nats"):  # no number stands for an infinite one
        [(step, value)] = points(run, key)
        assert step == 100
        assert math.isnan(value)
    assert points(contents(uri)["sweep-1"], "members_diverged") == [(0, 1.0)]


FAILED = "sweep-1/digits mlp 8,8/rho=0.500 seed=0"


def test_a_failed_member_is_a_failed_run_that_says_why(uri: str) -> None:
    writer = tracker(uri)
    writer.log_member(*member(2, 0.5, status="failed", likelihood="logistic_mixture"))
    writer.log_member(*member(2, 0.7))
    assert writer.close().complete
    run = contents(uri)[FAILED]
    assert (run["status"], run["tags"]["status"]) == ("FAILED", "failed")
    assert run["tags"]["failure"] == "out of memory"
    assert [point[:3] for point in run["points"]] == [("rho", 0, 0.5), ("seconds", 0, 0.0)]
    assert run["start_time"] == run["end_time"]
    held = contents(uri)
    assert "failure" not in held[FAILED.replace("500", "700")]["tags"]
    counts = {key: value for key, _, value, _ in held["sweep-1"]["points"]}
    assert counts == {"cells": 0.0, "members": 2.0, "members_diverged": 0.0, "members_failed": 1.0}


LATER = START + timedelta(days=1)


@pytest.mark.parametrize(
    ("first", "later", "status"),
    [
        ({"status": "failed"}, {"finished_at": LATER}, "FINISHED"),
        ({"status": "failed"}, {"status": "failed", "finished_at": LATER, "failure": "node lost"}, "FAILED"),
        ({}, {"finished_at": LATER}, "FINISHED"),
    ],
)
@pytest.mark.parametrize("trackers", [1, 2])
def test_a_member_that_ended_anew_replaces_its_run(
    uri: str, first: dict[str, Any], later: dict[str, Any], status: str, trackers: int
) -> None:
    writer = tracker(uri)
    writer.log_member(*member(2, 0.5, **first))
    if trackers == 2:
        assert writer.close().logged == {"member": 1}
        writer = tracker(uri)
    writer.log_member(*member(2, 0.5, **later))
    assert writer.close().logged == {"member": 3 - trackers}
    run = contents(uri)[FAILED]
    assert (run["status"], run["end_time"]) == (status, round(1000 * LATER.timestamp()))
    assert run["tags"].get("failure") == later.get("failure")
    assert points(run, "seconds") == ([(0, 0.0)] if status == "FAILED" else [(300, 3.0)])
    counted = [(at, n) for key, _, n, at in contents(uri)["sweep-1"]["points"] if key == "members_failed"]
    assert max(counted)[1] == (status == "FAILED")


@pytest.mark.parametrize("status", ["completed", "diverged", "failed"])
def test_a_member_that_ended_at_the_same_time_stays_untouched(uri: str, status: str) -> None:
    for fate in ("logged", "present"):
        writer = tracker(uri)
        writer.log_member(*member(2, 0.5, status=status))
        assert getattr(writer.close(), fate) == {"member": 1}
        if fate == "logged":
            before = contents(uri)[FAILED]
    assert contents(uri)[FAILED] == before


def test_bounds_of_colour_images_are_given_in_bits_per_dimension_too() -> None:
    """Eight bits a dimension are the bound of a uniform law over 256 values."""
    uniform = -3072 * math.log(256)
    colour = {"likelihood": "logistic_mixture", "pixels": 3072, "test_bound_nats": uniform / 2}
    row, history = member(2, 0.7, **colour, elbo_nats=uniform)
    found = {(value.key, value.step): value.value for value in member_values(row, history)}
    assert found["bits_per_dimension", STEPS[-1]] == pytest.approx(8)
    assert found["test_bits_per_dimension", STEPS[-1]] == pytest.approx(4)
    assert found["bits_per_dimension", STEPS[0]] == -found["elbo_nats", STEPS[0]] / (3072 * math.log(2))
    assert not any("bits" in value.key for value in member_values(*member(2, 0.7)))


def test_a_history_longer_than_a_request_is_logged_whole(uri: str) -> None:
    row, _ = member(2, 0.5, steps=400)
    history = [{"step": step, **evaluation(2, 1.0)} for step in range(1, 401)]
    writer = tracker(uri)
    writer.log_member(row, history)
    assert writer.close().complete
    run = contents(uri)["sweep-1/digits mlp 8,8/rho=0.500 seed=0"]
    for key in ("kl_top_nats", "active_units/z2"):
        assert [step for step, _ in points(run, key)] == list(range(1, 401))


def test_a_cell_holds_its_curve_and_its_threshold(uri: str) -> None:
    sweep(uri)
    run = contents(uri)["sweep-1/digits mlp 8,8,8"]
    assert points(run, "kl_top_nats") == [
        (500, kl_top(3, 0.5)),
        (700, kl_top(3, 0.7)),
        (850, 0.0),
        (1000, 0.0),
    ]
    assert points(run, "critical_value") == [(len(RHOS), 0.9 - 0.09)]
    assert points(run, "critical_low") == [(len(RHOS), 0.7)]
    assert not points(run, "confidence")
    assert (run["tags"]["status"], run["tags"]["collapsed_side"]) == ("transition", "high")
    assert run["params"]["depth"] == "3"


def test_the_sweep_is_there_before_its_first_member(uri: str) -> None:
    writer = tracker(uri)
    assert contents(uri) == {}
    writer.begin()
    assert eventually(lambda: contents(uri).get("sweep-1", {}).get("status") == "RUNNING")
    assert writer.close("KILLED").complete
    assert contents(uri)["sweep-1"]["status"] == "KILLED"


@pytest.mark.parametrize("stopped", [False, True])
def test_what_is_known_of_a_cell_grows_with_the_members(uri: str, stopped: bool) -> None:
    """A threshold each time that members came, in the run of the complete cell.

    Also where the sweep is stopped and goes on in between, which says all of it again.
    """
    writer = tracker(uri)
    for members in range(1, 4):
        writer.log_member(*member(2, RHOS[members]))
        for _ in range(2):
            thresholds = [threshold(2) | {"n_members": members, "critical_value": members / 10}]
            writer.log_interim_cell("cell-2", thresholds)
        if stopped:
            assert writer.close("KILLED").complete
            writer = tracker(uri)
    log(writer, depths=(2,))
    writer.log_interim_cell("cell-2", [threshold(2) | {"n_members": 99}])
    writer.log_interim_cell("of which there is no run", [threshold(2)])
    report = writer.close()
    assert report.complete
    assert report.logged == {"member": 1 if stopped else 4, "cell": 1}
    run = contents(uri)["sweep-1/digits mlp 8,8"]
    assert points(run, "critical_value") == [
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
        (len(RHOS), threshold(2)["critical_value"]),
    ]
    assert points(run, "kl_top_nats") == [(round(1000 * rho), kl_top(2, rho)) for rho in RHOS]
    assert count_of_runs(uri) == 6, "none is replaced"


def test_files_as_they_are_by_now_are_there_and_not_counted(uri: str, tmp_path: Path) -> None:
    file, writer = tmp_path / "members.parquet", tracker(uri)
    file.write_text("some")
    writer.log_interim([file], "tables")
    report = writer.close()
    assert report.complete
    assert not report.logged
    [stored] = (Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts").rglob("members.parquet")
    assert stored.read_text() == "some"


def test_cells_have_colors_of_their_own(uri: str) -> None:
    writer, depths = tracker(uri), range(2, 32)
    for depth in depths:
        writer.log_member(*member(depth, 0.5))
    assert writer.close().complete
    colors: dict[str, list[str]] = {"cell": [], "member": []}
    for run in contents(uri).values():
        colors.get(run["tags"]["level"], []).append(run["tags"].get("mlflow.runColor"))
    assert len(set(colors["cell"])) == len(depths)
    assert sorted(colors["member"]) == sorted(colors["cell"])


def test_runs_say_what_made_them_of_what_and_what_was_found(uri: str) -> None:
    from mlflow import MlflowClient

    writer = tracker(uri, commit="c0ffee-dirty")
    log(writer)
    writer.log_note("both collapse")
    assert writer.close().complete
    runs = contents(uri)
    for path in ("sweep-1", "sweep-1/digits mlp 8,8"):
        tags = runs[path]["tags"]
        assert tags["mlflow.source.name"] == "sweeps/phase_transition.py"
        assert tags["mlflow.source.git.commit"] == "c0ffee"
        assert tags["mlflow.user"]
    assert runs["sweep-1"]["tags"]["mlflow.note.content"].startswith("both collapse\n\n[thresholds](#/")
    cell = runs["sweep-1/digits mlp 8,8"]
    assert cell["tags"]["mlflow.note.content"] == "depth 2"
    run = MlflowClient(uri).get_run(cell["run_uuid"])
    (found,) = run.inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("digits", "c0ffee")
    assert next(iter(run.data.metrics)) == "critical_value", "the UI lists metrics in this order"


def test_an_experiment_has_the_latest_answer_unless_a_user_describes_it(uri: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(uri)

    def describe(sweep_id: str, *notes: str) -> str:
        writer = tracker(uri, sweep_id)
        writer.begin()
        for note in notes:
            writer.log_note(note)
        assert writer.close().complete
        return str(client.get_experiment_by_name("depths").tags["mlflow.note.content"])

    assert describe("sweep-1").startswith("in training\n\n[thresholds](#/")
    assert describe("sweep-1", "alike").startswith("alike\n\n[thresholds](#/")
    assert describe("sweep-2").startswith("alike\n\n"), "it has no answer yet"
    both = describe("sweep-2", "different")
    assert both.startswith("different\n\n")
    assert "[sweep-1](#/" in both
    client.set_experiment_tag(
        client.get_experiment_by_name("depths").experiment_id, "mlflow.note.content", "mine"
    )
    assert describe("sweep-2", "different again") == "mine"


@pytest.mark.parametrize("page", [3, 100])
def test_the_same_sweep_again_changes_nothing(uri: str, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.tracking.runs._PAGE", page)
    sweep(uri)
    before = contents(uri)
    report = sweep(uri)
    assert (report.logged, report.present) == ({}, {"member": 8, "cell": 2})
    after = contents(uri)
    for run in (before["sweep-1"], after["sweep-1"]):
        del run["end_time"]
    assert after == before


def test_another_sweep_of_the_space_has_runs_of_its_own(uri: str) -> None:
    sweep(uri)
    first = lasting(uri)
    assert sweep(uri, sweep_id="sweep-2").logged == {"member": 8, "cell": 2}
    both = lasting(uri)
    assert len(both) == 2 * len(first)
    assert {path: both[path] for path in first} == first


def test_an_extended_sweep_has_exactly_the_new_curve(uri: str) -> None:
    sweep(uri)
    before, old = lasting(uri), contents(uri)
    more = (0.5, 0.7, 0.8, 0.8125, 0.85, 1.0)
    report = sweep(uri, more)
    assert (report.logged, report.present) == ({"member": 4, "cell": 2}, {"member": 8})
    cell = "sweep-1/digits mlp 8,8"
    held = contents(uri)
    assert points(held[cell], "kl_top_nats") == [(round(1000 * r), kl_top(2, r)) for r in more]
    assert held[cell]["tags"]["mlflow.runColor"] == old[cell]["tags"]["mlflow.runColor"]
    assert held[f"{cell}/rho=0.8125 seed=0"]["tags"]["rho"] == "0.8125"
    assert len(held) == 1 + 2 + 12
    assert points(held["sweep-1"], "members")[-1] == (0, 12.0)
    after = lasting(uri)
    for path in before:
        if "rho=" in path:
            assert after[path] == before[path]


def test_a_threshold_computed_anew_replaces_the_old_one(uri: str) -> None:
    sweep(uri)
    writer = tracker(uri)
    writer.log_cell(cell(2, critical_value=0.77))
    assert writer.close().logged == {"cell": 1}
    held = contents(uri)
    assert points(held["sweep-1/digits mlp 8,8"], "critical_value") == [(len(RHOS), 0.77)]
    assert len(held) == 11


KILLED = """
import importlib, os, signal, sys
sys.path[:0] = [{root!r}, {here!r}]
import test_tracker
owner = importlib.import_module({module!r})
for name in {owner!r}.split("."):
    owner = getattr(owner, name)
original, left = getattr(owner, {method!r}), {calls}
def fatal(*args, **kwargs):
    global left
    result = original(*args, **kwargs)
    left -= 1
    if not left:
        os.kill(os.getpid(), {signal})
    return result
setattr(owner, {method!r}, fatal)
test_tracker.sweep({uri!r})
"""
CLIENT = ("mlflow", "MlflowClient")
SQL = ("mlflow.store.tracking.sqlalchemy_store", "SqlAlchemyStore")


@pytest.mark.process
@pytest.mark.parametrize(
    ("owner", "method", "calls", "held", "half"),
    [
        (CLIENT, "create_run", 4, (), ("rho=0.700 seed=0", False, False)),
        (SQL, "_log_params", 5, (), ("rho=0.700 seed=0", True, False)),
        (SQL, "_log_metrics", 7, (), ("rho=1.000 seed=0", True, True)),
        (SQL, "_log_metrics", 8, (), ("digits mlp 8,8", True, True)),
        (CLIENT, "create_run", 3, RHOS[:2], ("digits mlp 8,8", False, False)),
        (CLIENT, "set_tag", 1, RHOS[:2], ("digits mlp 8,8", True, True)),
    ],
)
def test_killed_anywhere_and_run_again_is_as_never_killed(
    uri: str,
    undisturbed: Callable[..., dict[str, Any]],
    owner: tuple[str, str],
    method: str,
    calls: int,
    held: tuple[float, ...],
    half: tuple[str, bool, bool],
) -> None:
    """Kill a writer after some call, in a new store or one that holds a shorter sweep.

    `half` is the run that it leaves unfinished, and whether that has params and points.
    """
    if held:
        sweep(uri, held)
    script = KILLED.format(
        root=str(ROOT),
        here=str(Path(__file__).parent),
        module=owner[0],
        owner=owner[1],
        method=method,
        calls=calls,
        signal=int(signal.SIGKILL),
        uri=uri,
    )
    killed = subprocess.run([sys.executable, "-c", script], timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert unfinished(uri) == half
    assert tracker(uri).close().complete
    assert contents(uri), "every run has a parent, and no two are for one thing"
    assert sweep(uri).complete

    ours, theirs = lasting(uri), undisturbed(held)
    for runs in (ours, theirs):  # its counts have a history, of which the last is the truth
        counts = runs["sweep-1"].pop("points")
        assert "('members', 0, 8.0)" in counts
    assert ours == theirs


def test_a_half_logged_member_that_was_trained_anew_has_the_new_points_only(uri: str) -> None:
    from mlflow import MlflowClient

    sweep(uri)
    client, path = MlflowClient(uri), "sweep-1/digits mlp 8,8/rho=0.500 seed=0"
    client.update_run(contents(uri)[path]["run_uuid"], "RUNNING")
    row, history = member(2, 0.5, finished_at=START + timedelta(days=1), kl_top_nats=9.0)
    writer = tracker(uri)
    writer.log_member(row, history[:1])
    assert writer.close().logged == {"member": 1}
    assert points(contents(uri)[path], "kl_top_nats") == [(100, history[0]["kl_top_nats"]), (300, 9.0)]


def test_a_request_whose_answer_is_lost_is_not_carried_out_twice(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create_run, lost = MlflowClient.create_run, set()

    def lose_the_first_answer(self: MlflowClient, experiment: str, start: int, tags: dict, name: str) -> Any:
        run = create_run(self, experiment, start, tags, name)
        if tags["level"] == "sweep" or (tags["cell_id"], name) in lost:
            return run
        lost.add((tags["cell_id"], name))
        raise ConnectionError("no answer")

    monkeypatch.setattr(MlflowClient, "create_run", lose_the_first_answer)
    report = sweep(uri)
    assert report.complete
    assert len(lost) == 10
    assert "no answer" in (report.last_error or "")
    assert len(contents(uri)) == 11


def test_runs_that_were_deleted_by_hand_come_back(uri: str) -> None:
    from mlflow import MlflowClient

    sweep(uri)
    before, client = lasting(uri), MlflowClient(uri)
    cell = contents(uri)["sweep-1/digits mlp 8,8"]["run_uuid"]
    gone = contents(uri)["sweep-1/digits mlp 8,8,8/rho=0.700 seed=0"]["run_uuid"]
    for run_id in (cell, gone):
        client.delete_run(run_id)
    assert sweep(uri).logged == {"member": 1, "cell": 1}
    after = lasting(uri)
    assert before.pop("sweep-1").keys() == after.pop("sweep-1").keys()
    for path in before:
        assert before[path]["points"] == after[path]["points"]

    client.delete_run(contents(uri)["sweep-1"]["run_uuid"])
    assert sweep(uri).complete
    assert contents(uri).keys() == {"sweep-1", *before}

    client.delete_experiment(client.get_experiment_by_name("depths").experiment_id)
    assert sweep(uri).complete
    assert len(contents(uri)) == 11


def test_a_setting_of_the_sweep_that_changed_is_a_tag(uri: str) -> None:
    assert tracker(uri, max_members=8, latents=[4, 4]).close().complete
    assert tracker(uri, max_members=16, latents=[4, 4]).close("KILLED").complete
    run = contents(uri)["sweep-1"]
    assert run["params"] == {"seeds": "1", "max_members": "8", "latents": "4,4"}
    assert run["tags"]["max_members"] == "16"
    assert "latents" not in run["tags"]
    assert run["status"] == "KILLED"


def test_files_are_artifacts_of_the_sweep(empty_store: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folder = tmp_path / "runs of 100%"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    figure = tmp_path / "curves.svg"
    for text in ("old", "new"):
        figure.write_text(text)
        writer = tracker(default_uri(folder))
        writer.log_artifacts([figure, tmp_path / "missing.svg"], "figures")
        report = writer.close()
        assert (report.logged, report.failed) == ({"file": 1}, {"file": 1})
        assert "missing.svg" in str(report)
    [stored] = (folder / "mlartifacts").rglob("*.svg")
    assert stored.read_text() == "new"
    client = MlflowClient(default_uri(folder))
    [run] = client.search_runs([client.get_experiment_by_name("depths").experiment_id])
    assert [file.path for file in client.list_artifacts(run.info.run_id, "figures")] == ["figures/curves.svg"]
    row, history = member(2, 0.5)
    for cell_id in (row["cell_id"], "0f"):
        (tmp_path / f"sheet_{cell_id}.png").touch()
    writer = tracker(default_uri(folder))
    writer.log_member(row, history)
    writer.log_artifacts(sorted(tmp_path.glob("sheet_*")), "figures")
    assert writer.close().complete
    where = f"tags.level = 'cell' and tags.cell_id = '{row['cell_id']}'"
    [cell] = client.search_runs([run.info.experiment_id], where)
    for run_id, names in (
        (cell.info.run_id, [f"sheet_{row['cell_id']}.png"]),
        (run.info.run_id, ["curves.svg", "sheet_0f.png"]),
    ):
        assert [file.path for file in client.list_artifacts(run_id, "figures")] == [
            f"figures/{n}" for n in names
        ]


def test_an_entry_that_cannot_be_logged_fails_alone(uri: str) -> None:
    writer = tracker(uri)
    row, history = member(2, 0.5)
    writer.log_member({key: row[key] for key in row if key != "status"}, history)
    log(writer, depths=(3,))
    report = writer.close()
    assert (report.logged, report.failed) == ({"member": 4, "cell": 1}, {"member": 1})
    assert "1 member not logged" in str(report)
    assert "status" in str(report)
    assert sweep(uri).complete


def test_a_store_that_hangs_holds_up_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        started = time.monotonic()
        writer = tracker(f"http://127.0.0.1:{silent.getsockname()[1]}")
        row, history = member(2, 0.5)
        for _ in range(1000):
            writer.log_member(row, history)
        assert time.monotonic() - started < 0.5
        report = writer.close(deadline_seconds=0.5)
        assert time.monotonic() - started < 5
    assert report.failed == {"member": 1000, "sweep": 1}
    assert report.curves_url is None


def members(writer: Tracker, count: int) -> None:
    """Hand a writer as many members of a cell."""
    for seed in range(count):
        writer.log_member(*member(2, 0.5, seed))


def eventually(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store take 50 ms a batch."""
    from mlflow import MlflowClient

    log_batch = MlflowClient.log_batch

    def sleepy(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.05)
        return log_batch(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", sleepy)


def test_closing_logs_all_that_is_left_and_says_how_far_it_is(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.tracking.tracker._PROGRESS_SECONDS", 0.05)
    said: list[tuple[int, int]] = []
    writer = tracker(uri)
    members(writer, 100)
    report = writer.close(on_progress=lambda done, total: said.append((done, total)))
    assert (report.complete, report.logged) == (True, {"member": 100})
    assert len(said) > 5
    assert said == sorted(said)
    assert (said[0][0] < 50, said[-1]) == (True, (100, 100))
    assert {total for _, total in said} == {100}


@pytest.mark.usefixtures("slow")
def test_a_deadline_ends_the_closing(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.tracking.tracker._PROGRESS_SECONDS", 0.2)
    said: list[tuple[int, int]] = []
    writer = tracker(uri)
    members(writer, 300)
    assert eventually(lambda: count_of_runs(uri) > 3), "a member is logged"
    started = time.monotonic()
    report = writer.close("FINISHED", 1.0, lambda done, total: said.append((done, total)))
    assert 1 <= time.monotonic() - started < 12, "all of it takes 15 s and more"
    assert report.logged["member"] + report.failed["member"] == 300
    assert report.failed["member"] > 200
    assert "out of time" in str(report)
    assert 0 < said[-1][0] < 100
    assert said[-1][1] == 300


def test_progress_is_silent_where_nothing_is_left(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.tracking.tracker._PROGRESS_SECONDS", 60.0)
    writer = tracker(uri)
    writer.log_member(*member(2, 0.5))
    assert writer.close(on_progress=lambda done, total: pytest.fail(f"{done} of {total}")).complete


@pytest.mark.usefixtures("slow")
def test_an_interrupt_is_said_before_what_waits(uri: str) -> None:
    """A driver that is killed now leaves no RUNNING sweep and cell; what waits is logged all the same."""
    writer = tracker(uri)
    members(writer, 60)
    assert eventually(lambda: count_of_runs(uri) > 5)
    started = time.monotonic()
    writer.interrupt()
    assert time.monotonic() - started < 0.01
    assert eventually(lambda: contents(uri)["sweep-1"]["status"] == "KILLED", 2)
    assert eventually(lambda: contents(uri)["sweep-1/digits mlp 8,8"]["status"] == "KILLED", 2)
    assert len(contents(uri)) < 40
    assert writer.close().complete
    held = contents(uri)
    assert (held["sweep-1"]["status"], len(held)) == ("FINISHED", 62)


def test_an_interrupt_wakes_a_writer_that_has_nothing_to_do(uri: str) -> None:
    writer = tracker(uri)
    writer.log_member(*member(2, 0.5))
    assert eventually(lambda: contents(uri).get(FAILED, {}).get("status") == "FINISHED")
    writer.interrupt()
    assert eventually(lambda: contents(uri)["sweep-1"]["status"] == "KILLED")
    report = writer.close("FAILED")
    assert (report.logged, report.present, report.failed) == ({"member": 1}, {}, {})
    assert contents(uri)["sweep-1"]["status"] == "FAILED"


def test_an_interrupted_sweep_stays_so_when_the_store_is_read_again(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    log_batch, lost, opened = MlflowClient.log_batch, [], []

    def lose_the_first_answer(self: MlflowClient, *args: Any, **kwargs: Any) -> None:
        log_batch(self, *args, **kwargs)
        if not lost:
            lost.append(args)
            raise ConnectionError("no answer")

    writer = tracker(uri)
    writer.log_member(*member(2, 0.5))
    assert eventually(lambda: contents(uri).get(FAILED, {}).get("status") == "FINISHED")
    writer.interrupt()
    assert eventually(lambda: contents(uri)["sweep-1"]["status"] == "KILLED")
    monkeypatch.setattr(MlflowClient, "log_batch", lose_the_first_answer)
    monkeypatch.setattr(MlflowClient, "update_run", lambda self, *args: opened.append(args))
    writer.log_member(*member(2, 0.7))
    assert writer.close("KILLED").complete
    assert (len(lost), opened) == (1, [])
    assert contents(uri)["sweep-1"]["status"] == "KILLED"


@pytest.mark.parametrize("interrupted", [False, True])
def test_cells_that_are_not_complete_are_killed_with_their_sweep_and_go_on_with_it(
    uri: str, undisturbed: Callable[..., dict[str, Any]], interrupted: bool
) -> None:
    cells = [f"sweep-1/digits mlp {latents}" for latents in ("8,8", "8,8,8")]

    def statuses() -> list[str]:
        held = contents(uri)
        return [held[path]["status"] for path in ("sweep-1", *cells)]

    writer = tracker(uri)
    log(writer, depths=(2,))
    writer.log_member(*member(3, 0.5))
    if interrupted:
        writer.interrupt()
    assert writer.close("KILLED").complete
    assert statuses() == ["KILLED", "FINISHED", "KILLED"]

    goes_on = tracker(uri)
    goes_on.log_member(*member(3, 0.7))
    assert eventually(lambda: statuses() == ["RUNNING", "FINISHED", "RUNNING"])
    log(goes_on)
    assert goes_on.close().complete
    assert statuses() == ["FINISHED"] * 3

    ours, theirs = lasting(uri), undisturbed()
    for runs in (ours, theirs):
        assert "('members', 0, 8.0)" in runs["sweep-1"].pop("points")
    assert ours == theirs


class Server:
    """A tracking server of its own store on a free loopback port."""

    def __init__(self, store: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.uri, self.store = f"http://127.0.0.1:{self.port}", store
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.store]
        command += ["--port", str(self.port), "--workers", "1", "--artifacts-destination"]
        command += [str(Path(self.store.removeprefix("sqlite:///")).parent / "artifacts")]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen(command, env=os.environ | settings, start_new_session=True, **quiet)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2)  # noqa: S310
                return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server does not come up")

    def kill(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(uri: str) -> Iterator[Server]:
    server = Server(uri)
    server.start()
    yield server
    server.kill()


@pytest.mark.process
def test_a_server_that_dies_costs_entries_but_no_time_and_they_are_logged_later(
    server: Server, uri: str, undisturbed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    check(server.uri)
    writer = tracker(server.uri)
    log(writer, depths=(2,))
    figure = tmp_path / "curves.svg"
    figure.write_text("curves")
    writer.log_artifacts([figure])
    assert eventually(lambda: "sweep-1/digits mlp 8,8/rho=0.850 seed=0" in contents(uri))

    server.kill()
    log(writer, depths=(3,))
    started = time.monotonic()
    report = writer.close()
    assert time.monotonic() - started < 20
    assert not report.complete
    assert report.failed["cell"] >= 1
    assert report.failed["member"] + report.logged["member"] == 8
    assert "Connection" in str(report)
    assert "the same command logs what is missing" in str(report)

    late = tracker(server.uri)  # begins while the server is down
    log(late)
    late.log_artifacts([figure])
    time.sleep(1)
    server.start()
    report = late.close()
    assert report.complete, report
    assert report.logged["file"] == 1
    assert report.curves_url.startswith(f"{server.uri}/#/experiments/")

    ours, theirs = lasting(uri), undisturbed()
    assert ours.pop("sweep-1")["params"] == theirs.pop("sweep-1")["params"]
    assert ours == theirs
    assert sweep(server.uri).logged == {}


@pytest.mark.process
def test_a_server_that_freezes_is_given_up_at_closing(server: Server, uri: str) -> None:
    writer = tracker(server.uri)
    members(writer, 300)
    assert eventually(lambda: count_of_runs(uri) > 5)
    assert server.process is not None
    os.killpg(server.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    report = writer.close()
    assert time.monotonic() - started < 20
    assert report.failed["member"] > 200
    assert report.failed["member"] + report.logged["member"] == 300
    assert "timed out" in str(report)


def test_check_says_that_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(SweepError, match=rf"http://127.0.0.1:{port} .*Connection refused.*Start"):
        check(f"http://someone:secret@127.0.0.1:{port}")
    assert time.monotonic() - started < 5


def test_check_gives_up_on_a_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(SweepError, match="timed out"):
            check(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 7


def test_check_refuses_what_cannot_be_written() -> None:
    with pytest.raises(SweepError, match=r"/proc/nowhere/mlflow\.db cannot be written.*writable"):
        check("sqlite:////proc/nowhere/mlflow.db")


def test_check_refuses_the_database_of_another_program_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    """MLflow would add its tables to it."""
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("create table notes (text)")
    content = path.read_bytes()
    with pytest.raises(SweepError, match=r"notes\.db cannot be used: it is the database of another program"):
        check(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_check_leaves_an_empty_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    check(f"sqlite:///{tmp_path / 'new.db'}")
    assert (tmp_path / "new.db").read_bytes() == b""


@pytest.mark.process
def test_a_new_store_is_created_in_silence_without_shared_memory(tmp_path: Path) -> None:
    uri = default_uri(tmp_path / "runs")
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from sweeps.tracking.store import check
check({uri!r})
assert "mlflow" not in sys.modules, "a look at a new file makes nothing and loads no MLflow"
assert not Path({str(tmp_path)!r}, "runs").exists()
import test_tracker
test_tracker.sweep({uri!r})
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert run.stdout + run.stderr == ""
    with closing(sqlite3.connect(tmp_path / "runs" / "mlflow.db")) as database:
        assert database.execute("pragma journal_mode").fetchone() == ("delete",)
    assert len(contents(uri)) == 11


def test_a_store_in_wal_mode_leaves_it_before_it_is_used(uri: str) -> None:
    """Other machines do not see what WAL mode keeps in memory."""
    store = Path(uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        database.execute("select count(*) from experiments").fetchone()
        with pytest.raises(
            SweepError, match=r"mlflow\.db is in WAL mode.*close that program, such as `mlflow ui`"
        ):
            check(uri)
    check(uri)
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("pragma journal_mode").fetchone() == ("delete",)
    assert [path.name for path in store.parent.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_store_where_sqlite_has_no_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def lockf(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with pytest.raises(
        SweepError, match=r"mlflow\.db cannot be used: its file system has no locks .*; name a store"
    ):
        check(default_uri(tmp_path))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF])
def test_a_folder_that_cannot_be_locked_is_used_without(
    uri: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    check(uri)


def test_a_new_store_is_in_the_folder_of_its_name_and_in_no_other(empty_store: Path) -> None:
    assert [path.name for path in empty_store.parent.parent.iterdir()] == [empty_store.parent.name]
    assert [path.name for path in empty_store.parent.iterdir()] == ["mlflow.db"]


@pytest.mark.process
def test_sweeps_that_begin_together_share_a_new_store(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from sweeps.tracking import store as mlflow_store
mlflow_store.connect({default_uri(tmp_path)!r})
"""
    together = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait(120) for process in together] == [0, 0]
    assert contents(default_uri(tmp_path)) == {}


def test_the_command_for_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sweeps.tracking.uri.ui_port", lambda: 5000)
    assert ui_command(default_uri(Path("runs"))) == ("mlflow ui --backend-store-uri sqlite:///runs/mlflow.db")
    assert ui_command("sqlite:///runs/mlflow.db") == ui_command(default_uri(Path("runs")))
    assert ui_command("sqlite:////else where/m.db") == (
        "mlflow ui --backend-store-uri 'sqlite:////else where/m.db'"
    )
    assert ui_command("https://me:secret@host:5000") == "https://host:5000"
    monkeypatch.setattr("sweeps.tracking.uri.ui_port", lambda: 5001)
    assert ui_command("sqlite:////m.db") == "mlflow ui --port 5001 --backend-store-uri sqlite:////m.db"


def test_the_port_is_one_at_which_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("sweeps.tracking.uri.MLFLOW_PORT", port)
        assert ui_port.__wrapped__() > port
    assert ui_port.__wrapped__() == port


def test_a_report_reads_well() -> None:
    report = Report({"member": 2, "cell": 1}, {}, {}, None, None)
    assert str(report) == "MLflow: 2 members, 1 cell logged, nothing already there"


def test_where_no_thread_can_be_started_nothing_is_logged(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    report = sweep(uri)
    assert not report.complete
    assert report.last_error == "can't start new thread"
