"""A SQLite store that was moved or copied with its mlartifacts/: MLflow keeps absolute addresses of files."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote

ARTIFACTS = "mlartifacts"
"""The folder of a store's files, beside it."""


def artifacts_of(store: Path, name: str) -> str:
    """Return the address of the files of an experiment of that name, beside a store."""
    return (store.parent / ARTIFACTS / name).as_uri()


def point_here(store: Path) -> int:
    """Let a store's experiments have their files beside it, where they lie there; return how many changed.

    An experiment whose files are elsewhere keeps its address, and so does one whose own folder beside the
    store is not there.

    Raises:
        sqlite3.Error: the store cannot be read or written.
    """
    changed = 0
    with contextlib.closing(sqlite3.connect(store)) as database, database:
        rows = database.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
        for experiment, location in rows:
            _, found, name = (location or "").rpartition(f"/{ARTIFACTS}/")
            here = f"{(store.parent / ARTIFACTS).as_uri()}/{name}"
            if not (found and location.startswith("file:") and location != here and _is_there(store, name)):
                continue
            changed += 1
            database.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (here, experiment)
            )
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (here, len(location) + 1, experiment, len(location) + 1, f"{location}/"),
            )
    return changed


def _is_there(store: Path, name: str) -> bool:
    return bool(name) and (store.parent / ARTIFACTS / unquote(name)).is_dir()
