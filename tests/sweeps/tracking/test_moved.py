"""Stores that were moved or copied: their files are found where they are, and no more go where they were."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweeps import moved
from sweeps.tracking.store import check
from sweeps.tracking.tracker import Tracker
from sweeps.tracking.uri import default_uri

ROOT = Path(__file__).parents[3]


def log(runs, space, *names):
    """Log files of a sweep of that space, and return what could not be logged."""
    uri = default_uri(runs)
    check(uri)
    tracker = Tracker(uri, space, f"id of {space}", space, {})
    for name in names:
        (runs / name).write_text(name)
    tracker.log_artifacts([runs / name for name in names], "tables")
    return tracker.close().failed


def files(runs):
    """Return the text of each file in the store of some runs, by space."""
    from mlflow import MlflowClient

    client, found = MlflowClient(default_uri(runs)), {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            for file in client.list_artifacts(run.info.run_id, "tables"):
                path = client.download_artifacts(run.info.run_id, file.path)
                with open(path) as opened:
                    found.setdefault(experiment.name, []).append(opened.read())
    return found


@pytest.fixture
def runs(empty_store, tmp_path):
    folder = tmp_path / "a folder" / "runs"
    folder.mkdir(parents=True)
    shutil.copy(empty_store, folder)
    assert not log(folder, "first space", "members", "history")
    assert not log(folder, "other", "members")
    return folder


EXPECTED = {"first space": ["history", "members"], "other": ["members"]}


def test_runs_that_moved_have_their_files(runs, tmp_path, capsys):
    there = tmp_path / "else where"
    runs.rename(there)
    assert files(there) == {}, "as MLflow has it"
    assert moved.main([str(there)]) == 0
    said = capsys.readouterr().out
    assert f"2 experiments moved to {there}/mlartifacts\n  mlflow ui --backend-store-uri" in said
    assert files(there) == EXPECTED
    assert moved.main([str(there / "mlflow.db")]) == 0
    assert capsys.readouterr().out.startswith("0 experiments moved")


@pytest.mark.process
def test_a_copy_has_its_own_and_the_original_its_own(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy)
    going_on = "from tests.sweeps.tracking.test_moved import log\nfrom pathlib import Path\n"
    going_on += f"assert not log(Path({str(copy)!r}), 'other', 'thresholds')"
    subprocess.run([sys.executable, "-c", going_on], cwd=ROOT, check=True)  # MLflow remembers where runs are
    shutil.rmtree(copy / "mlartifacts" / "first space")
    assert moved.main([str(runs)]) == 0
    assert files(runs) == EXPECTED
    assert files(copy) == {"other": ["members", "thresholds"]}
    assert not (runs / "thresholds").exists()


def test_files_that_lie_elsewhere_keep_their_address(runs, tmp_path):
    """Those that the user put into a bucket or a folder of another name, and those that stayed behind."""
    addresses = {"first space": "s3://bucket/mlartifacts/first", "other": (tmp_path / "mine/other").as_uri()}
    with closing(sqlite3.connect(runs / "mlflow.db")) as database, database:
        for name, address in addresses.items():
            database.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", (address, name))
    alone = tmp_path / "alone"
    alone.mkdir()
    with (
        closing(sqlite3.connect(runs / "mlflow.db")) as source,
        closing(sqlite3.connect(alone / "mlflow.db")) as to,
    ):
        source.backup(to)
    for folder in (runs, alone):
        assert moved.main([str(folder)]) == 0
        with closing(sqlite3.connect(folder / "mlflow.db")) as database:
            held = dict(database.execute("SELECT name, artifact_location FROM experiments"))
        assert {name: held[name] for name in addresses} == addresses


def test_what_is_no_store_is_one_error(tmp_path, capsys):
    (tmp_path / "none.db").write_text("something else" * 100)
    for given, why in ((tmp_path / "none.db", "not a database"), (tmp_path, "no such file; give the folder")):
        assert moved.main([str(given)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path}/")
        assert why in error
    assert not (tmp_path / "mlflow.db").exists()
