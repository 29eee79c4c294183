"""A store of MLflow: whether it can be used, a client of it, and files that belong to no sweep.

mlflow is imported at the first use of a store (2 to 4 seconds), never with this module.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import sqlite3
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from analysis.tables.replacing import UNSUPPORTED
from sweeps import SweepError
from sweeps.machine.locks import lock
from sweeps.tracking.mlflow_internals import is_store, move_artifacts
from sweeps.tracking.refusals import mend, reason
from sweeps.tracking.uri import artifacts_of, check_uri, sqlite_path, sqlite_uri, ui_port, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The tracker retries by itself, after a look at what the store holds: a request that MLflow
    # repeats because its answer was lost would create the same run twice.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}

_BUSY_SECONDS = 20.0  # to wait for who writes, as MLflow does


DESCRIPTION = "mlflow.note.content"
"""The tag whose Markdown the UI shows as a run's, or an experiment's, description."""


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


def log_files(uri: str, experiment: str, name: str, files: Iterable[Path], tags: Mapping[str, str]) -> str:
    """Log files to the run of that name, made where there is none, and set its tags; return its address.

    A file logged again replaces the one before. The address is on the server, or as `ui_command` serves a
    SQLite store.
    """
    client = connect(uri)
    experiment_id = experiment_of(
        client, uri, experiment, "Pages and other files that belong to no one sweep."
    )
    quoted = name.replace("'", "\\'")
    runs = client.search_runs([experiment_id], f"attributes.run_name = '{quoted}'", max_results=1)
    run = runs[0] if runs else client.create_run(experiment_id, run_name=name)
    run_id = run.info.run_id
    for key, text in tags.items():
        client.set_tag(run_id, key, text)
    for file in files:
        client.log_artifact(run_id, str(file))
    client.set_terminated(run_id)
    return f"{server_of(uri)}/#/experiments/{experiment_id}/runs/{run_id}/artifacts"


def delete_sweep(uri: str, sweep_id: str) -> int:
    """Delete a sweep's runs in a store, if it has any; return how many.

    MLflow keeps deleted runs and their files until `mlflow gc` removes them.
    """
    if uri.startswith("sqlite:") and _is_empty(sqlite_path(uri)):
        return 0
    client = connect(uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    deleted = 0
    while page := client.search_runs(experiments, f"tags.sweep_id = '{sweep_id}'", max_results=1000):
        for run in page:
            client.delete_run(run.info.run_id)
        deleted += len(page)
    return deleted


def server_of(uri: str) -> str:
    """Give where the store's pages are, with a SQLite store behind `ui_command`."""
    return f"http://127.0.0.1:{ui_port()}" if uri.startswith("sqlite:") else without_password(uri).rstrip("/")


def experiment_of(client: MlflowClient, uri: str, name: str, note: str = "") -> str:
    """Give the id of an experiment, which exists after it; a new one has a note as its description.

    A SQLite store that was moved or copied with its mlartifacts/ has its files where they are now.
    """
    if uri.startswith("sqlite:"):
        move_artifacts(sqlite_path(uri), artifacts_of(uri))
    held = client.get_experiment_by_name(name)
    if held is None:
        location = (artifacts_of(uri) / name).as_uri() if uri.startswith("sqlite:") else None
        return client.create_experiment(name, location, {DESCRIPTION: note} if note else None)
    if held.lifecycle_stage == "deleted":
        client.restore_experiment(held.experiment_id)
    return str(held.experiment_id)


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
    with _locked(path.parent) as locked:
        if _is_empty(path):
            _create(path, locked)
        _leave_wal(path)
        client = MlflowClient(sqlite_uri(path), sqlite_uri(path))
        client.search_experiments(max_results=1)
    return client


def _create(path: Path, locked: bool) -> None:
    """Create a SQLite store aside, and put it in its place whole.

    MLflow creates some fifty tables one by one, and refuses a file in which a killed command left a part of
    them. With the folder locked, other files aside are of killed commands, and are removed.
    """
    from mlflow import MlflowClient

    if locked:
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp*"):
            left.unlink(missing_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        MlflowClient(sqlite_uri(aside), sqlite_uri(aside)).search_experiments(max_results=1)
        if _is_empty(path):
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _is_empty(path: Path) -> bool:
    """Tell whether a SQLite file is missing or has no tables.

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
    if tables and not is_store(tables):
        raise SweepError(
            f"the tracking store {path} cannot be used: it is the database of another program. Name another "
            "with sqlite:///PATH."
        )
    return not tables


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
def _locked(folder: Path) -> Iterator[bool]:
    """Keep other sweeps out, which create or change the same file; yield whether the file system can do so.

    Network file systems have no locks of folders. The sweep that MLflow fails there tries again.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    locked = True
    try:
        try:
            locked = lock(descriptor)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            locked = False
        yield locked
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
