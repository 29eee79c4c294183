"""States of packs as objects of a file system that pyarrow knows: S3, Google Cloud Storage, HDFS, folders.

An object is `URI/SWEEP_ID/PACK.pt`. Credentials come from where each client library looks for them: the
environment and the files of a node, or the role of its machine. A URI with credentials is refused.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import IO, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sweeps.errors import SweepError, gist
from sweeps.worker.states import BAD, SUFFIX, States, StatesError

SCHEMES = ("s3", "gs", "hdfs", "file")

OPTIONS = (
    *("region", "scheme", "endpoint_override", "tls_ca_file_path"),
    *("project_id", "retry_limit_seconds", "replication", "buffer_size", "default_block_size"),
)
"""Keys that the query of a URI may have: pyarrow's, but for those that hold credentials or make buckets."""

WHOLE_WHEN_CLOSED = ("s3", "gcs")
"""File systems, by pyarrow's names, without folders, in which an object replaces another when its writer
closes it."""

BYTES_IN_MEMORY = 64 * 2**20
"""Size up to which a state waits in memory to be sent; a larger one waits in a temporary file."""


@dataclass(frozen=True)
class Objects(States):
    """States of the packs of a sweep at a URI.

    Attributes:
        uri: that `require_usable` takes.
        sweep_id: of the sweep, which shares the URI with others.
    """

    uri: str
    sweep_id: str

    @contextmanager
    def replaced(self, pack_id: str) -> Iterator[IO[bytes]]:
        """Open a state to write; see `States.replaced`.

        It is sent when it is complete: pyarrow closes an object after an error too, and would leave half of
        it in place of the whole one.
        """
        with tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY) as file:
            yield file
            file.seek(0)
            with _explained("written"):
                system, folder = self._opened()
                name = f"{folder}/{pack_id}{SUFFIX}"
                if system.type_name in WHOLE_WHEN_CLOSED:
                    _send(file, system, name)
                else:
                    aside = f"{folder}/.{pack_id}{SUFFIX}.{uuid.uuid4().hex[:8]}.tmp"
                    system.create_dir(folder)
                    try:
                        _send(file, system, aside)
                        system.move(aside, name)
                    except Exception:
                        with suppress(Exception):
                            system.delete_file(aside)
                        raise

    def read(self, pack_id: str) -> bytes | None:
        """Return a pack's state; see `States.read`."""
        with _explained("read"):
            system, folder = self._opened()
            with suppress(FileNotFoundError), system.open_input_stream(f"{folder}/{pack_id}{SUFFIX}") as file:
                return bytes(file.read())
        return None

    def set_aside(self, pack_id: str) -> str:
        """Rename the object; see `States.set_aside`."""
        name = f"{pack_id}{SUFFIX}{BAD}"
        with suppress(StatesError), _explained("set aside"):
            system, folder = self._opened()
            system.move(f"{folder}/{pack_id}{SUFFIX}", f"{folder}/{name}")
        return name

    def remove(self, pack_id: str) -> None:
        """Delete the object; see `States.remove`."""
        with _explained("deleted"), suppress(FileNotFoundError):
            system, folder = self._opened()
            system.delete_file(f"{folder}/{pack_id}{SUFFIX}")

    def packs(self) -> list[str]:
        """Return the packs of the objects; see `States.packs`."""
        names = [name for name, _ in self._objects()]
        return sorted(name.removesuffix(SUFFIX) for name in names if re.fullmatch(rf"[^.]+\{SUFFIX}", name))

    def clear(self) -> None:
        """Delete all objects of the sweep, and its folder if nothing else is in it. Raises StatesError."""
        ours = rf"[^.]+\{SUFFIX}(\{BAD})?|\.[^.]+\{SUFFIX}\.[0-9a-f]{{8}}\.tmp"
        with _explained("deleted"):
            system, folder = self._opened()
            for name, path in self._objects():
                if re.fullmatch(ours, name):
                    system.delete_file(path)
            if not self._objects():
                with suppress(FileNotFoundError):
                    system.delete_dir(folder)

    def _objects(self) -> list[tuple[str, str]]:
        """Return name and path of whatever is in the sweep's folder."""
        from pyarrow.fs import FileSelector

        with _explained("listed"):
            system, folder = self._opened()
            found = system.get_file_info(FileSelector(folder, allow_not_found=True))
            return [(info.base_name, info.path) for info in found]

    def _opened(self) -> tuple[Any, str]:
        """Return the file system, and the sweep's folder in it."""
        system, root = _file_system(self.uri)
        return system, f"{root.rstrip('/')}/{self.sweep_id}"


def require_usable(uri: str) -> None:
    """Refuse a URI at which states cannot be kept: write, read and delete an object there.

    Raises:
        SweepError: the URI is malformed or holds credentials, or its place does not answer or refuses.
    """
    _check_form(uri)
    probe = Objects(uri, f"probe-{uuid.uuid4().hex}")
    try:
        with probe.replaced("probe") as file:
            file.write(b"probe")
        content = probe.read("probe")
        probe.clear()
    except StatesError as error:
        raise _refused(
            uri,
            f"a state {error}",
            "correct the URI, give this machine and the nodes credentials that may read, write, list and "
            "delete there, or keep states in the run directory: --checkpoints run",
        ) from error
    if content != b"probe":
        raise _refused(uri, "what is written there is not read back", "give another URI")


def without_secrets(uri: str) -> str:
    """Return a URI, which may be malformed, without what stands before an @ and after a question mark."""
    return re.sub(r"^([\w+.-]*://)?.*@", r"\1", unquote(uri), flags=re.DOTALL).partition("?")[0]


def _check_form(uri: str) -> None:
    """Refuse a URI that is none, or that would bring credentials into logs. Raises SweepError."""
    scheme, colon, rest = uri.partition("://")
    if not colon or scheme not in SCHEMES or not uri.isprintable():
        raise _refused(
            uri, "not usable", "give s3://, gs:// or hdfs://, or file:///FOLDER that all nodes see"
        )
    if scheme != "file" and "@" in unquote(rest):
        raise _refused(
            uri,
            "it has an @, before which credentials stand, and URIs are logged",
            "leave them out, and set the variables of the environment that the client of the store reads, "
            "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    try:
        keys = [key for key, _ in parse_qsl(urlsplit(uri).query, keep_blank_values=True)]
    except ValueError:
        raise _refused(uri, "malformed", "write it as s3://BUCKET/FOLDER") from None
    if wrong := sorted(set(keys) - set(OPTIONS)):
        raise _refused(uri, f"unknown keys {', '.join(wrong)}", f"allowed are {', '.join(OPTIONS)}")


def _refused(uri: str, problem: str, mend: str) -> SweepError:
    return SweepError(f"--checkpoints '{without_secrets(uri)}': {problem}; {mend}")


@cache
def _file_system(uri: str) -> tuple[Any, str]:
    """Return pyarrow's file system of a URI, and the path in it."""
    from pyarrow.fs import FileSystem

    system, path = FileSystem.from_uri(uri)
    return system, path


def _send(file: IO[bytes] | Any, system: Any, name: str) -> None:
    with system.open_output_stream(name) as stream:
        shutil.copyfileobj(file, stream, 2**20)


@contextmanager
def _explained(done: str) -> Iterator[None]:
    """Turn whatever pyarrow raises into a StatesError that says what cannot be done, and why."""
    try:
        yield
    except StatesError:
        raise
    except Exception as error:  # of pyarrow, of the system, of a client library that is missing
        raise StatesError(f"cannot be {done}: {gist(error)}") from error
