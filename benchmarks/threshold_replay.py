"""Searches that are served from a table of trained members, without training.

A replay puts the seeds of a cell in a random order. The initial grid of the search is the whole curves of the
first seeds, at five of the trained values of rho; each probe is a seed that the replay has not used, at the
value of rho next to the one asked for. When all seeds are used, the replay ends with the interval it has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis import TableError
from analysis.statistics.curves import curves_of
from analysis.statistics.estimate import collapsed_side, seed_threshold
from analysis.statistics.summary import read_rule
from analysis.tables.files import read_members, rows_of
from analysis.tables.schema import Row
from analysis.text.words import cell_names
from benchmarks.threshold_realisations import COARSE_RHO, GRID_SEEDS, Found, Realisations, locate
from ouvae.declared import ORDER_PARAMETERS, OrderParameter
from sweeps.plan.cells import Point


@dataclass(frozen=True)
class TrainedCell:
    """The members of a cell.

    Attributes:
        rho: trained values, ascending.
        seeds: in ascending order.
        values: the order parameter by rho and seed; None for a member that diverged.
        active_from: minimum order parameter of an active member.
    """

    name: str
    rho: tuple[float, ...]
    seeds: tuple[int, ...]
    values: Mapping[Point, float | None]
    active_from: float

    @property
    def median(self) -> float:
        """The median of the seeds' thresholds, each in the middle of its bracket, infinite without one."""
        curves = curves_of((point.seed, point.value, value) for point, value in self.values.items())
        side = collapsed_side(curves, self.active_from)
        seeds = [seed_threshold(seed, *curve, self.active_from, side) for seed, curve in curves.items()]
        return float(np.median([sum(seed.interval) / 2 for seed in seeds if seed.n_members]))

    @property
    def coarse(self) -> tuple[float, ...]:
        """Values of rho in the initial grid: the ends of the trained values, and values evenly between."""
        places = np.linspace(0, len(self.rho) - 1, len(COARSE_RHO)).round().astype(int)
        return tuple(self.rho[place] for place in dict.fromkeys(places.tolist()))


class Replayed(Realisations):
    """The seeds of a cell in a random order, as seed 0, 1, 2, … of a search."""

    def __init__(self, cell: TrainedCell, key: Sequence[int]) -> None:
        super().__init__(cell.active_from, key)
        self._cell = cell
        self._order = np.random.default_rng(self.key).permutation(cell.seeds).tolist()

    def order_parameter(self, point: Point) -> float | None:
        """Return what was trained at the nearest rho, the lower of two that are as near."""
        nearest = min(self._cell.rho, key=lambda rho: (round(abs(rho - point.value), 6), rho))
        return self._cell.values[Point(nearest, self._order[point.seed])]


def trained_cells(path: Path, order_parameter: str) -> list[TrainedCell]:
    """Read the cells of a members table.

    Raises TableError where the table cannot be read, and ValueError where a cell has not every seed at every
    rho, or too few seeds to replay anything.
    """
    rows = rows_of(read_members(path))
    by_cell: dict[str, list[Row]] = {}
    for row in rows:
        by_cell.setdefault(row["cell_id"], []).append(row)
    declared = ORDER_PARAMETERS[order_parameter]
    active_from = _active_from(path, declared)
    names = cell_names([members[0] for members in by_cell.values()])
    cells: list[TrainedCell] = []
    for name, members in zip(names, by_cell.values(), strict=True):
        values = {Point(row["rho"], row["seed"]): declared.value(row) for row in members}
        rho = tuple(sorted({point.value for point in values}))
        seeds = tuple(sorted({point.seed for point in values}))
        if len(values) != len(rho) * len(seeds) or len(seeds) <= len(GRID_SEEDS):
            raise ValueError(
                f"{name}: {len(values)} members of {len(seeds)} seeds at {len(rho)} values of rho; a replay "
                f"needs more than {len(GRID_SEEDS)} seeds, each at every rho"
            )
        cells.append(TrainedCell(name, rho, seeds, values, active_from))
    return cells


def _active_from(path: Path, order: OrderParameter) -> float:
    """Return the value from which the run counts a member as active, the declared one where there is none."""
    try:
        level = read_rule(path).active_from.get(order.name)
    except TableError:
        level = None
    return level if isinstance(level, float) else order.active_from


def replays(cell: TrainedCell, half_width: float, runs: int, seed: int) -> Iterator[Found]:
    """Yield what comes of searches that are served from the cell's members."""
    most = len(GRID_SEEDS) * len(cell.coarse) + len(cell.seeds) - len(GRID_SEEDS)
    for run in range(runs):
        yield locate(Replayed(cell, [seed, run]), half_width, most, cell.coarse)
