"""An evaluation from end to end: check, measure pack after pack, write the tables again."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from analysis.tables.schema import Row
from analysis.text.words import plural
from ouvae import NUMERICS_VERSION
from search_spaces import Space
from sweeps import SweepError
from sweeps.driver import NOT_LOGGED
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.cells import plan_cells
from sweeps.record.agreement import space_of
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.remeasuring.cells import MeasuredCells
from sweeps.remeasuring.packs import PackMeasuring
from sweeps.schedule import Schedule
from sweeps.scratch import leave_lost_folder
from sweeps.search.of_space import searches_of
from sweeps.terminal.progress import Countdown
from sweeps.tracking.recorder import FAILED, OK, Recorder
from sweeps.tracking.store import check as check_store
from sweeps.tracking.uri import chosen_uri
from sweeps.worker.work import keep_freed_memory

_INCOMPLETE = -1
"""In place of an exit code: MLflow's run of a sweep that lacks members becomes KILLED."""


def measure_anew(path: Path, tracking_uri: str | None, data_dir: Path | None, console: Console) -> int:
    """Measure the members of a run anew, write its tables, and return the exit code.

    0: all completed members are measured; 1: some are not, or something could not be written; 3: all are, but
    MLflow lacks some of it; 128 and the number of a signal: interrupted.

    Args:
        path: folder of the run.
        tracking_uri: of the MLflow store; None is the environment's, or a SQLite file beside the run.
        data_dir: folder with the data files; None downloads them.
        console: takes the lines.

    Raises:
        DataError: a data set cannot be loaded.
        Interrupted: a signal came before any measurement.
        SpaceError: the run's space cannot be read.
        SweepError: it is no run, is in use, or none of its members can be measured.
    """
    leave_lost_folder(path)
    run = RunDirectory(path)
    space = space_of(run)
    uri = chosen_uri(tracking_uri, Path(os.path.abspath(path)).parent)
    interrupts = Interrupts(space.grace_seconds, console.print, done="measured")
    interrupts.on_leave = partial(console.show_cursor, True)
    with interrupts.caught(), run.held():
        ledger = Ledger(run, space)
        for notice in run.notices:
            console.print(notice)
        device = require_measurable(ledger)
        cells = MeasuredCells(ledger, space, data_dir)
        check_store(uri)
        run.begin(space.model_dump(mode="json"))
        interrupts.begin_saving()
        packs = PackMeasuring(ledger, cells, space)
        try:
            measure_all(packs, space.cpus_per_pack, ledger, cells, interrupts, console)
        except SweepError as error:  # a full disk
            console.print(f"error: {error}")
            return FAILED
        if interrupts.signal is not None:
            console.print(
                f"{plural(packs.measured, 'member')} measured anew; the tables are as before, and the same "
                "command measures the rest first"
            )
            return interrupts.exit_code
        if not packs.measured:
            raise SweepError("no member can be measured\n" + "\n".join(packs.lines_of_left()))
        return finish(space, device, ledger, cells, packs, uri, interrupts, console)


def require_measurable(ledger: Ledger) -> str:
    """Return the device that trained the members, which must be here, and their weights too.

    Noise of another device would give other numbers.

    Raises:
        SweepError: there are no members, no weights or no such device.
    """
    path = ledger.run.path
    if not ledger.members:
        raise SweepError(f"{path} has no finished members; run its sweep first")
    if not any(ledger.run.weights.glob("*.safetensors")):
        raise SweepError(
            f"{path} keeps no weights, so that its members cannot be measured anew; train them with "
            "save_weights=last in another --out"
        )
    device = ledger.device or "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SweepError(
            f"{path} holds members that were trained on cuda, and this machine has no "
            "GPU: evaluation noise of cpu and cuda differs; run the command on a machine with a GPU"
        )
    return device


def measure_all(
    packs: PackMeasuring,
    threads: int,
    ledger: Ledger,
    cells: MeasuredCells,
    interrupts: Interrupts,
    console: Console,
) -> None:
    """Measure pack after pack, those of another numerics version first, until a signal comes.

    Raises:
        SweepError: the disk is full, or users' code has changed.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in ledger.members.values():
        rows[row["pack_id"]].append(row)
    work = {
        pack_id: len(members) * cells.multiply_adds(members[0]["cell_id"])
        for pack_id, members in rows.items()
    }
    console.print(f"{plural(len(ledger.members), 'member')} in {plural(len(rows), 'pack')}")
    countdown = Countdown(console, len(ledger.members), sum(work.values()))
    gc.freeze()  # what is imported stays: each collection would look through it, for a second
    with countdown.shown():
        for pack_id in sorted(rows, key=lambda pack_id: not _behind(rows[pack_id])):
            if interrupts.signal is not None:
                return
            packs.measure(pack_id)
            cells.users_code.require_unchanged()
            gc.collect()  # a pack holds itself in cycles, on a GPU with gigabytes
            countdown.update(len(rows[pack_id]), work[pack_id])


def finish(
    space: Space,
    device: str,
    ledger: Ledger,
    cells: MeasuredCells,
    packs: PackMeasuring,
    uri: str,
    interrupts: Interrupts,
    console: Console,
) -> int:
    """Write and log the tables, report, and return the exit code."""
    run = ledger.run
    with suppress(OSError):  # trials never change; they are made again of the members
        run.studies.unlink(missing_ok=True)
    planned = plan_cells(space.swept(), cells.data.of, device, cells.users_code)
    searches = searches_of(space, [ledger.observed(cell) for cell in planned])
    recorder = Recorder(space, planned, searches, ledger, uri)
    interrupts.on_signal = recorder.tracker.interrupt
    schedule = Schedule(planned, searches, ledger, 1, space.pack_size)
    tables = recorder.write(schedule)
    results = recorder.results(tables)
    complete = OK if schedule.done else _INCOMPLETE
    report = recorder.close(FAILED if ledger.failed else complete, interrupts, console)
    if tables:
        names = ", ".join(f"{name}.parquet" for name in tables)
        console.print(f"\n{results}\n\ntables   {run.path}/: {names}")
    console.print(f"{plural(packs.measured, 'member')} measured anew, numerics version {NUMERICS_VERSION}")
    problems = [*packs.lines_of_left(), *recorder.problems.values()]
    for line in problems:
        console.print(f"error: {line}")
    if behind := [row for row in ledger.members.values() if _behind([row])]:
        versions = ", ".join(sorted({str(row["numerics_version"]) for row in behind}))
        console.print(
            f"{plural(len(behind), 'member')} still of numerics version {versions}: sweeps of this "
            f"version, {NUMERICS_VERSION}, refuse to go on in {run.path}; train them in another --out, or go "
            "on with the version that made them"
        )
    if not schedule.done:
        console.print("the sweep is not complete; its command trains what is missing")
    console.print(f"{report}")
    if interrupts.signal is not None:
        return interrupts.exit_code
    if problems:
        return FAILED
    return OK if report.complete else NOT_LOGGED


def _behind(rows: Iterable[Row]) -> bool:
    """Tell whether any of these members is of another numerics version."""
    return any(row["numerics_version"] != NUMERICS_VERSION for row in rows)
