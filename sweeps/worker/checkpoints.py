"""The state of a pack in training, as a file that is whole or is not used.

A file is what `torch.save` writes, then the SHA-256 of that. It is written aside, synced and renamed.
"""

import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import torch

from analysis.tables.replacing import replaced
from ouvae import NUMERICS_VERSION
from sweeps.errors import gist

DIGEST_BYTES = hashlib.sha256().digest_size


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says why."""


def write_checkpoint(path: Path, pack_id: str, state: dict[str, Any]) -> None:
    """Write the state of a pack: tensors and plain values.

    Raises:
        CheckpointError: it cannot be written, whatever the reason; what was there before is still there.
    """
    try:
        with replaced(path) as file:
            hashed = _Hashed(file)
            content = {"pack_id": pack_id, "numerics_version": NUMERICS_VERSION, **state}
            torch.save(content, cast(IO[bytes], hashed))
            file.write(hashed.digest())
    except Exception as error:  # a full disk is a RuntimeError of torch's, or an OSError of ours
        raise CheckpointError(f"{path.name} cannot be written: {gist(error)}") from error


def read_checkpoint(path: Path, pack_id: str) -> dict[str, Any]:
    """Return the state that was written of this pack, its tensors on the CPU.

    Raises:
        CheckpointError: it is cut, changed, foreign, or of another version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise CheckpointError(f"{path.name} is cut or was changed")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise CheckpointError(f"{path.name} is no checkpoint: {gist(error)}") from error
    if (state["pack_id"], state["numerics_version"]) != (pack_id, NUMERICS_VERSION):
        raise CheckpointError(f"{path.name} belongs to another pack or another version of the numbers")
    return state


def set_aside(path: Path) -> Path:
    """Move a checkpoint out of the way, for whoever wants to look at it, and return where to.

    Where the folder cannot be written it stays; nothing reads it a second time while its pack trains.
    """
    bad = path.with_name(f"{path.name}.bad")
    with suppress(OSError):
        os.replace(path, bad)
    return bad


class _Hashed:
    """A file open for writing that hashes what goes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._hash.digest()
