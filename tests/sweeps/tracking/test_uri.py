"""URIs of MLflow stores: what can be known of one before it is opened, and what of it may be shown."""

import importlib
import os
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sweeps import SweepError
from sweeps.tracking import uri as uris
from sweeps.tracking.uri import (
    LONGEST_SQLITE_PATH,
    check_uri,
    chosen_uri,
    default_uri,
    sqlite_path,
    sqlite_uri,
    unused_variables,
    without_password,
    without_passwords,
)

HIDDEN = "s3cret"

MALFORMED = {
    "an open bracket": ("http://{}[::1", "malformed"),
    "a host in brackets that is no address": ("http://{}[zz]:5000", "malformed"),
    "characters that stand for others": ("http://{}\u2100host:5000", "malformed"),
    "a port too large": ("http://{}127.0.0.1:99999", "no port from 1 to 65535"),
    "a port of zero": ("http://{}127.0.0.1:0", "no port from 1 to 65535"),
    "a port that is no number": ("http://{}127.0.0.1:abc", "no port from 1 to 65535"),
    "two ports": ("http://{}127.0.0.1:5000:6000", "no port from 1 to 65535"),
    "no host": ("http://{}", "names no host"),
    "no host but a port": ("https://{}:5000", "names no host"),
    "one slash": ("http:/host:5000", "names no host"),
    "a slash in the password": ("http://me:12/{}host:5000", "an @ behind the host"),
    "a hash in the password": ("http://me:12#{}host:5000", "an @ behind the host"),
    "a question mark in the password": ("http://me:12?{}host:5000", "an @ behind the host"),
    "a space in the host": ("http://{}the host:5000", "it has a space"),
    "a space in the password": ("http://me:12 {}host:5000", "it has a space"),
    "another database": ("postgresql://{}host/db", "not usable"),
    "no scheme": ("127.0.0.1:5000", "not usable"),
    "a password without a scheme": ("{}127.0.0.1:5000", "not usable"),
    "a scheme in capitals": ("SQLITE:///mlflow.db", "not usable"),
    "a space before the scheme": (" http://{}host:5000", "not usable"),
    "a line break": ("http://{}host:5000\n", "cannot be printed"),
    "a byte that is no text": ("http://{}host\udcff:5000", "cannot be printed"),
    "a folder": ("./mlruns", "MLflow no longer supports file stores"),
    "a folder's URI": ("file:///tmp/mlruns", "MLflow no longer supports file stores"),
    "nothing": ("", "MLflow no longer supports file stores"),
}
NO_FILE = [
    "sqlite://",
    "sqlite:///",
    "sqlite:////",
    "sqlite:///:memory:",
    "sqlite:///runs/",
    "sqlite:///runs%00/m.db",
    "sqlite:runs.db",
    "sqlite:runs%2Edb",
    "sqlite:runs.db?mode=rw",
    "sqlite://runs/m.db",
    f"sqlite://me:{HIDDEN}@/m.db",
]


def refusal(uri: str) -> str:
    with pytest.raises(SweepError) as caught:
        check_uri(uri)
    assert HIDDEN not in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("user", ["", f"me:{HIDDEN}@", f"{HIDDEN}@"])
@pytest.mark.parametrize("case", MALFORMED)
def test_a_uri_that_is_none(case: str, user: str) -> None:
    """Each says what is wrong and what is allowed, and none shows a password."""
    uri, found = MALFORMED[case]
    if "me:12" in uri:
        user = user or "3@"
    message = refusal(uri.format(user))
    assert message.startswith("tracking URI '")
    assert f"{found}" in message
    assert message.endswith("; use sqlite:///PATH for a file or http(s)://HOST:PORT for an MLflow server.")


@pytest.mark.parametrize("uri", NO_FILE)
def test_a_sqlite_store_without_a_file(uri: str) -> None:
    assert refusal(uri).endswith("names no file; use sqlite:///PATH.")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (f"http://me:{HIDDEN}@host:5000/mlflow", "http://host:5000/mlflow"),
        (f"https://{HIDDEN}@host", "https://host"),
        (f"http://me:{HIDDEN}@[::1", "http://[::1"),
        (f"http://me:{HIDDEN}@host:99999", "http://host:99999"),
        (f"http://me:12/{HIDDEN}@host", "http://host"),
        (f"http://me:{HIDDEN}@{HIDDEN}@host", "http://host"),
        (f"http://me:\n{HIDDEN}@host", "http://host"),
        (f"me:{HIDDEN}@host:5000", "host:5000"),
        (f"http://host:5000?password={HIDDEN}", "http://host:5000"),
        (f"postgresql://host/db?user=me&password={HIDDEN}", "postgresql://host/db"),
        ("http://host:5000/mlflow", "http://host:5000/mlflow"),
        ("sqlite:////home/me@there/m.db", "sqlite:////home/me@there/m.db"),
        ("file:///home/me@there/mlruns", "file:///home/me@there/mlruns"),
        ("", ""),
    ],
)
def test_a_uri_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


class TestFiles:
    @pytest.mark.parametrize("name", ["m.db", "new/folder/m.db", "else where/ρ?#%@.db"])
    def test_a_file_that_can_be_made(self, tmp_path: Path, name: str) -> None:
        """Nothing is made to find out."""
        check_uri(sqlite_uri(tmp_path / name))
        assert list(tmp_path.iterdir()) == []
        assert sqlite_path(sqlite_uri(tmp_path / name)) == tmp_path / name

    def test_a_database_and_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "m.db"
        path.touch()
        check_uri(sqlite_uri(path))
        with closing(sqlite3.connect(path)) as database:
            database.execute("create table one (number)")
            database.commit()
        before = path.read_bytes()
        check_uri(sqlite_uri(path))
        assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], before)

    @pytest.mark.parametrize("text", ["notes", "not a database, " * 100])
    def test_another_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "m.db").write_text(text)
        message = refusal(sqlite_uri(tmp_path / "m.db"))
        assert message.endswith(
            "m.db cannot be used: file is not a database. Move the file away, or name another with "
            "sqlite:///PATH."
        )

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "folder").mkdir()
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        (tmp_path / "file").touch()
        for name in ("pipe", "folder", "loop", "file/m.db", "file/new/m.db", "loop/m.db"):
            message = refusal(sqlite_uri(tmp_path / name))
            assert f"the tracking store {tmp_path / name} cannot be written: " in message
            assert message.endswith(
                "Make the folder and the file writable, or name another with sqlite:///PATH."
            )

    @pytest.mark.parametrize("closed", ["", "m.db", "runs"])
    def test_what_may_not_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
    ) -> None:
        """The system's answer is replaced, for a superuser may write everywhere."""
        (tmp_path / "m.db").touch()
        (tmp_path / "runs").mkdir()
        monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / closed)
        name = "runs/new/m.db" if closed == "runs" else "m.db"
        assert f"{tmp_path / name} cannot be written: {tmp_path / closed}" in refusal(
            sqlite_uri(tmp_path / name)
        )

    def test_a_folder_whose_name_is_no_text(self, tmp_path: Path) -> None:
        with pytest.raises(SweepError, match=r"runs\\udcff.*printable UTF-8.*; rename the folder"):
            default_uri(tmp_path / "runs\udcff")

    @pytest.mark.parametrize("decodes", [True, False], ids=["SQLAlchemy 2.1", "SQLAlchemy 2.0"])
    @pytest.mark.parametrize("folder", ["else where/ρé#", "a@b:c+d&e", "100%", "'\"~"])
    def test_the_text_of_a_uri_names_the_folder_for_every_version(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, decodes: bool
    ) -> None:
        """MLflow makes the folder in the text before SQLAlchemy decodes it."""
        monkeypatch.setattr(uris, "_decodes_paths", lambda: decodes)
        made = default_uri(tmp_path / folder)
        assert made == f"sqlite:///{tmp_path / folder}/mlflow.db"
        assert sqlite_path(made) == tmp_path / folder / "mlflow.db"
        check_uri(made)

    @pytest.mark.parametrize(
        ("path", "decodes"),
        [
            ("a?b/m.db", True),
            ("a%41/m.db", True),
            ("a?b/m.db", False),
            ("what?.db", False),
            ("a\nb/m.db", True),
        ],
    )
    def test_a_path_that_no_uri_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, decodes: bool
    ) -> None:
        monkeypatch.setattr(uris, "_decodes_paths", lambda: decodes)
        with pytest.raises(SweepError, match=r"no URI of MLflow names .*rename the folder"):
            sqlite_uri(tmp_path / path)

    def test_a_uri_means_what_the_installed_sqlalchemy_reads(self) -> None:
        make_url = importlib.import_module("sqlalchemy").make_url  # which MLflow brings
        for text in ("sqlite:////a%23b/m%41.db", "sqlite:////100%/a+b c#d/m.db?timeout=60"):
            assert str(sqlite_path(text)) == make_url(text).database

    def test_the_longest_path_that_sqlite_opens(self, tmp_path: Path) -> None:
        length = LONGEST_SQLITE_PATH - len(f"{tmp_path}////m.db") - 200
        folder = tmp_path / ("x" * length) / ("x" * 100) / ("x" * 100)
        folder.mkdir(parents=True)
        check_uri(sqlite_uri(folder / "m.db"))
        with closing(sqlite3.connect(folder / "m.db")) as database:
            database.execute("create table one (number)")
        with pytest.raises(sqlite3.OperationalError):
            sqlite3.connect(folder / "mm.db").execute("create table one (number)")
        assert "has 505 bytes, and SQLite takes at most 504; give a shorter --out" in refusal(
            sqlite_uri(folder / "mm.db")
        )

    def test_a_tilde_is_the_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert sqlite_path("sqlite:///~/m.db") == tmp_path / "m.db"
        assert "no home folder ~nobody.here is known" in refusal("sqlite:///~nobody.here/m.db")


class TestChoice:
    """The command line comes first, then the environment, then the default."""

    @pytest.fixture(autouse=True)
    def named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        uri = f"sqlite:///{tmp_path}/named.db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        return uri

    def test_of_a_store(self, tmp_path: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
        option = f"sqlite:///{tmp_path}/option.db"
        assert chosen_uri(option, tmp_path) == option
        assert chosen_uri(None, tmp_path) == named
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
        assert chosen_uri(None, tmp_path) == default_uri(tmp_path)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert chosen_uri(None, tmp_path) == default_uri(tmp_path)

    @pytest.mark.parametrize("uri", ["databricks", f"postgresql://me:{HIDDEN}@host/db", "/shared/mlruns"])
    def test_a_variable_that_names_no_usable_store_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        said = r"^MLFLOW_TRACKING_URI: tracking URI .* give --tracking-uri"
        with pytest.raises(SweepError, match=said) as caught:
            chosen_uri(None, tmp_path)
        assert HIDDEN not in str(caught.value)
        assert chosen_uri(default_uri(tmp_path), tmp_path) == default_uri(tmp_path)

    def test_variables_that_are_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert unused_variables("digits") == []
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
        assert unused_variables("digits") == [
            "MLFLOW_EXPERIMENT_NAME='mine' is not used: the experiment of a sweep is its space, digits"
        ]


class TestServers:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    @pytest.mark.parametrize("user", ["", f"me:{HIDDEN}@"])
    def test_one_that_listens(self, host: str, user: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            check_uri(f"http://{user}{host}:{server.getsockname()[1]}/mlflow")

    @pytest.mark.parametrize("user", ["", f"me:{HIDDEN}@"])
    def test_one_that_does_not(self, user: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        assert refusal(f"http://{user}127.0.0.1:{port}") == (
            f"the tracking store http://127.0.0.1:{port} cannot be used: [Errno 111] Connection refused. "
            "Start the server, correct the address, or use sqlite:///PATH."
        )

    @pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70, "a..b"])
    def test_a_name_of_no_host(self, host: str) -> None:
        assert f"http://{host}:5000 cannot be used: " in refusal(f"http://me:{HIDDEN}@{host}:5000")

    def test_one_that_takes_no_connections(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            address = full.getsockname()
            held = [socket.socket() for _ in range(8)]
            for client in held:
                client.setblocking(False)
                client.connect_ex(address)
            started = time.monotonic()
            assert "timed out" in refusal(f"http://127.0.0.1:{address[1]}")
            assert time.monotonic() - started < 7
            for client in held:
                client.close()

    def test_one_behind_a_proxy_is_left_to_the_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        check_uri("http://nowhere.invalid:5000")
        refusal("http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.0/8,nowhere.invalid:5000")
        refusal("http://127.0.0.1:9")
        refusal("http://nowhere.invalid:5000")


def test_a_text_is_shown_without_the_passwords_in_it() -> None:
    said = "API request to {}host:5000/api failed: {}host:5000 is no server; ask a@b"
    found = said.format(f"http://me:{HIDDEN}@", f"https://{HIDDEN}@{HIDDEN}@")
    assert without_passwords(found) == said.format("http://", "https://")
