"""Canaries: a test for each private or unstable part of MLflow that is used.

A test that fails here with a new version of MLflow names what the version changed. `test_mlflow_ui.py` opens
the view in a browser.
"""

import sqlite3
from contextlib import closing

import pytest

from sweeps.tracking.mlflow_internals import SHARED_VIEW, is_store, move_artifacts
from sweeps.tracking.store import connect
from sweeps.tracking.uri import artifacts_of, sqlite_path, sqlite_uri


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Create a store of MLflow's own with a run that has a file; return its client and path."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    uri = sqlite_uri(path)
    client = connect(uri)
    experiment = client.create_experiment("a space", (artifacts_of(uri) / "a space").as_uri())
    run = client.create_run(experiment)
    (path.parent / "members.txt").write_text("members")
    client.log_artifact(run.info.run_id, str(path.parent / "members.txt"))
    return client, path, experiment, run.info.run_id


def columns(path, table):
    with closing(sqlite3.connect(path)) as database:
        return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def test_a_store_has_the_tables_by_which_it_is_known(store):
    with closing(sqlite3.connect(store[1])) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    assert is_store(tables)
    assert not is_store({"songs", "albums"})


def test_addresses_of_files_are_in_the_columns_that_are_rewritten(store):
    assert columns(store[1], "experiments") >= {"experiment_id", "artifact_location"}
    assert columns(store[1], "runs") >= {"experiment_id", "artifact_uri"}


def test_mlflow_finds_files_by_the_rewritten_addresses(store, tmp_path):
    _, path, experiment, run = store
    there = tmp_path / "else where"
    path.parent.rename(there)
    try:
        uri = sqlite_uri(there / "mlflow.db")
        assert sqlite_path(uri) == there / "mlflow.db"
        assert move_artifacts(there / "mlflow.db", artifacts_of(uri)) == 1
        assert move_artifacts(there / "mlflow.db", artifacts_of(uri)) == 0
        client = connect(uri)
        assert client.get_experiment(experiment).artifact_location.startswith(there.as_uri())
        assert [file.path for file in client.list_artifacts(run)] == ["members.txt"]
    finally:
        there.rename(path.parent)


def test_an_experiment_holds_a_view_of_any_length_under_its_tag(store):
    client, _, experiment, _ = store
    client.set_experiment_tag(experiment, f"{SHARED_VIEW}key", "x" * 4500)
    assert len(client.get_experiment(experiment).tags[f"{SHARED_VIEW}key"]) == 4500
