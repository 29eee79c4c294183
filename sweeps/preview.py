"""What a sweep would train, and how long that takes, for `--dry-run`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from analysis.text.words import data_used, duration, plural
from ouvae.data import Dataset
from ouvae.declared import Cell, labels
from search_spaces import Space
from sweeps.executors.events import NodeResources
from sweeps.executors.executor import SERIAL
from sweeps.executors.places import device_of, resources_of
from sweeps.machine.cpus import usable_cpus
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.cells import PlannedCell
from sweeps.plan.data_sets import DataSets
from sweeps.plan.packs import Packing, largest_pack, pack_points
from sweeps.plan.users_code import UsersCode
from sweeps.preparing import Options, planned, prepare, refuse
from sweeps.record.agreement import fixed_probes
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.record.rows import cell_columns
from sweeps.search.of_space import searches_of, with_probes
from sweeps.terminal.console import print_whole

CORE_SPEED = 1.5e10
"""Multiply-adds a second of a CPU core in packed training, where the data to measure it are not here."""

GPU_STEP_SECONDS, GPU_MEMBER_SECONDS, GPU_SPEED = 0.85e-3, 21e-6, 9e12
"""A step on a GPU takes `GPU_MEMBER_SECONDS` per member and the time of its multiply-adds, `GPU_SPEED` per
second, but at least `GPU_STEP_SECONDS`. Measured on an H100 (`benchmarks/results/step_cuda.csv`)."""

WARM_STEPS, TIMED_SECONDS = 3, 1.0
"""Steps of a pack before its steps are timed, and for how long: the first ones prepare the program."""

AROUND_SECONDS = 20.0
"""Start and end of a sweep: Ray, libraries, figures, report and MLflow."""

COLUMNS = ("cell", "members", "trained", "packs at first", "member-steps", "slot time")


def plan(space: Space, options: Options, console: Console) -> None:
    """Print cells, members, packs, data and the expected time of the space; record and download nothing.

    What the sweep would refuse is refused in the same words. Steps on a CPU are timed with a pack of the
    first cell; those of other cells follow from their multiply-adds. A cluster is not asked for its slots,
    and its packs are counted as if it had one.

    Raises:
        DataError, SweepError, TableError: as `driver.sweep`.
        Interrupted: a signal came.
    """
    stores, run = refuse(space, options), RunDirectory(options.run_directory(space))
    interrupts = Interrupts(space.grace_seconds, console.print, ends_process=options.ends_process)
    with interrupts.caught(), run.held():
        ledger, users_code = Ledger(run, space), UsersCode(space.cells())
        data = prepare(space, options, stores.tracking, interrupts, download=False)
        device = _device(space, options, ledger)
        loaded = [swept for swept in space.swept() if swept.cell in data]
        cells = planned(loaded, data, device, users_code, ledger)
        slots = _slots(space, options, device)
        space = with_probes(space, fixed_probes(run), slots or 1, device)
        _print(_Preview(space, ledger, device, slots), data, cells, console)


@dataclass
class _Preview:
    """A sweep that is previewed: where it would train, and what is trained already."""

    space: Space
    ledger: Ledger
    device: str
    slots: int | None


def _print(preview: _Preview, data: DataSets, loaded: Sequence[PlannedCell], console: Console) -> None:
    space, by_cell = preview.space, {planned_cell.cell: planned_cell for planned_cell in loaded}
    names = labels(space.cells())
    cells = [
        replace(by_cell[swept.cell], label=name)
        if swept.cell in by_cell
        else PlannedCell(
            cell=swept.cell,
            label=name,
            control=swept.control,
            values=swept.values,
            device=preview.device,
            **_NOT_LOADED,
        )
        for swept, name in zip(space.swept(), names, strict=True)
    ]
    observed = [preview.ledger.observed(cell) for cell in cells]
    speed = _speed(preview, data, loaded)
    table = Table(*(Column(name, no_wrap=True) for name in COLUMNS))
    seconds, members, trained = 0.0, 0, 0
    for cell, search, known in zip(cells, searches_of(space, observed), observed, strict=True):
        largest = space.pack_size or largest_pack(cell)
        packs = pack_points(search.ask(), Packing(largest, preview.slots or 1, len(cells)), cell)
        expected = search.expected_points()
        left = max(0, expected - len(known))
        time_left = left * speed(cell, max(1, min(largest, left)))
        counts = (expected, len(known), len(packs), left * cell.cell.steps)
        table.add_row(cell.label, *(f"{count:,}" for count in counts), duration(time_left))
        seconds, members, trained = seconds + time_left, members + expected, trained + len(known)
    console.print(f"space {space.name}: search {space.search}, seeds {list(space.seeds)}")
    print_whole(console, table)
    lines = [data_used(cell_columns(cell)) for cell in loaded]
    lines += [f"{cell.dataset}, which the sweep will fetch" for cell in space.cells() if cell not in data]
    console.print("\n".join(f"data: {line}" for line in dict.fromkeys(lines)))
    there = f", {trained} of them trained" if trained else ""
    cost = f"{members} members expected{there}, about {duration(seconds)} of one slot"
    if preview.slots is not None:
        whole = seconds / preview.slots + AROUND_SECONDS
        cost += (
            f", {duration(whole)} with start and end on the {plural(preview.slots, 'slot')} of this machine"
        )
    console.print(cost)


_NOT_LOADED: dict[str, Any] = {"data_digest": "", "split_images": (0, 0, 0)}
"""What is not known of a cell whose data set would be downloaded."""


def _device(space: Space, options: Options, ledger: Ledger) -> str:
    """Return where members would train; a cluster's nodes are not asked, and may have no GPU."""
    if not options.is_local:
        return ledger.device or ("cpu" if space.device == "auto" else space.device)
    return device_of(space, [_this_machine()], ledger.device)


def _this_machine() -> NodeResources:
    import torch

    return {"CPU": float(usable_cpus()), "GPU": float(torch.cuda.device_count())}


def _slots(space: Space, options: Options, device: str) -> int | None:
    """Return how many packs train at once; None on a cluster."""
    if options.address == SERIAL:
        return 1
    return max(1, resources_of(space, device).slots_of([_this_machine()])) if options.is_local else None


def _speed(
    preview: _Preview, data: DataSets, loaded: Sequence[PlannedCell]
) -> Callable[[PlannedCell, int], float]:
    """Return the seconds that a slot trains a member of a cell in a pack of so many."""
    if preview.device == "cuda":
        return _seconds_on_a_gpu
    if not loaded:
        return lambda cell, members: cell.cell.steps * cell.multiply_adds() / CORE_SPEED
    first = loaded[0]
    step, evaluation = _timed(first, data.of(first.cell), preview.space)

    def seconds(cell: PlannedCell, members: int) -> float:
        scale = cell.multiply_adds() / first.multiply_adds()
        return scale * (
            cell.cell.steps * step + _evaluations(cell.cell) * evaluation + _bound(cell.cell, step)
        )

    return seconds


def gpu_step_seconds(cell: PlannedCell, members: int) -> float:
    """Return the seconds of a step of so many members of a cell on a GPU."""
    return max(GPU_STEP_SECONDS, members * (GPU_MEMBER_SECONDS + cell.multiply_adds() / GPU_SPEED))


def _seconds_on_a_gpu(cell: PlannedCell, members: int) -> float:
    step = gpu_step_seconds(cell, members) / members
    return cell.cell.steps * step + _bound(cell.cell, step)


def _evaluations(cell: Cell) -> int:
    return 1 + -(-cell.steps // cell.eval_every)


def _bound(cell: Cell, step: float) -> float:
    """Return the seconds of L_k on the test split: forward runs, of which a step is about three."""
    images = cell.bound_images or 1000
    return (cell.bound_samples or 0) * images / cell.batch_size * step / 3


def _timed(planned_cell: PlannedCell, data: Dataset, space: Space) -> tuple[float, float]:
    """Train a pack of a cell for a moment; return the seconds of a member's step and of its evaluation."""
    import torch

    from ouvae.training.pack import pack_of

    size = space.pack_size or largest_pack(planned_cell)
    values = planned_cell.values
    threads = torch.get_num_threads()
    torch.set_num_threads(space.cpus_per_pack)
    try:
        members = [(values[seed % len(values)], seed) for seed in range(size)]
        pack = pack_of(planned_cell.cell, planned_cell.control, members, data)
        pack.evaluate()
        evaluated = time.perf_counter()
        pack.evaluate()
        begun = time.perf_counter()
        for _ in range(WARM_STEPS):
            pack.train_step()
        warm, steps = time.perf_counter(), 0
        while steps < 2 or time.perf_counter() - warm < TIMED_SECONDS:
            pack.train_step()
            steps += 1
        return (time.perf_counter() - warm) / steps / size, (begun - evaluated) / size
    finally:
        torch.set_num_threads(threads)
