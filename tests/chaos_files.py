"""Faults of `tests/chaos.py` that are done to a run directory, most of them between two runs of the command.

A deed returns when it was done, in the trial's seconds, or None if there was nothing to do it to.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis import TableError
from analysis.tables.files import read_table, write_table
from analysis.tables.schema import MEMBERS, SCHEMAS
from analysis.tables.seal import is_intact
from sweeps.worker.weights import WeightsError, read_pack_weights
from tests.chaos_deeds import PATIENCE

if TYPE_CHECKING:
    from tests.chaos_faults import Deed, Fault
    from tests.chaos_trial import Trial

NOBODY = 2**22 + 1
"""An id that no process of Linux has."""


def damage_checkpoint(foreign: bool) -> Deed:
    """Return what cuts a pack's state or puts other bytes there, while the command is dead or alive."""

    def damage(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
        folder = trial.place.out / "checkpoints"
        trial.poll(lambda: list(folder.glob("*.pt")) or not trial.running, PATIENCE)
        dead = rng.random() < 0.5
        if dead:
            trial.kill_and_wait()
        fault.note = "dead" if dead else "alive"
        paths = sorted(folder.glob("*.pt"))
        if not paths:
            return None
        path, other = rng.choice(paths), rng.choice(paths)
        try:
            whole = path.read_bytes()
            if not foreign:
                content = whole[: rng.randrange(len(whole) + 1)]
            else:
                content = other.read_bytes() if other != path else rng.randbytes(len(whole))
            with path.open("r+b") as file:
                file.write(content)
                file.truncate()
        except FileNotFoundError:
            return None
        return trial.now

    return damage


def cut_fragment(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Cut a finished pack's file."""
    if not (pair := _a_fragment(trial, rng)):
        return None
    path = rng.choice(pair)
    os.truncate(path, rng.randrange(path.stat().st_size))
    trial.forget(pair[0].name)
    fault.note = path.name
    return trial.now


def flip_bit(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Flip a bit; what the command does not read must be refused by those who do."""
    out = trial.place.out
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path not in trial.untouched and path.stat().st_size:
            by_folder.setdefault(path.parent, []).append(path)
    if not by_folder:
        return None
    path = rng.choice(by_folder[rng.choice(sorted(by_folder))])
    content = bytearray(path.read_bytes())
    place = rng.randrange(8 * len(content))
    content[place // 8] ^= 1 << place % 8
    with path.open("r+b") as file:
        file.write(content)
    fault.note = f"bit {place} of {path.relative_to(out)}"
    if path.parent.name == "fragments" and path.suffix == ".parquet":
        trial.forget(path.name.replace(".history.", ".members."))
    if not is_intact(content):  # else the mark of its seal is hit, and its numbers are what they were
        if path.name == "space.yaml":
            trial.refuse([path.name])
            path.unlink()
        elif _is_believed(path):
            trial.problems.append(("tables", f"{path.name} can be read with a flipped bit: {fault.note}"))
    return trial.now


def _is_believed(path: Path) -> bool:
    """Tell whether a table or trained weights can be read."""
    try:
        if path.suffix == ".safetensors":
            read_pack_weights(path)
        elif path.suffix == ".parquet":
            read_table(path, SCHEMAS.get(path.stem.rpartition(".")[2], MEMBERS))
        else:
            return False
    except (TableError, WeightsError):
        return False
    return True


def copy_fragment(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Copy a finished pack's files to other names; the copies stay."""
    if not (pair := _a_fragment(trial, rng)):
        return None
    copies = _copied(pair, rng)
    trial.leave_untouched(copies)
    fault.note = f"{pair[0].name} as {copies[0].name}"
    return trial.now


def contradict_fragment(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Copy a finished pack's files with another number, and move the copies away once they are refused."""
    if not (pair := _a_fragment(trial, rng)):
        return None
    copies = _copied(pair, rng)
    table, name = pq.read_table(copies[0]), "elbo_nats"
    other = pc.add(table[name], pa.scalar(1, table.field(name).type))
    write_table(table.set_column(table.schema.get_field_index(name), table.field(name), other), copies[0])
    fault.note = f"{pair[0].name} as {copies[0].name}"
    trial.leave_untouched(copies)
    trial.refuse([pair[0].name, copies[0].name])
    for path in copies:
        del trial.untouched[path]
        path.unlink()
    return trial.now


def litter(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Leave files of others, under names like the command's, and what killed writers leave."""
    out, number = trial.place.out, f"{rng.getrandbits(64):016x}"
    mine = trial.place.folder / f"mine{number}"
    orphan, foreign = (trial.scratch / f"ouvae-{name}{number[:4]}" for name in ("old", "mine"))
    leftovers = (
        out / f".space.yaml.{NOBODY}.tmp",
        out / f"fragments/.{number}.members.parquet.{NOBODY}.{number[:8]}.tmp",
        out / f"checkpoints/.{number}.pt.{NOBODY}.tmp",
        orphan / ".lock",
        orphan / "ray/session/file",
    )
    others = (
        mine,
        out / "notes/.draft.tmp",
        out / ".cache.tmp/file",
        out / f".space.yaml.{number}.tmp",
        out / f"fragments/{number}.copy.members.parquet",
        out / f"fragments/.{number}.tmp",
        out / f"checkpoints/{number}.pt.bak",
        out / ".reserve.99",
        foreign / "file",
    )
    for path in (*leftovers, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(100))
    (foreign / ".lock").symlink_to(mine)
    trial.leave_untouched(others)
    return trial.now


def move(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Move the run directory."""
    here = trial.place.out
    if not here.exists():
        return None
    there = _another(here, "moved")
    os.rename(here, there)
    trial.go_on_in(there)
    fault.note = there.name
    return trial.now


def copy(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Copy the run directory and leave one of the two as it is, with its runs in MLflow."""
    here = trial.place.out
    if not (here / ".sweep_id").exists():
        return None
    there = _another(here, "copy")
    shutil.copytree(here, there, symlinks=True)
    left = rng.choice((here, there))
    if left == here:
        trial.leave_runs(trial.place.sweep_id())
        trial.go_on_in(there)
    trial.leave_untouched(path for path in left.rglob("*") if path.is_file())
    fault.note = f"to {there.name}, and it goes on in {trial.place.out.name}"
    return trial.now


def refuse(trial: Trial, fault: Fault, rng: random.Random) -> float | None:
    """Run the command in a way that is refused."""
    begun = (trial.place.out / "space.yaml").exists()
    if trial.running and not begun:
        return None
    fault.note = rng.choice(("settings", "store")) if begun else "store"
    if fault.note == "settings":
        trial.refuse(["batch_size"], "--set", "batch_size=51")
        return trial.now
    store = trial.place.folder / f"other{fault.dice}.db"
    with closing(sqlite3.connect(store)) as database:
        database.executescript(
            "create table alembic_version (version_num varchar(32)); "
            "insert into alembic_version values ('0123456789ab');"
        )
    trial.refuse([store.name], "--tracking-uri", f"sqlite:///{store}")
    return trial.now


def _a_fragment(trial: Trial, rng: random.Random) -> list[Path]:
    """Return the whole files of a finished pack, members first; none where there is no such pack."""
    names = sorted(trial.whole_fragments())
    if not names:
        return []
    members = trial.place.out / "fragments" / rng.choice(names)
    return [members, members.with_name(members.name.replace(".members.", ".history."))]


def _copied(pair: list[Path], rng: random.Random) -> list[Path]:
    """Copy the files of a pack to a random name."""
    name = f"{rng.getrandbits(64):016x}"
    copies = [path.with_name(f"{name}.{path.name.partition('.')[2]}") for path in pair]
    for path, other in zip(pair, copies, strict=True):
        shutil.copy2(path, other)
    return copies


def _another(folder: Path, word: str) -> Path:
    """Return a path beside a folder at which nothing is."""
    return next(path for n in range(1, 100) if not (path := folder.with_name(f"{word}{n}")).exists())
