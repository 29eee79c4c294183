"""Simulated searches of two cells, which continue until their comparison is decided.

Both cells draw realisations from the same family, and their medians differ by a known number. The searches
run as in a space with `until: decided`: the comparison is evaluated after every batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.comparisons import ALIKE, HIGHER, LOWER, UNDECIDED, Comparison, compare
from benchmarks.threshold_realisations import CONFIDENCE, FAMILIES, Drawn, search_for
from benchmarks.threshold_tables import Setting
from ouvae.declared.pairs import Pair
from sweeps.plan.cells import Point
from sweeps.search.locate import Decisions

PAIR = Pair(0, 1, "latents")
VERDICTS = (LOWER, HIGHER, ALIKE, UNDECIDED)


@dataclass(frozen=True)
class Compared:
    """The true difference of the medians of two cells, its estimate, and the members of both cells."""

    difference: float
    estimate: Comparison
    members: int

    @property
    def is_covered(self) -> bool:
        """Whether the interval contains the true difference."""
        low, high = self.estimate.difference_low, self.estimate.difference_high
        return low is not None and high is not None and low <= self.difference <= high


def comparison(
    setting: Setting, difference: float, margin: float | None, most: int, seed: int, family: str, run: int
) -> Compared:
    """Search two cells until their comparison is decided, with at most `most` members in each."""
    key = [seed, list(FAMILIES).index(family), run]
    first = Drawn(FAMILIES[family], setting.scatter, [*key, 0])
    second = Drawn(FAMILIES[family], setting.scatter, [*key, 1], first.median - difference)
    cells = (first, second)
    observed: list[dict[Point, float | None]] = [{} for _ in cells]
    searches = [
        search_for(members, cell, setting.half_width, most)
        for members, cell in zip(observed, cells, strict=True)
    ]
    searches[0].neighbours, searches[1].neighbours = searches[1:], searches[:1]
    decisions = Decisions(searches, [PAIR], CONFIDENCE, margin)
    for search in searches:
        search.decisions = decisions
    while not all([search.done for search in searches]):
        for search, members, cell in zip(searches, observed, cells, strict=True):
            for point in search.ask():
                members[point] = cell.train(point)
    populations = [None if search.threshold is None else search.threshold.population for search in searches]
    medians = [None if population is None else population.median for population in populations]
    (estimate,) = compare([PAIR], medians, CONFIDENCE, margin)
    return Compared(difference, estimate, sum(cell.members for cell in cells))


def print_comparisons(label: str, by_family: Mapping[str, Sequence[Compared]]) -> None:
    """Print the verdicts on one difference: a line for each family, and a line for all families."""
    columns = "".join(f"{name:<12}" for name in (*VERDICTS, "coverage"))
    print(f"\n{label}\n{'':<24}{columns}members")
    for family, runs in by_family.items():
        print(_line(family, runs))
    print(_line("pooled", [run for runs in by_family.values() for run in runs]), flush=True)


def _line(name: str, runs: Sequence[Compared]) -> str:
    shares = [_share(run.estimate.verdict == verdict for run in runs) for verdict in VERDICTS]
    shares.append(_share(run.is_covered for run in runs))
    members = np.median([run.members for run in runs])
    return f"{name:<24}{''.join(f'{share:<12.3f}' for share in shares)}{members:.0f}"


def _share(bits: Iterable[bool]) -> float:
    return float(np.mean([*bits]))
