"""What the recorder tells MLflow of, and how often it writes the tables while a sweep goes on."""

import errno
import os
from contextlib import contextmanager
from types import SimpleNamespace

import pyarrow as pa
import pytest

from analysis import TableError
from search_spaces.running import MOST_TRACKED
from sweeps.tracking import recorder
from sweeps.tracking.recorder import TABLES_SECONDS, Recorder, tracked
from tests.sweeps.conftest import finish, opened, planned_cells, schedule_of


@contextmanager
def recorded(run, make_space, result_of):
    """Give the recorder of a sweep whose packs are all finished, and its schedule."""
    space = make_space(active_from="{kl_top: 0.1}")
    with opened(run, space) as ledger:
        recording = Recorder(space, planned_cells(space), [], ledger, "sqlite:///unused.db")
        schedule = schedule_of(space, 1, ledger)
        while pack := schedule.next_pack():
            recording.tell(finish(schedule, ledger, pack, result_of(pack, lambda point: 1.0 - point.value)))
        yield recording, schedule


def test_members_are_runs_unless_they_are_many_or_it_is_said(make_space):
    assert tracked(make_space(), MOST_TRACKED) == "members"
    assert tracked(make_space(), MOST_TRACKED + 1) == "cells"
    for said in ("members", "cells", "sweep"):
        assert tracked(make_space(track=said), 10**6) == tracked(make_space(track=said), 1) == said


@pytest.mark.parametrize(("taken", "pause"), [(1.0, TABLES_SECONDS), (30.0, 600.0)])
def test_tables_are_refreshed_now_and_then_and_take_a_twentieth_of_the_time(
    tmp_path, make_space, result_of, monkeypatch, taken, pause
):
    now = 0.0
    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: now))
    logged, files = [], []
    silent = SimpleNamespace(
        log_member=lambda *rows: None,
        log_interim_cell=lambda *known: logged.append(known),
        log_interim=lambda paths, folder: files.append({f"{folder}/{path.name}" for path in paths}),
    )
    monkeypatch.setattr(recorder, "Tracker", lambda *given: silent)
    begun = []
    idle = SimpleNamespace(drawn=lambda: [], begin=lambda: begun.append(now), stop=lambda: None)
    monkeypatch.setattr(recorder, "Drawing", lambda run: idle)
    space, written = make_space(pack_size=1), []

    def write(*given, compared, real=recorder.write_tables):
        nonlocal now
        now += taken
        written.append(now)
        return real(*given, compared=compared)

    monkeypatch.setattr(recorder, "write_tables", write)
    with opened(tmp_path, space) as ledger:
        recording = Recorder(space, planned_cells(space), [], ledger, "sqlite:///unused.db")
        schedule = schedule_of(space, 1, ledger)
        moments = (TABLES_SECONDS - 1, TABLES_SECONDS + 1)
        moments += tuple(TABLES_SECONDS + 1 + taken + pause + late for late in (-1, 1))
        for moment in moments:
            now = moment
            pack = schedule.next_pack()
            recording.tell(finish(schedule, ledger, pack, result_of(pack, lambda point: 1.0)))
    assert written == [moments[1] + taken, moments[3] + taken]
    assert [(cell, [row["n_members"] for row in rows]) for cell, rows in logged] == [
        (pack.cell.cell_id, [members] * len(rows)) for members, (_, rows) in zip((2, 4), logged, strict=True)
    ]
    tables = {f"tables/{name}.parquet" for name in ("members", "history", "thresholds")}
    assert files == [tables, set()] * 2
    assert begun == written
    assert (tmp_path / "members.parquet").exists()
    assert not (tmp_path / "comparisons.parquet").exists()


def test_figures_are_drawn_beside_the_sweep_and_logged_with_the_next_ones(
    tmp_path, make_space, result_of, monkeypatch
):
    files: list[str] = []
    stub = SimpleNamespace(
        log_member=lambda *rows: None,
        log_interim_cell=lambda *known: None,
        log_interim=lambda paths, folder: files.extend(f"{folder}/{path.name}" for path in paths),
    )
    monkeypatch.setattr(recorder, "Tracker", lambda *given: stub)
    with recorded(tmp_path / "run", make_space, result_of) as (recording, _):
        recording.refresh()
        assert not [name for name in files if name.startswith("figures/")], "none is drawn yet"
        process = recording._drawing._process
        recording.refresh()
        assert recording._drawing._process is process, "one at a time"
        assert process.wait(300) == 0
        recording.refresh()
        assert {"figures/order_parameters.png", "figures/training.svg"} <= set(files)
        process = recording._drawing._process
        recording._drawing.stop()
        assert process.poll() is not None
        assert not recording._drawing.drawn()


@pytest.fixture
def logged(monkeypatch):
    """Return what is handed to MLflow as files, which nothing takes; figures are made at once."""
    files: list[str] = []
    stub = SimpleNamespace(
        log_member=lambda *rows: None,
        log_cell=lambda *given: None,
        log_note=lambda note: None,
        log_artifacts=lambda paths, folder: files.extend(f"{folder}/{path.name}" for path in paths),
    )
    monkeypatch.setattr(recorder, "Tracker", lambda *given: stub)
    monkeypatch.setattr("analysis.figures.write_figures", lambda run: [run / "figures/order_parameters.png"])
    return files


def refuse(*given, **options):
    raise pa.ArrowInvalid("nobody\nforesaw this")


@pytest.mark.parametrize(
    ("part", "name", "lost"),
    [
        ("analysis.report.write_report", "report", "figures/report.html"),
        ("analysis.charts.render.begin", "report", None),
        ("analysis.figures.write_figures", "figures", "figures/order_parameters.png"),
        ("sweeps.tracking.drawing.Drawing.stop", "figures", None),
        ("sweeps.tracking.recorder.Recorder._log_cell", "MLflow", "tables/members.parquet"),
        ("sweeps.tracking.recorder.Recorder._log", "MLflow", None),
        ("sweeps.tracking.recorder.Studies.__init__", "studies", None),
        ("sweeps.tracking.recorder.Studies.record", "studies", None),
        ("sweeps.tracking.recorder.Studies.describe", "studies", None),
        ("sweeps.tracking.recorder.format_results", "results", None),
    ],
)
def test_nothing_that_fails_beside_the_tables_prevents_them(
    tmp_path, make_space, result_of, monkeypatch, logged, part, name, lost
):
    monkeypatch.setattr("analysis.report.write_report", lambda sources: tmp_path / "report.html")
    monkeypatch.setattr(part, refuse)
    with recorded(tmp_path, make_space, result_of) as (recording, schedule):
        written = recording.write(schedule)
        recording.results(written)
    assert set(written) == {"members", "history", "thresholds", "comparisons"}
    assert all((tmp_path / f"{table}.parquet").exists() for table in written)
    why = "ArrowInvalid: nobody foresaw this (the traceback is in sweep.log)"
    assert recording.problems == {name: f"{name} not complete: {why}; the same command tries again"}
    assert "in refuse" in (tmp_path / "sweep.log").read_text()
    everything = {"figures/order_parameters.png", "figures/report.html", "tables/members.parquet"}
    assert everything - set(logged) == ({lost} - {None})


def test_an_error_that_nobody_foresaw_ends_the_training_and_is_a_problem(
    tmp_path, make_space, result_of, monkeypatch, logged
):
    executor = SimpleNamespace(kill=refuse, end=lambda: None)
    with recorded(tmp_path, make_space, result_of) as (recording, _), recording.stopped_by_errors(executor):
        refuse()
    assert recording.stopped == "ArrowInvalid: nobody foresaw this (the traceback is in sweep.log)"
    assert list(recording.problems) == ["clean-up"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_said_once(tmp_path, make_space, result_of, monkeypatch, logged, number):
    def fail(*given):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            raise TableError("cannot write a file") from error

    for part in ("analysis.figures.write_figures", "analysis.report.write_report"):
        monkeypatch.setattr(part, fail)
    executor = SimpleNamespace(kill=lambda: None, end=lambda: None)
    with recorded(tmp_path, make_space, result_of) as (recording, schedule):
        recording.write(schedule)
        assert list(recording.problems.values()) == [
            "figures not complete: cannot write a file; the same command tries again"
        ]
        with recording.stopped_by_errors(executor):
            fail()
    assert list(recording.problems.values()) == [recording.stopped]


def test_members_and_history_are_written_before_anything_is_estimated(
    tmp_path, make_space, result_of, monkeypatch, logged
):
    monkeypatch.setattr("sweeps.record.tables.Summary", refuse)
    with recorded(tmp_path, make_space, result_of) as (recording, schedule):
        assert recording.write(schedule) == {}
    assert {path.stem for path in tmp_path.glob("*.parquet")} == {"members", "history"}
    assert list(recording.problems) == ["tables"]


def test_no_time_zone_database_is_needed(tmp_path, make_space, result_of, logged, without_time_zones):
    with recorded(tmp_path, make_space, result_of) as (recording, schedule):
        recording.write(schedule)
    with recorded(tmp_path, make_space, result_of) as (recording, schedule):
        recording.write(schedule)
    assert recording.problems == {}
    assert "figures/report.html" in logged
