"""Who a run is: an identity that moves with its directory and that copies of the directory do not share.

.sweep_id    the identity, the tag `sweep_id` of the run's sweep in MLflow
.origin      the identity with path and inode of the directory that it was given to
"""

import json
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from analysis.tables.replacing import replacing
from analysis.tables.seal import BLANK, is_intact, sealed

SWEEP_ID, ORIGIN = ".sweep_id", ".origin"


def identify(folder: Path) -> tuple[str, Path | None]:
    """Return a run's identity, made where it has none, and the directory that it is a copy of, if it is one.

    A copy gets an identity of its own, once. A directory that was moved keeps its identity.

    Raises:
        TableError: the identity cannot be written.
    """
    record = _record(folder)
    plain = plain_id(folder)
    sweep_id = record.get("sweep_id", plain)
    original = _original(folder, record, sweep_id) if sweep_id else None
    if original or not sweep_id:
        sweep_id = uuid.uuid4().hex
    renewed = {"sweep_id": sweep_id, "path": str(folder.resolve()), "inode": folder.stat().st_ino}
    if renewed != record:
        with replacing(folder / ORIGIN) as file:
            file.write(sealed(json.dumps(renewed).encode() + b"\n" + BLANK + b"\n"))
    if plain != sweep_id:
        with replacing(folder / SWEEP_ID) as file:
            file.write(sweep_id.encode())
    return sweep_id, original


def exclusive_id(folder: Path) -> str:
    """Return a run's identity; empty for none, and for a copy that still has that of its original."""
    sweep_id = plain_id(folder)
    return "" if sweep_id and _original(folder, _record(folder), sweep_id) else sweep_id


def _original(folder: Path, record: Mapping[str, Any], sweep_id: str) -> Path | None:
    """Return the other directory that has the identity, if `folder` is the copy of the two."""
    here, there = folder.resolve(), Path(record.get("path", ""))
    if record and there == here:
        return None
    if record and _has(there, sweep_id, here):
        return there
    if record.get("inode") == folder.stat().st_ino:  # moved
        return None
    # The original may be elsewhere by now. Without a record an earlier version wrote the run.
    files = [path for parent in (here.parent, there.parent) for path in parent.glob(f"*/{SWEEP_ID}")]
    return next((file.parent for file in files if _has(file.parent, sweep_id, here)), None)


def _has(folder: Path, sweep_id: str, here: Path) -> bool:
    """Tell whether another directory than the one here has this identity."""
    with suppress(OSError):
        return not folder.samefile(here) and plain_id(folder) == sweep_id
    return False


def plain_id(folder: Path) -> str:
    """Return what `.sweep_id` says; empty where it says no identity."""
    with suppress(OSError, UnicodeDecodeError):
        text = (folder / SWEEP_ID).read_text(encoding="utf-8").strip()
        return text if re.fullmatch("[0-9a-f]{32}", text) else ""
    return ""


def _record(folder: Path) -> dict[str, Any]:
    """Return what `.origin` says; empty where it is missing or damaged."""
    with suppress(OSError, ValueError):
        content = (folder / ORIGIN).read_bytes()
        if is_intact(content):
            return dict(json.loads(content.partition(b"\n")[0]))
    return {}
