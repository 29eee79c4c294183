"""Whether the thresholds of cells differ: pairs of cells that differ in one key.

The posterior of a difference d of two thresholds is the posterior of the difference of two independent
medians. The test of "d is not zero" has the p-value 2 min(P(d < 0), P(d > 0)). The test of "alike within a
margin" is two one-sided tests, with the p-value max(P(d < -margin), P(d > margin)). A median may lie outside
the trained range of rho, where the data do not locate it; each probability then takes its largest possible
value. The p-values of each test are corrected for the number of comparisons (Holm, Scandinavian Journal of
Statistics 6, 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.statistics.censored import Difference, Marginal, difference
from ouvae.declared.pairs import Pair

LOWER, HIGHER, ALIKE, UNDECIDED = "lower", "higher", "alike", "undecided"


@dataclass(frozen=True)
class Comparison:
    """The threshold of a first cell minus the threshold of a second cell, with tests and verdict.

    `difference_low` and `difference_high` are the interval at the nominal coverage, for this pair only.
    `p_different`, `p_alike` (None without a margin) and `verdict` are corrected for all comparisons. The
    verdict is `alike` within the margin, else `lower` or `higher` for the first cell, else `undecided`.
    The difference or an end of its interval is None if the data do not bound it. All numbers are None if
    nothing is known of a cell.
    """

    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_different: float | None = None
    p_alike: float | None = None
    verdict: str = UNDECIDED


def compare(
    pairs: Sequence[Pair], medians: Sequence[Marginal | None], confidence: float, margin: float | None
) -> list[Comparison]:
    """Return a comparison for each pair.

    Args:
        pairs: of cells, by their places.
        medians: the posterior of each cell's threshold; None where nothing is known of it.
        confidence: one minus the level of the tests, and nominal coverage of the intervals.
        margin: thresholds closer than this are alike; None for no test of likeness.
    """
    known: dict[int, _Known] = {}
    for place, pair in enumerate(pairs):
        first, second = medians[pair.first], medians[pair.second]
        if first is not None and second is not None:
            known[place] = _known(difference(first, second), confidence, margin)
    different = holm([one.p_different for one in known.values()])
    alike = holm([one.p_alike for one in known.values()])
    found = {
        place: _comparison(one, p_different, None if margin is None else p_alike, confidence)
        for (place, one), p_different, p_alike in zip(known.items(), different, alike, strict=True)
    }
    return [found.get(place, Comparison()) for place in range(len(pairs))]


class _Known(NamedTuple):
    """Numbers from the posterior of a difference, which takes megabytes; p-values are uncorrected."""

    median: float | None
    interval: tuple[float | None, float | None]
    is_higher: bool
    p_different: float
    p_alike: float


def _known(found: Difference, confidence: float, margin: float | None) -> _Known:
    below, above = found.below(0.0), found.above(0.0)
    p_alike = 1.0 if margin is None else max(found.below(-margin), found.above(margin))
    return _Known(found.median, found.interval(confidence), above >= below, 2 * min(below, above), p_alike)


def is_settled(first: Marginal | None, second: Marginal | None) -> bool:
    """Tell whether no further member can decide the comparison of two cells.

    Either nothing is known of one cell, or both medians lie outside the trained range, on the same side.
    """
    if first is None or second is None:
        return True
    beyond = [(one.median < one.reach[0], one.median > one.reach[1]) for one in (first, second)]
    return any(map(all, zip(*beyond, strict=True)))


def _comparison(known: _Known, p_different: float, p_alike: float | None, confidence: float) -> Comparison:
    level = 1 - confidence
    if p_alike is not None and p_alike <= level:
        verdict = ALIKE
    elif p_different <= level:
        verdict = HIGHER if known.is_higher else LOWER
    else:
        verdict = UNDECIDED
    return Comparison(known.median, *known.interval, p_different, p_alike, verdict)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, by Holm's step-down procedure."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return [float(value) for value in np.minimum(corrected, 1.0)]
