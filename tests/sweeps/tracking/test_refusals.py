"""What is said of a store that refuses: why, and the mend that fits."""

import shlex
import sqlite3

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import verify_rest_response

from sweeps.tracking.refusals import mend, reason

SERVER = "http://me:s3cret@mlflow.local:5000"
MINE = "sqlite:////s/it's mine.db"


def answer(status: int, body: str) -> Exception:
    """Return the error that MLflow makes of a server's answer."""
    response = requests.Response()
    response.status_code, response._content = status, body.encode()
    with pytest.raises(MlflowException) as refused:
        verify_rest_response(response, "/api/2.0/mlflow/experiments/search")
    return refused.value


INVALID_HOST = "Invalid Host header - possible DNS rebinding attack detected"


@pytest.mark.parametrize(
    ("error", "said", "mended"),
    [
        (answer(403, INVALID_HOST), INVALID_HOST, "--allowed-hosts 'mlflow.local:5000'"),
        (answer(403, "Permission denied"), "Permission denied", "MLFLOW_TRACKING_USERNAME"),
        (answer(401, "You are not authenticated"), "not authenticated", "MLFLOW_TRACKING_TOKEN"),
        (answer(404, "<html>\n<h1>Not Found</h1>\n</html>"), "<h1>Not Found</h1>", "no MLflow server"),
        (answer(500, "disk full"), "disk full", "the log of the server"),
        (requests.exceptions.JSONDecodeError("Expecting value", "<html>", 0), "Expecting value", "no MLflow"),
        (
            requests.exceptions.SSLError("certificate verify failed"),
            "certificate",
            "MLFLOW_TRACKING_SERVER_CERT_PATH",
        ),
        (requests.exceptions.ProxyError("no way"), "no way", "NO_PROXY=mlflow.local"),
        (requests.exceptions.ConnectionError("refused"), "refused", "Start the server"),
    ],
)
def test_a_server_that_refuses_is_mended_where_it_ails(error, said, mended):
    line = f"{reason(error)}. {mend(error, SERVER)}"
    assert said in line
    assert mended in line
    assert "s3cret" not in line
    assert ("Start the server" in line) == (mended.startswith(("Start", "--allowed")))


def of_sqlite(code: int, text: str) -> Exception:
    """Return MLflow's error of what SQLite says."""
    cause = sqlite3.OperationalError(text)
    cause.sqlite_errorcode = code
    error = MlflowException(f"(sqlite3.OperationalError) {text}\n[SQL: select 1]")
    error.__cause__ = cause
    return error


CommandError = type("CommandError", (Exception,), {"__module__": "alembic.util.exc"})
OLD = "Detected out-of-date database schema (found version a, but expected b). Run 'mlflow db upgrade <uri>'."


@pytest.mark.parametrize(
    ("error", "said", "mended"),
    [
        (
            of_sqlite(sqlite3.SQLITE_NOTADB, "file is not a database"),
            "file is not a database",
            "Move the file",
        ),
        (of_sqlite(sqlite3.SQLITE_ERROR, "table a already exists"), "already exists", "Move the file"),
        (of_sqlite(sqlite3.SQLITE_BUSY, "database is locked"), "database is locked", "End the program that"),
        (of_sqlite(sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"), "disk I/O error", "Name another with"),
        (
            CommandError("Can't locate revision"),
            "Can't locate revision",
            "the version of MLflow that wrote it",
        ),
        (MlflowException(OLD), "out-of-date", f"Run mlflow db upgrade {shlex.quote(MINE)} (keep a copy)"),
    ],
)
def test_a_file_that_cannot_be_used_is_moved_away_only_where_it_is_no_store(error, said, mended):
    uri = MINE
    assert reason(error).count("\n") == 0
    assert said in reason(error)
    assert "SQL" not in reason(error)
    assert mended in mend(error, uri)
    assert ("Move" in mend(error, uri)) == (mended == "Move the file")
