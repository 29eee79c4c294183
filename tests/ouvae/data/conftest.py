"""Fixtures of the data tests: no cache, no network, and the folder of real files if there is one."""

import contextlib
import functools
import gzip
import http.server
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ouvae.data import download, mnist
from ouvae.data.public import Checksum, Contents, PublicFile

REAL_FOLDER = Path(
    os.environ.get("OUVAE_DATA") or Path(__file__).parents[3] / ".." / "shared" / "data"
).resolve()

DEAD_MIRRORS = ("http://127.0.0.1:9/first/", "http://127.0.0.1:9/second/")

COUNTS = {"TRAIN": 30, "VALIDATION": 10, "TEST": 20}


@pytest.fixture(autouse=True)
def isolation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away the variable, the user's cache and proxies."""
    monkeypatch.delenv("OUVAE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def real_folder() -> Callable[[str], Path]:
    """Return the folder of real data files, or skip the test when it does not hold the file."""

    def folder(relative: str) -> Path:
        if not (REAL_FOLDER / relative).is_file():
            pytest.skip(f"no {relative} in {REAL_FOLDER}; OUVAE_DATA names the folder to look in")
        return REAL_FOLDER

    return folder


@pytest.fixture
def contents_of() -> Callable[[bytes], Contents]:
    """Return a function that makes contents of a file with this name."""
    file = PublicFile("tiny.bin", ("tiny",), ("http://mirror/tiny.bin",), Checksum("md5", "0"), "a tiny file")
    return lambda data: Contents(file, Path("/somewhere/tiny.bin"), data)


def idx(images: np.ndarray, magic: int = 0x803) -> bytes:
    """Write images [N, rows, columns] in IDX format."""
    return struct.pack(">4I", magic, *images.shape) + images.astype(np.uint8).tobytes()


@pytest.fixture
def write_idx() -> Callable[..., bytes]:
    """Return the writer of IDX bytes."""
    return idx


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Let `mnist` consist of 30 / 10 / 20 random images; return its two files, decompressed."""
    random = np.random.Generator(np.random.PCG64(0))
    train, test = (idx(random.integers(0, 256, (count, 28, 28))) for count in (40, 20))
    for name, count in COUNTS.items():
        monkeypatch.setattr(mnist, name, count)
    files = {"TRAIN_IMAGES": train, "TEST_IMAGES": test}
    for name, data in files.items():
        file: PublicFile = getattr(mnist, name)
        public = replace(
            file,
            checksum=Checksum("md5", Checksum("md5", "").of(data)),
            urls=tuple(mirror + file.name for mirror in DEAD_MIRRORS),
        )
        monkeypatch.setattr(mnist, name, public)
    return {getattr(mnist, name).name: data for name, data in files.items()}


@pytest.fixture
def tiny_folder(tiny_mnist: dict[str, bytes], tmp_path: Path) -> Path:
    """Return a data folder that holds the tiny MNIST as gzip files in its subfolder."""
    folder = tmp_path / "data"
    (folder / "mnist").mkdir(parents=True)
    for name, data in tiny_mnist.items():
        (folder / "mnist" / name).write_bytes(gzip.compress(data))
    return folder


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requested.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


@pytest.fixture
def serve() -> Iterator[Callable[[Path], tuple[str, list[str]]]]:
    """Return a function that serves a folder on loopback: its address and the paths asked for."""
    servers = []

    def start(folder: Path) -> tuple[str, list[str]]:
        handler = functools.partial(_Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.requested = []  # type: ignore[attr-defined]
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/", server.requested  # type: ignore[attr-defined]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class _Dribbling(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b"?")
                time.sleep(0.02)


@pytest.fixture
def dribbling() -> Iterator[str]:
    """Return the address of a server that sends 50 bytes a second."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Dribbling)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
