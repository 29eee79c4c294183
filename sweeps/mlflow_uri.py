"""Where an MLflow store is: a SQLite file or a server. Knows the URIs, not MLflow."""

import shlex
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from sweeps import SweepError


def default_uri(folder: Path) -> str:
    """Give the URI of the store in `folder`: a SQLite file, with mlartifacts/ beside it."""
    return sqlite_uri(folder.resolve() / "mlflow.db")


def ui_command(uri: str) -> str:
    """Give the command that shows the store in a browser; for a server, its address.

    MLflow's own server listens on 127.0.0.1, port 5000, unless told otherwise.
    """
    if not uri.startswith("sqlite:"):
        return without_password(uri)
    path = sqlite_path(uri)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"mlflow ui --backend-store-uri {shlex.quote(sqlite_uri(shown))}"


def without_password(uri: str) -> str:
    """Give the URI without the password that may stand in it."""
    user, at, _ = urlsplit(uri).netloc.rpartition("@")
    return uri.replace(user + at, "", 1)


def sqlite_path(uri: str) -> Path:
    """Give the file of a SQLite store.

    Raises:
        SweepError: the URI names none.
    """
    name = unquote(uri.removeprefix("sqlite:///").partition("?")[0])
    if name in ("", ":memory:", uri):
        raise SweepError(f"tracking URI {uri!r} names no file; use sqlite:///PATH.")
    return Path(name).resolve()


def sqlite_uri(path: Path) -> str:
    """Give the URI of a SQLite store in the file `path`."""
    return f"sqlite:///{quote(str(path), safe='/ ')}"
