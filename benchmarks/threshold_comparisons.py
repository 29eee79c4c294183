"""Searches of two cells that go on until their comparison is decided: how often they say what is so.

Both cells have realisations of one family, and medians of a known difference. They are located as in a space
with `until: decided`, whose rule looks at the comparison after every batch.
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
    """A comparison of two cells.

    Attributes:
        difference: of the true medians, the first minus the second.
        found: what is said of it.
        members: of both cells.
    """

    difference: float
    found: Comparison
    members: int

    @property
    def is_covered(self) -> bool:
        """Whether the true difference lies in the interval."""
        low, high = self.found.difference_low, self.found.difference_high
        return low is not None and high is not None and low <= self.difference <= high


def comparison(
    setting: Setting, difference: float, margin: float | None, most: int, seed: int, family: str, run: int
) -> Compared:
    """Locate two cells, at most so many members each, until their comparison is decided."""
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
    known = [None if search.threshold is None else search.threshold.population for search in searches]
    medians = [None if one is None else one.median for one in known]
    (found,) = compare([PAIR], medians, CONFIDENCE, margin)
    return Compared(difference, found, sum(cell.members for cell in cells))


def print_comparisons(label: str, by_family: Mapping[str, Sequence[Compared]]) -> None:
    """Print what is said of one difference: a line a family, and all of them together."""
    columns = "".join(f"{name:<12}" for name in (*VERDICTS, "coverage"))
    print(f"\n{label}\n{'':<24}{columns}members")
    for family, own in by_family.items():
        print(_line(family, own))
    print(_line("pooled", [one for own in by_family.values() for one in own]), flush=True)


def _line(name: str, own: Sequence[Compared]) -> str:
    shares = [_share(one.found.verdict == verdict for one in own) for verdict in VERDICTS]
    shares.append(_share(one.is_covered for one in own))
    return (
        f"{name:<24}{''.join(f'{one:<12.3f}' for one in shares)}{np.median([one.members for one in own]):.0f}"
    )


def _share(bits: Iterable[bool]) -> float:
    return float(np.mean([*bits]))
