"""Where a run keeps the states of its packs, which its directory records: in itself, or at a URI."""

import os
from contextlib import suppress
from pathlib import Path

from analysis.tables.replacing import replacing
from analysis.text.words import plural
from sweeps.record.identity import exclusive_id
from sweeps.record.paths import Paths
from sweeps.worker.objects import Objects, without_secrets
from sweeps.worker.states import Folder, States, StatesError

IN_RUN = "run"
"""What stands for the run directory where a URI of states is expected."""


def recorded_uri(run: Path) -> str:
    """Return the URI at which a run keeps its states; empty for its own directory."""
    with suppress(OSError, UnicodeDecodeError):
        return Paths(run).states_uri.read_text(encoding="utf-8").strip()
    return ""


def states_at(uri: str, run: Paths, sweep_id: str) -> States:
    """Return the states of a run at a URI; those in its directory for an empty one."""
    return Objects(uri, sweep_id) if uri else Folder(str(run.checkpoints.resolve()))


def settle(run: Paths, uri: str, sweep_id: str) -> list[str]:
    """Record where a run keeps its states from now on, and move them there; return lines about it.

    Raises:
        OSError, TableError: the run directory cannot be written.
    """
    earlier = recorded_uri(run.path)
    if earlier == uri:
        return []
    old, new = states_at(earlier, run, sweep_id), states_at(uri, run, sweep_id)
    lines = _moved(
        old, new, f"from {without_secrets(earlier) or run.path} to {without_secrets(uri) or run.path}"
    )
    if uri:
        with replacing(run.states_uri) as file:
            file.write(uri.encode())
    else:
        os.unlink(run.states_uri)
    return lines


def clear_states(run: Path) -> None:
    """Delete the states that a run keeps at a URI; a copy of a run leaves those of the original.

    Raises:
        StatesError: the place does not answer, or refuses.
    """
    uri, sweep_id = recorded_uri(run), exclusive_id(run)
    if uri and sweep_id:
        Objects(uri, sweep_id).clear()


def _moved(old: States, new: States, way: str) -> list[str]:
    """Move all states; return a line if there were any, or if they cannot be moved."""
    try:
        packs = old.packs()
        for pack_id in packs:
            if (state := old.read(pack_id)) is not None:
                with new.replaced(pack_id) as file:
                    file.write(state)
                old.remove(pack_id)
    except (StatesError, OSError) as error:
        return [f"states of packs are not moved {way}, and their packs start afresh: one {error}"]
    return [f"states of {plural(len(packs), 'pack')} are moved {way}"] if packs else []
