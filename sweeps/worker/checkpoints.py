"""The state of a pack in training: whole, or not used. `states` says where it lives.

A state is what `torch.save` writes, then the SHA-256 of that.
"""

import hashlib
import io
from typing import IO, Any, cast

import torch

from ouvae import NUMERICS_VERSION
from sweeps.errors import gist
from sweeps.worker.states import SUFFIX, States

DIGEST_BYTES = hashlib.sha256().digest_size


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says why."""


def write_checkpoint(states: States, pack_id: str, state: dict[str, Any]) -> None:
    """Write the state of a pack: tensors and plain values.

    Raises:
        CheckpointError: it cannot be written, whatever the reason; what was there before is still there.
    """
    try:
        with states.replaced(pack_id) as file:
            hashed = _Hashed(file)
            content = {"pack_id": pack_id, "numerics_version": NUMERICS_VERSION, **state}
            torch.save(content, cast(IO[bytes], hashed))
            file.write(hashed.digest())
    except Exception as error:  # a full disk is a RuntimeError of torch's, or an OSError of ours
        raise CheckpointError(f"{pack_id}{SUFFIX} cannot be written: {gist(error)}") from error


def read_checkpoint(states: States, pack_id: str) -> dict[str, Any] | None:
    """Return the state that was written of this pack, its tensors on the CPU; None without one.

    Raises:
        CheckpointError: it is cut, changed, foreign, or of another version.
        StatesError: its place does not answer.
    """
    content, name = states.read(pack_id), f"{pack_id}{SUFFIX}"
    if content is None:
        return None
    body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise CheckpointError(f"{name} is cut or was changed")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise CheckpointError(f"{name} is no checkpoint: {gist(error)}") from error
    if (state["pack_id"], state["numerics_version"]) != (pack_id, NUMERICS_VERSION):
        raise CheckpointError(f"{name} belongs to another pack or another version of the numbers")
    return state


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
