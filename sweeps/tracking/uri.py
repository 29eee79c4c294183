"""Where an MLflow store is: a SQLite file or a server. Knows the URIs, not MLflow."""

import argparse
import os
import re
import shlex
import socket
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from analysis.tables.replacing import expanded
from sweeps import SweepError

CONNECT_SECONDS = 5.0
"""How long a server may take to accept a connection."""

MLFLOW_PORT = 5000
"""Where `mlflow ui` listens by default, on this machine only."""

URI_VARIABLE = "MLFLOW_TRACKING_URI"
"""The variable of the environment that names MLflow's store where no option does."""

LONGEST_SQLITE_PATH = 504
"""Bytes of a path that SQLite opens on Linux: its limit of 512 holds for the journal beside the file."""

_ARTIFACTS = "mlartifacts"

_UNUSED_VARIABLES = ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")
"""Variables by which MLflow chooses an experiment or a run that a program does not name, as this one does."""

_SQLITE = "sqlite:///"
_SQLITE_HEAD = b"SQLite format 3\0"
_PORTS = range(1, 2**16)


def add_store(parser: argparse.ArgumentParser, beside: str) -> None:
    """Add the option that names the store; `beside` says where the default store lies."""
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow store: sqlite:///FILE or http(s)://HOST:PORT; default: "
        f"{URI_VARIABLE}, else mlflow.db beside {beside}",
    )


def check_uri(uri: str) -> None:
    """Refuse what can be seen to be no store, or none that can be used now, without opening or making it.

    Raises:
        SweepError: the scheme is not sqlite, http or https; the URI is malformed; the SQLite file cannot be
            written or is no database; nothing at the server's address accepts a connection.
    """
    scheme, colon, _ = uri.partition(":")
    if not uri.isprintable():
        raise _refused(uri, "it has characters that cannot be printed")
    if not colon or scheme == "file":
        raise _refused(uri, "MLflow no longer supports file stores")
    if scheme == "sqlite":
        _check_file(sqlite_path(uri))
    elif scheme in ("http", "https"):
        _check_server(uri, *_address(uri))
    else:
        raise _refused(uri, "not usable")


def artifacts_of(uri: str) -> Path:
    """Return the folder of the files of a SQLite store, beside the store."""
    return sqlite_path(uri).parent / _ARTIFACTS


def chosen_uri(option: str | None, folder: Path) -> str:
    """Return the URI of the store that is meant, by MLflow's precedence, once `check_uri` takes it.

    Args:
        option: what the command line says.
        folder: of the default store, which is used where the environment names no store.

    Raises:
        SweepError: as `check_uri`; it names the variable where the environment names the store.
    """
    if not option and (named := os.environ.get(URI_VARIABLE)):
        try:
            check_uri(named)
        except SweepError as error:
            raise SweepError(f"{URI_VARIABLE}: {error} Or unset it, or give --tracking-uri.") from None
        return named
    uri = option or default_uri(folder)
    check_uri(uri)
    return uri


def unused_variables(space: str) -> list[str]:
    """Return a line for each variable of MLflow's in the environment that a sweep of a space does not use."""
    return [
        f"{name}='{os.environ[name]}' is not used: the experiment of a sweep is its space, {space}"
        for name in _UNUSED_VARIABLES
        if os.environ.get(name)
    ]


def default_uri(folder: Path) -> str:
    """Give the URI of the store in `folder`: a SQLite file, with mlartifacts/ beside it."""
    return sqlite_uri(Path(os.path.realpath(folder)) / "mlflow.db")


def ui_command(uri: str) -> str:
    """Give the command that shows the store in a browser, at `ui_port`; for a server, its address."""
    if not uri.startswith("sqlite:"):
        return without_password(uri)
    path = sqlite_path(uri)
    with suppress(ValueError, OSError):  # it lies elsewhere; the working folder is gone
        if Path.cwd() != Path("/"):
            path = path.relative_to(Path.cwd())
    port = "" if ui_port() == MLFLOW_PORT else f" --port {ui_port()}"
    return f"mlflow ui{port} --backend-store-uri {shlex.quote(sqlite_uri(path))}"


@cache
def ui_port() -> int:
    """Return the first port from MLflow's own at which nothing listens on this machine, as it was once."""
    for port in range(MLFLOW_PORT, MLFLOW_PORT + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    return MLFLOW_PORT


def without_password(uri: str) -> str:
    """Give the URI, which may be malformed, without what a password may stand in.

    That is all before the last @, but for the scheme, and all after a question mark. The path of a file
    may have an @.
    """
    if not uri.startswith((_SQLITE, "file:///")):
        uri = re.sub(r"^([a-zA-Z][\w+.-]*://)?.*@", r"\1", uri, flags=re.DOTALL)
    return uri.partition("?")[0]


def without_passwords(text: str) -> str:
    """Give a text, such as an error of MLflow, without what stands before an @ in the URIs in it."""
    return re.sub(r"://\S*@", "://", text)


def sqlite_path(uri: str) -> Path:
    """Give the file of a SQLite store, as MLflow reads its URI; a leading `~` is the user's home.

    Raises:
        SweepError: the URI names none.
    """
    name = _path_in(uri)
    if not uri.startswith(_SQLITE) or name in ("", ":memory:") or name.endswith("/") or "\0" in name:
        raise SweepError(f"tracking URI {without_password(uri)!r} names no file; use sqlite:///PATH.")
    try:
        return Path(os.path.realpath(expanded(name)))
    except ValueError as error:
        raise _refused(uri, str(error)) from None


def sqlite_uri(path: Path) -> str:
    """Give the URI by which MLflow opens a SQLite store in the file `path`.

    MLflow makes the folder that the text of a URI names, encoded or not: a folder is written as it is.

    Raises:
        SweepError: no URI names the path.
    """
    folder, name = str(path).removesuffix(path.name), path.name
    if _decodes_paths():
        name = re.sub("[?]|%(?=[0-9a-fA-F]{2})", lambda match: f"%{ord(match[0]):X}", name)
    uri = f"{_SQLITE}{folder}{name}"
    if not uri.isprintable() or _path_in(uri) != str(path):
        raise SweepError(
            f"no URI of MLflow names the tracking store {str(path)!r}: it takes printable UTF-8, and a "
            "folder without ? and without % before two hexadecimal digits; rename the folder, or name "
            "another store with --tracking-uri sqlite:///PATH"
        )
    return uri


def _path_in(uri: str) -> str:
    """Return the path in a SQLite URI as MLflow reads it."""
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    return unquote(path) if _decodes_paths() else path


@cache
def _decodes_paths() -> bool:
    """Tell whether `%23` in the path of a SQLite URI stands for `#`, as it does from SQLAlchemy 2.1 on."""
    major, minor, *_ = version("sqlalchemy").split(".")
    return (int(major), int(minor)) >= (2, 1)


def _refused(uri: str, problem: str) -> SweepError:
    return SweepError(
        f"tracking URI {without_password(uri)!r}: {problem}; use sqlite:///PATH for a file or "
        "http(s)://HOST:PORT for an MLflow server."
    )


def _check_file(path: Path) -> None:
    if (length := len(os.fsencode(path))) > LONGEST_SQLITE_PATH:
        raise SweepError(
            f"the tracking store {path} cannot be opened: its path has {length} bytes, and SQLite takes at "
            f"most {LONGEST_SQLITE_PATH}; give a shorter --out, or name another with --tracking-uri "
            "sqlite:///PATH"
        )
    try:
        problem, head = _unwritable(path), b""
        if not problem and path.exists():
            with path.open("rb") as file:
                head = file.read(len(_SQLITE_HEAD))
    except OSError as error:
        problem = str(error)
    if problem:
        raise SweepError(
            f"the tracking store {path} cannot be written: {problem}. Make the folder and the file "
            "writable, or name another with sqlite:///PATH."
        )
    if head not in (b"", _SQLITE_HEAD):
        raise SweepError(
            f"the tracking store {path} cannot be used: file is not a database. Move the file away, or name "
            "another with sqlite:///PATH."
        )


def _unwritable(path: Path) -> str:
    """Tell what keeps SQLite from writing the file, for which folders may be made; empty if nothing does."""
    folder = next(parent for parent in path.parents if os.path.lexists(parent))
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is not writable"
    if os.path.lexists(path) and not path.is_file():
        return f"{path} is no file"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"{path} is not writable"
    return ""


def _address(uri: str) -> tuple[str, int]:
    """Give host and port of a server. What urlsplit says of a malformed URI may hold the password."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        raise _refused(uri, "malformed") from None
    if " " in uri:
        raise _refused(uri, "it has a space; in a password write it as %20")
    if "@" in uri.removeprefix(f"{parts.scheme}://{parts.netloc}"):
        raise _refused(uri, "an @ behind the host; in a password write / ? # as %2F %3F %23")
    if not host:
        raise _refused(uri, "it names no host")
    try:
        port = parts.port if parts.port is not None else {"http": 80, "https": 443}[parts.scheme]
    except ValueError:
        port = 0
    if port not in _PORTS:
        raise _refused(uri, "it has no port from 1 to 65535")
    return host, port


def _check_server(uri: str, host: str, port: int) -> None:
    from requests.utils import get_environ_proxies, select_proxy  # as MLflow asks for proxies

    if select_proxy(uri, get_environ_proxies(uri)):
        return  # maybe only the proxy reaches it
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise SweepError(
            f"the tracking store {without_password(uri)} cannot be used: {error}. Start the server, correct "
            "the address, or use sqlite:///PATH."
        ) from error
