"""How a SQLite store of MLflow comes into being."""

import mlflow.store.db.utils
import pytest

from sweeps.tracking.store import connect
from sweeps.tracking.uri import sqlite_uri


def die(engine):
    raise SystemExit


def test_a_store_is_created_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(mlflow.store.db.utils, "_upgrade_db", die)  # when a part of the tables is there
        connect(sqlite_uri(path))
    assert list(tmp_path.iterdir()) == []
    killed = tmp_path / ".mlflow.db.1.0123abcd.tmp"  # of a command that had no time to remove it
    killed.touch()
    killed.with_name(f"{killed.name}-journal").touch()
    assert connect(sqlite_uri(path)).search_experiments()
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "mlflow.db"
    path.touch()
    assert connect(sqlite_uri(path)).search_experiments()
