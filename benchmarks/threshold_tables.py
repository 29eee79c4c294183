"""Summaries of many searches, and the tables that print them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.threshold_realisations import Found

LOCATE = "locate"
"""Name of the project's search method."""

SAME_COVERAGE = 0.90
"""Minimum coverage of a peer whose number of members is compared with that of `locate`."""


@dataclass(frozen=True)
class Setting:
    """A setting of the simulation.

    Attributes:
        scatter: standard deviation of the realisations' thresholds, in units of rho.
        half_width: half-width of the interval at which a search stops.
    """

    scatter: float
    half_width: float

    def __str__(self) -> str:
        return f"scatter {self.scatter:g}, half-width {self.half_width:g}"


@dataclass(frozen=True)
class Run:
    """The results of each method, by name, on the same realisations with this median of thresholds."""

    median: float
    results: Mapping[str, Found]


@dataclass(frozen=True)
class Row:
    """A summary of searches.

    Attributes:
        covered: whether each interval contains the true median.
        costs: numbers of members; infinite for a search that the limit on members stopped.
        errors: estimates minus true medians, of searches with an estimate.
    """

    covered: Sequence[bool]
    costs: Sequence[float]
    errors: Sequence[float]

    @property
    def coverage(self) -> float:
        """Share of searches whose interval contains the true median."""
        return float(np.mean(self.covered))

    @property
    def coverage_error(self) -> float:
        """Standard error of the coverage."""
        return float(np.sqrt(self.coverage * (1 - self.coverage) / len(self.covered)))

    @property
    def members(self) -> float:
        """Median number of members; infinite if the limit on members stopped half of the searches."""
        return float(np.median(self.costs))

    @property
    def bias(self) -> tuple[float, float]:
        """Mean error and its standard error."""
        return float(np.mean(self.errors)), float(np.std(self.errors) / np.sqrt(len(self.errors)))


def row_of(searches: Iterable[tuple[Found, float]]) -> Row:
    """Return the summary of searches, each with its true median."""
    pairs = list(searches)
    return Row(
        [result.covers(median) for result, median in pairs],
        [result.cost for result, _ in pairs],
        [result.critical_value - median for result, median in pairs if result.critical_value is not None],
    )


def print_located(setting: Setting, by_family: Mapping[str, Sequence[Run]], most: int) -> None:
    """Print the table of `locate`: a line for each family, and a line for all families."""
    rows = {
        name: row_of((run.results[LOCATE], run.median) for run in runs) for name, runs in by_family.items()
    }
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
    """Print members and coverage of each method by family and for all families, and ratios of members."""
    rows = {
        way: {
            name: row_of((run.results[way], run.median) for run in runs) for name, runs in by_family.items()
        }
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
    """Return the summary of the searches of all rows."""
    rows = list(rows)
    return Row(
        [is_covered for row in rows for is_covered in row.covered],
        [cost for row in rows for cost in row.costs],
        [error for row in rows for error in row.errors],
    )


def typical(rows: Iterable[Row]) -> float:
    """Return the median of the rows' numbers of members."""
    return float(np.median([row.members for row in rows]))


def members(cost: float, most: int) -> str:
    """Return a number of members as text; `>` and the limit on members if it is infinite."""
    return f"{cost:.0f}" if np.isfinite(cost) else f">{most}"


def ratio(cost: float, other: float, most: int) -> str:
    """Return the ratio of two numbers of members as text."""
    if not np.isfinite(other):
        return "-"
    return f"{cost / other:.1f}" if np.isfinite(cost) else f">{most / other:.1f}"
