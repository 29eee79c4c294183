"""What the tests of the record share: packs that are "trained" into a run directory."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from search_spaces import Space
from sweeps.plan.cells import PlannedCell, Point
from sweeps.plan.packs import Pack
from sweeps.record.ledger import Ledger

RHOS = (0.5, 0.75, 1.0)


def kl_top(point: Point) -> float:
    return max(0.0, 2 * (0.8 - point.value))


@pytest.fixture
def train(make_space, plan_cells, result_of):
    """Return a function that "trains" points of a space's cell into a ledger."""

    def add(
        ledger: Ledger, points: Sequence[Point], space: Space | None = None, cell: PlannedCell | None = None
    ) -> Pack:
        pack = Pack(cell or plan_cells(space or make_space())[0], tuple(points))
        ledger.add(pack, result_of(pack, kl_top))
        return pack

    return add


def points(seed: int) -> list[Point]:
    return [Point(rho, seed) for rho in RHOS]


def rows_in(ledger: Ledger) -> tuple[list[dict], list[dict]]:
    """Return all rows of members and of history."""
    results = ledger.results()
    return results.members.to_pylist(), results.history.to_pylist()


def snapshot(path: Path) -> dict[str, bytes | None]:
    """Return the content of all files below a folder, by their paths; None of folders."""
    return {
        str(file.relative_to(path)): file.read_bytes() if file.is_file() else None for file in path.rglob("*")
    }


def without_times(table: pa.Table) -> list[dict]:
    return table.drop_columns(["finished_at"]).to_pylist()
