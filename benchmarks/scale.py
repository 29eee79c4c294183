"""What a sweep costs beside training: driver time a member, memory, resuming, tables.

python benchmarks/scale.py
python benchmarks/scale.py --members 10000 100000 --cells 100 --pack 12 --track sweep
python benchmarks/scale.py --out benchmarks/results/scale.csv

Nothing is trained: outcomes are made up, and go the way of real ones through the schedule, the run directory,
the Optuna studies, the tracker and the tables. Every size is a process of its own on a fresh folder: a grid
of rho and seeds for each cell, with refreshes of the tables on the way, then the end. A second process opens
what is there and writes the report again, as a finished sweep that is run once more.

ms a member    of the driver, in all, to the end of its report; `of which` says where.
refresh        seconds of the last refresh of the tables before the end.
resume         seconds from opening the finished run to its report.
memory         most that was resident.
"""

import argparse
import io
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_spaces
from benchmarks.report import machine, write_rows
from ouvae.declared import METRICS
from ouvae.training.outcome import Outcome
from search_spaces import Space
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.cells import Point, plan_cells
from sweeps.plan.packs import Pack
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.schedule import Schedule
from sweeps.search.of_space import searches_of
from sweeps.tracking import recorder as recording
from sweeps.tracking.recorder import Recorder
from sweeps.worker.hardware import Machine
from sweeps.worker.task import PackResult

TRACKS = ("auto", "members", "cells", "sweep")
EVALUATIONS = (0, 500, 1000)
RHO = 10
SPLITS = (1000, 400, 397)


class Clock:
    """Seconds of this process by part: in all, and of the last time."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.last: dict[str, float] = {}

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what happens within as that part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.last[part] = time.perf_counter() - started
            self.seconds[part] += self.last[part]

    def count(self, owner: object, method: str, part: str) -> None:
        """Count each call of a method of an object as that part."""
        called = getattr(owner, method)

        def timed(*arguments: Any, **more: Any) -> Any:
            with self.on(part):
                return called(*arguments, **more)

        setattr(owner, method, timed)


class Splits(NamedTuple):
    """What a plan asks of a data set."""

    digest: str = "made up"
    train: range = range(SPLITS[0])
    validation: range = range(SPLITS[1])
    test: range = range(SPLITS[2])


def space_of(cells: int, members: int, track: str) -> Space:
    """Return a grid of so many cells and members: ten values of rho, and as many seeds as it takes."""
    width = math.ceil(cells**0.5)
    sizes = [[2 + place // width, 2 + place % width] for place in range(cells)]
    settings = [
        f"name=scale_{cells}_{members}",
        f"latents={sizes}",
        f"rho={[round(0.5 + 0.05 * place, 2) for place in range(RHO)]}",
        f"seeds={max(1, members // (cells * RHO))}",
        f"track={track}",
        "search=grid",
    ]
    return search_spaces.load("digits", settings)


def outcome(pack: Pack, point: Point) -> Outcome:
    """Return a made-up outcome, with a number for each metric; thresholds are spread from 0.6 to 0.9."""
    depth = pack.cell.cell.depth
    threshold = 0.6 + 0.3 * ((point.seed * 0.6180339887) % 1)
    kl = max(0.0, threshold - point.value) * 10

    def evaluation(step: int) -> dict[str, Any]:
        value = kl * step / EVALUATIONS[-1]
        numbers = {
            metric.name: [int(value)] * depth if metric.whole and metric.per_layer
            else int(value) if metric.whole
            else [value] * depth if metric.per_layer
            else [value] * pack.cell.cell.latents[-1] if metric.per_unit
            else value
            for metric in METRICS
        }  # fmt: skip
        return {"step": step, **numbers}

    return Outcome(point.value, point.seed, [evaluation(step) for step in EVALUATIONS], None, None)


def result(pack: Pack) -> PackResult:
    """Return a made-up result of a pack."""
    outcomes = tuple(outcome(pack, point) for point in pack.points)
    worker: Machine = {"processor": "none", "cpu_features": "none", "library_versions": "none"}
    return PackResult(outcomes, 10_000, 1.0, "none", "none", worker)


def drive(folder: Path, space: Space, pack_size: int, refreshes: int) -> dict[str, Any]:
    """Take a sweep from where it is to its report, and return what that cost."""
    clock, started = Clock(), time.perf_counter()
    run = RunDirectory(folder / space.name)
    cells = plan_cells(space.swept(), lambda cell: Splits(), "cpu")  # type: ignore[arg-type,return-value]
    with run.held():
        ledger = Ledger(run, space)
        run.begin(space.model_dump(mode="json"))
        opened = time.perf_counter() - started
        clock.count(recording, "write_tables", "tables")
        searches = searches_of(space, [ledger.observed(cell) for cell in cells])
        expected = sum(search.expected_points() for search in searches)
        with clock.on("listeners told of what is there"):
            recorder = Recorder(space, cells, searches, ledger, f"sqlite:///{folder / 'mlflow.db'}")
        with clock.on("schedule"):
            schedule = Schedule(cells, searches, ledger, 64, pack_size)
        packs, made_up = 0, 0.0
        every = max(1, math.ceil(expected / pack_size / refreshes))
        while True:
            with clock.on("schedule"):
                pack = schedule.next_pack()
            if pack is None:
                break
            begun = time.perf_counter()
            made = result(pack)
            made_up += time.perf_counter() - begun
            with clock.on("fragments"):
                fragment = ledger.add(pack, made)
            with clock.on("listeners"):
                recorder.tell(fragment)
            with clock.on("schedule"):
                schedule.finished(pack.pack_id)
            packs += 1
            if packs % every == 0:
                with clock.on("refresh"):
                    recorder.refresh()
        with clock.on("end: tables, figures"):
            recorder.write(schedule)
        with clock.on("end: MLflow"):
            closed = recorder.close(0, Interrupts(10.0, print), Console(file=io.StringIO()))
    if not (schedule.done and closed.complete):
        raise RuntimeError(f"the sweep did not end well: {closed}")
    return {
        "members": len(ledger.members),
        "packs": packs,
        "seconds": time.perf_counter() - started - made_up,
        "opened": opened,
        "last refresh": clock.last.get("refresh", 0.0),
        "parts": {part: round(spent, 3) for part, spent in clock.seconds.items()},
        "resident": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def measure(cells: int, members: int, pack_size: int, track: str, refreshes: int) -> dict[str, Any]:
    """Measure a sweep and its repetition, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ouvae-scale-") as folder:
        first, again = (_in_a_process(folder, cells, members, pack_size, track, refreshes) for _ in range(2))
    if again["members"] != first["members"] or again["packs"]:
        raise RuntimeError(f"the repetition trained {again['packs']} packs")
    return {
        "cells": cells,
        "members": first["members"],
        "pack": pack_size,
        "track": track,
        "ms_a_member": round(1e3 * first["seconds"] / first["members"], 3),
        "last_refresh_s": round(first["last refresh"], 3),
        "resume_s": round(again["seconds"], 2),
        "resident_mib": round(max(first["resident"], again["resident"]) / 2**20),
        "parts_s": json.dumps(first["parts"]),
    }


def _in_a_process(folder: str, *values: object) -> dict[str, Any]:
    command = [sys.executable, __file__, "--drive", folder, *map(str, values)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    costs: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return costs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="scale.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--members", nargs="+", type=int, default=[1_000, 10_000, 100_000], metavar="N", help="of the sweeps")
    add("--cells", type=int, default=100, metavar="N", help="of each sweep, default 100")
    add("--pack", type=int, default=12, metavar="P", help="members of a pack, default 12")
    add("--track", choices=TRACKS, default="auto", help="what MLflow is told of, default auto")
    add("--refreshes", type=int, default=10, metavar="N", help="of the tables on the way, default 10")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    add("--drive", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.drive:
        folder, cells, members, pack_size, track, refreshes = given.drive
        space = space_of(int(cells), int(members), track)
        print(json.dumps(drive(Path(folder), space, int(pack_size), int(refreshes))))
        return 0
    rows = []
    for members in given.members:
        row = measure(given.cells, members, given.pack, given.track, given.refreshes)
        parts = ", ".join(f"{part} {spent:.1f}" for part, spent in json.loads(row["parts_s"]).items())
        print(
            f"{row['members']:,} members in {row['cells']} cells, packs of {row['pack']}, track "
            f"{row['track']}: {row['ms_a_member']} ms a member, last refresh {row['last_refresh_s']} s, "
            f"resume {row['resume_s']} s, {row['resident_mib']} MiB\n  of which seconds: {parts}",
            flush=True,
        )
        rows.append(row)
    if given.out:
        write_rows(given.out, rows, machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
