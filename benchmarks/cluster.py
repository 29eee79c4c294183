"""A sweep on 1 to 512 GPUs in virtual time: how busy they are, and how long it takes.

python benchmarks/cluster.py
python benchmarks/cluster.py --space omniglot_mlp --slots 8 64 --probes 12 48 192
python benchmarks/cluster.py --out benchmarks/results/cluster.csv

Schedule, packs and searches are the real ones. Nothing is trained: a member's order parameter is that of a
realisation whose threshold is drawn, and a pack takes the time that a pack of its size takes on an H100
(`benchmarks/results/step_cuda.csv`), and what its start takes. The same members one by one, each a trial of
its own as with plain Ray Tune, stand beside it.

members   of all cells, until every threshold is located to the tolerance of the space.
hours     from the start of the sweep to its end.
ideal     hours of the packs' training alone, if all GPUs shared it evenly.
busy      share of the GPUs' time in which they train.
plain     hours with one member a trial.
"""

import argparse
import heapq
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_spaces
from benchmarks.report import machine, print_row, write_rows
from benchmarks.threshold_realisations import FAMILIES, Drawn
from search_spaces import Space
from sweeps.plan.cells import PlannedCell, Point, plan_cells
from sweeps.plan.packs import Pack
from sweeps.preview import gpu_step_seconds
from sweeps.record.ledger import Ledger
from sweeps.schedule import Schedule
from sweeps.search.of_space import searches_of

WORKER_SECONDS, PACK_SECONDS = 15.0, 4.0
"""Start of a worker on a slot, once, and of each pack: libraries, then the model and its captured step."""

PLAIN_STEP_SECONDS = 13e-3
"""A step of one member in plain PyTorch on the same GPU."""

SCATTER = 0.02
"""Standard deviation of the realisations' thresholds."""

MEDIANS = 0.7, 0.9


@dataclass
class Members:
    """The members that are trained: what a schedule asks a ledger."""

    members: dict[str, Any] = field(default_factory=dict)
    by_cell: dict[str, dict[Point, float | None]] = field(default_factory=dict)

    def observed(self, cell: PlannedCell) -> dict[Point, float | None]:
        """Return the observations of a cell, a live view."""
        return self.by_cell.setdefault(cell.cell_id, {})


@dataclass(frozen=True)
class SimulatedSweep:
    """A sweep in virtual time: its members, its seconds, and the seconds in which slots trained."""

    members: int
    seconds: float
    training: float

    def busy(self, slots: int) -> float:
        """Return the share of the slots' time in which they trained."""
        return self.training / (slots * self.seconds)


def simulate(
    space: Space, slots: int, seed: int, step_seconds: Callable[[PlannedCell, int], float]
) -> SimulatedSweep:
    """Run a space on so many slots, with realisations of this seed.

    `step_seconds` are those of a pack of so many members of a cell.
    """
    data = SimpleNamespace(digest="drawn", train=range(10**6), validation=range(10**5), test=range(10**5))
    cells = plan_cells(space.swept(), lambda cell: cast(Any, data), "cuda")
    medians = [MEDIANS[0] + (MEDIANS[1] - MEDIANS[0]) * index / len(cells) for index in range(len(cells))]
    drawn = {
        cell.cell_id: Drawn(FAMILIES["normal"], SCATTER, (seed, index), median)
        for index, (cell, median) in enumerate(zip(cells, medians, strict=True))
    }
    ledger = Members()
    searches = searches_of(space, [ledger.observed(cell) for cell in cells])
    schedule = Schedule(cells, searches, cast(Ledger, ledger), slots, space.pack_size)
    now, training, members = 0.0, 0.0, 0
    free = [WORKER_SECONDS] * slots  # when each slot can take a pack
    running: list[tuple[float, int, Pack]] = []
    while True:
        free.sort()
        while free and (pack := schedule.next_pack()) is not None:
            seconds = pack.cell.cell.steps * step_seconds(pack.cell, len(pack.points))
            start = max(now, free.pop(0)) + PACK_SECONDS
            training += seconds
            members += len(pack.points)
            heapq.heappush(running, (start + seconds, members, pack))
        if not running:
            return SimulatedSweep(members, now, training)
        now, _, pack = heapq.heappop(running)
        for point in pack.points:
            ledger.observed(pack.cell)[point] = drawn[pack.cell.cell_id].train(point)
        schedule.finished(pack.pack_id)
        free.append(now)


def row_of(name: str, slots: int, probes: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Return a line of the table: means over seeds."""
    space = search_spaces.load(name, keys={"probes": probes})
    alone = search_spaces.load(name, keys={"probes": probes, "pack_size": 1})
    packed = [simulate(space, slots, seed, gpu_step_seconds) for seed in seeds]
    plain = [simulate(alone, slots, seed, lambda cell, members: PLAIN_STEP_SECONDS) for seed in seeds[:1]]

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return {
        "space": name,
        "gpus": slots,
        "probes": probes,
        "members": round(mean([outcome.members for outcome in packed])),
        "hours": f"{mean([outcome.seconds for outcome in packed]) / 3600:.2f}",
        "ideal": f"{mean([outcome.training for outcome in packed]) / slots / 3600:.2f}",
        "busy": f"{mean([outcome.busy(slots) for outcome in packed]):.2f}",
        "plain": f"{plain[0].seconds / 3600:.1f}",
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="omniglot_mlp")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--probes", type=int, nargs="+", default=[12, 48, 192])
    parser.add_argument("--seeds", type=int, default=3, help="realisations of the sweep")
    parser.add_argument("--out", type=Path, help="CSV file")
    given = parser.parse_args()
    rows = []
    for slots in given.slots:
        for probes in given.probes:
            rows.append(row_of(given.space, slots, probes, range(given.seeds)))
            print_row(rows[-1])
    if given.out:
        write_rows(given.out, rows, machine())


if __name__ == "__main__":
    main()
