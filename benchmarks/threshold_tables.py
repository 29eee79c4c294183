"""What a number of searches say together, and the tables that show it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.threshold_realisations import Found

LOCATE = "locate"
"""The name of the project's own way."""

SAME_COVERAGE = 0.90
"""From this coverage on a peer's members are compared with those of `locate`."""


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        scatter: standard deviation of the realisations' thresholds, in units of rho.
        half_width: of the interval, at which a search stops.
    """

    scatter: float
    half_width: float

    def __str__(self) -> str:
        return f"scatter {self.scatter:g}, half-width {self.half_width:g}"


@dataclass(frozen=True)
class Run:
    """A run of each way on the same realisations.

    Attributes:
        median: of the realisations.
        found: what each way found, by its name.
    """

    median: float
    found: Mapping[str, Found]


@dataclass(frozen=True)
class Row:
    """What a number of searches say together.

    Attributes:
        covered: whether the median lies in the interval, for each.
        costs: members that each needs, infinite where the most that it may train were not enough.
        errors: estimate minus median, of those that have an estimate.
    """

    covered: Sequence[bool]
    costs: Sequence[float]
    errors: Sequence[float]

    @property
    def coverage(self) -> float:
        """Share of searches whose interval has the median in it."""
        return float(np.mean(self.covered))

    @property
    def coverage_error(self) -> float:
        """Its standard error."""
        return float(np.sqrt(self.coverage * (1 - self.coverage) / len(self.covered)))

    @property
    def members(self) -> float:
        """Median of the members; infinite where half of the searches may not train enough."""
        return float(np.median(self.costs))

    @property
    def bias(self) -> tuple[float, float]:
        """Mean error and its standard error."""
        return float(np.mean(self.errors)), float(np.std(self.errors) / np.sqrt(len(self.errors)))


def row_of(found: Iterable[tuple[Found, float]]) -> Row:
    """Return the row of searches, each with its true median."""
    pairs = list(found)
    return Row(
        [one.covers(median) for one, median in pairs],
        [one.cost for one, _ in pairs],
        [one.rho_c - median for one, median in pairs if one.rho_c is not None],
    )


def print_located(setting: Setting, by_family: Mapping[str, Sequence[Run]], most: int) -> None:
    """Print what `locate` does: a line a family, and all of them together."""
    rows = {name: row_of((run.found[LOCATE], run.median) for run in own) for name, own in by_family.items()}
    print(f"\n{setting}\n{'':<24}{'coverage':<16}{'members (90 %)':<18}bias")
    for name, row in rows.items():
        tail = members(float(np.quantile(row.costs, 0.9, method="higher")), most)
        print(line(name, row, f"{members(row.members, most)} ({tail})"))
    print(line("pooled", pooled(rows.values()), members(typical(rows.values()), most)), flush=True)


def line(name: str, row: Row, trained: str) -> str:
    """Return a line of the table of `locate`."""
    coverage = f"{row.coverage:.3f} ± {row.coverage_error:.3f}"
    bias, error = row.bias
    return f"{name:<24}{coverage:<16}{trained:<18}{bias:+.4f} ± {error:.4f}"


def print_peers(
    setting: Setting, by_family: Mapping[str, Sequence[Run]], ways: Sequence[str], most: int
) -> None:
    """Print members and coverage of each way: a line a family, then all together, then ratios of members."""
    rows = {
        way: {name: row_of((run.found[way], run.median) for run in own) for name, own in by_family.items()}
        for way in ways
    }
    print(f"\n{setting}: members, coverage\n{'':<24}{''.join(f'{way:<18}' for way in ways)}".rstrip())
    for family in by_family:
        texts = (cell(rows[way][family].members, rows[way][family], most) for way in ways)
        print(f"{family:<24}{''.join(texts)}".rstrip())
    cost = {way: typical(rows[way].values()) for way in ways}
    together = {way: pooled(rows[way].values()) for way in ways}
    print(f"{'pooled':<24}{''.join(cell(cost[way], together[way], most) for way in ways)}".rstrip())
    ratios = (f"{ratio(cost[way], cost[LOCATE], most):<18}" for way in ways)
    print(f"{'members / locate':<24}{''.join(ratios)}".rstrip())
    alike = [way for way in ways if way != LOCATE and together[way].coverage >= SAME_COVERAGE]
    best = min(alike, key=lambda way: cost[way], default=None)
    times = "" if best is None else f", {ratio(cost[best], cost[LOCATE], most)} times those of {LOCATE}"
    print(
        f"fewest members with a coverage of at least {SAME_COVERAGE:g}: {best or 'none'}{times}", flush=True
    )


def cell(cost: float, row: Row, most: int) -> str:
    """Return a cell of the table of peers."""
    return f"{members(cost, most) + ', ' + format(row.coverage, '.2f'):<18}"


def pooled(rows: Iterable[Row]) -> Row:
    """Return the row of all searches together."""
    own = list(rows)
    return Row(
        [one for row in own for one in row.covered],
        [one for row in own for one in row.costs],
        [one for row in own for one in row.errors],
    )


def typical(rows: Iterable[Row]) -> float:
    """Return the median over families of their members."""
    return float(np.median([row.members for row in rows]))


def members(cost: float, most: int) -> str:
    """Return a number of members, or that it is more than may be trained."""
    return f"{cost:.0f}" if np.isfinite(cost) else f">{most}"


def ratio(cost: float, other: float, most: int) -> str:
    """Return one number of members over another."""
    if not np.isfinite(other):
        return "-"
    return f"{cost / other:.1f}" if np.isfinite(cost) else f">{most / other:.1f}"
