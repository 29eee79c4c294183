"""Why a tracking store refuses, and the mend that fits. Knows MLflow's errors by their codes, not MLflow."""

import shlex
import sqlite3
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from sweeps.errors import gist_of
from sweeps.tracking.uri import sqlite_path, sqlite_uri, without_passwords

_ELSEWHERE = "use sqlite:///PATH"
_SQLITE_MENDS = {
    sqlite3.SQLITE_NOTADB: "Move the file away, or name another with sqlite:///PATH.",
    sqlite3.SQLITE_CORRUPT: "Move the file away, or name another with sqlite:///PATH.",
    sqlite3.SQLITE_BUSY: "End the program that holds it, and run the same command again.",
    sqlite3.SQLITE_LOCKED: "End the program that holds it, and run the same command again.",
    sqlite3.SQLITE_FULL: "Make room on its disk, or name another with sqlite:///PATH.",
    sqlite3.SQLITE_READONLY: "Make the folder and the file writable, or name another with sqlite:///PATH.",
    sqlite3.SQLITE_CANTOPEN: "Make the folder and the file writable, or name another with sqlite:///PATH.",
}

_HALF = "already exists"
"""What SQLite says of a table, when MLflow starts again on a file with a part of its tables."""


def reason(error: BaseException) -> str:
    """Return in one line what the store, or the system below it, said, without passwords."""
    *_, root = _chain(error)
    text = gist_of(str(root if isinstance(root, OSError | sqlite3.Error) else error))
    return without_passwords(text or type(error).__name__)


def mend(error: BaseException, uri: str) -> str:
    """Return what to do about the error of a store, as sentences."""
    return _mend_of_file(error, uri) if uri.startswith("sqlite:") else _mend_of_server(error, uri)


def _mend_of_file(error: BaseException, uri: str) -> str:
    if any(isinstance(part, sqlite3.Error) and _HALF in str(part) for part in _chain(error)):
        return "Move the file away, whose tables a killed program left half created, or name another with sqlite:///PATH."
    for part in _chain(error):
        if isinstance(part, sqlite3.Error) and hasattr(part, "sqlite_errorcode"):
            code = part.sqlite_errorcode & 0xFF  # without what extends it
            return _SQLITE_MENDS.get(code, "Name another with sqlite:///PATH.")
    if "mlflow db upgrade" in str(error):
        store = shlex.quote(sqlite_uri(sqlite_path(uri)))
        return (
            f"Run mlflow db upgrade {store} (keep a copy), use the newer MLflow if one wrote it, or name "
            "another with sqlite:///PATH."
        )
    if any(type(part).__module__.startswith("alembic.") for part in _chain(error)):
        return "Use the version of MLflow that wrote it, or name another with sqlite:///PATH."
    return "Name another with sqlite:///PATH."


def _mend_of_server(error: BaseException, uri: str) -> str:
    host = urlsplit(uri).netloc.rpartition("@")[2]
    chain = list(_chain(error))
    if any(isinstance(part, requests.exceptions.SSLError) for part in chain):
        return "Name the server's certificate in MLFLOW_TRACKING_SERVER_CERT_PATH, or correct the address."
    if any(isinstance(part, requests.exceptions.ProxyError) for part in chain):
        return f"Correct the proxy, or set NO_PROXY={urlsplit(uri).hostname}."
    match _status(error):
        case 403 if "Host header" in str(error):
            return f"Start the server with --allowed-hosts '{host}', or call it by a name that it allows."
        case 401 | 403:
            return "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        case 404 | 405:
            return f"That is no MLflow server: correct the address, or {_ELSEWHERE}."
        case int(status) if status >= 500 and not any(isinstance(part, OSError) for part in chain):
            return f"See the log of the server, or {_ELSEWHERE}."
    if any(isinstance(part, ValueError) for part in chain):
        return f"That is no MLflow server: correct the address, or {_ELSEWHERE}."  # its answer is no JSON
    if any(isinstance(part, OSError) for part in chain):
        return f"Start the server, correct the address, or {_ELSEWHERE}."
    return f"Correct what it says, or {_ELSEWHERE}."


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error of MLflow stands for; None of any other."""
    status = getattr(error, "get_http_status_code", None)
    return None if status is None else int(status())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, or while handling, in turn."""
    part: BaseException | None = error
    while part is not None:
        yield part
        part = part.__cause__ or part.__context__
