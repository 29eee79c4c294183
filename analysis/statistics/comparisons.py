"""Whether the thresholds of cells differ: pairs of cells that differ in one key.

The posterior of a difference d of two thresholds is the posterior of the difference of two independent
medians. The test of "d is not zero" has the p-value 2 min(P(d < 0), P(d > 0)). The test of "alike within a
margin" is two one-sided tests, with the p-value max(P(d < -margin), P(d > margin)). A median may lie outside
the trained range, where the data do not locate it; each probability then takes its largest possible
value. The p-values of each test are corrected for the number of comparisons (Holm, Scandinavian Journal of
Statistics 6, 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.statistics.censored import Difference, Marginal, difference
from analysis.statistics.scale import LINEAR, Scale
from ouvae.declared.pairs import Pair

LOWER, HIGHER, ALIKE, UNDECIDED = "lower", "higher", "alike", "undecided"


@dataclass(frozen=True)
class Comparison:
    """The threshold of a first cell minus the threshold of a second cell, with tests and verdict.

    `difference_low` and `difference_high` are the interval at the nominal coverage, for this pair only.
    `p_different`, `p_alike` (None without a margin) and `verdict` are corrected for all comparisons. The
    verdict is `alike` within the margin, else `lower` or `higher` for the first cell, else `undecided`.
    Differences are spans of the scale: on a log scale, decades of the ratio.
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
    pairs: Sequence[Pair],
    medians: Sequence[Marginal | None],
    confidence: float,
    margin: float | None,
    scale: Scale = LINEAR,
) -> list[Comparison]:
    """Return a comparison for each pair.

    Args:
        pairs: of cells, by their places.
        medians: the posterior of each cell's threshold; None where nothing is known of it.
        confidence: one minus the level of the tests, and nominal coverage of the intervals.
        margin: thresholds closer than this span are alike; None for no test of likeness.
        scale: on which the medians are places.
    """
    drafts: dict[int, Comparison] = {}
    for place, pair in enumerate(pairs):
        first, second = medians[pair.first], medians[pair.second]
        if first is not None and second is not None:
            drafts[place] = _uncorrected(difference(first, second), confidence, margin, scale)
    different = holm([draft.p_different or 0.0 for draft in drafts.values()])
    alike = holm([draft.p_alike or 0.0 for draft in drafts.values()])
    corrected = {
        place: _corrected(draft, p_different, None if margin is None else p_alike, 1 - confidence)
        for (place, draft), p_different, p_alike in zip(drafts.items(), different, alike, strict=True)
    }
    return [corrected.get(place, Comparison()) for place in range(len(pairs))]


def _uncorrected(posterior: Difference, confidence: float, margin: float | None, scale: Scale) -> Comparison:
    """Return numbers from a posterior, which takes megabytes, and the verdict if they are different."""
    below, above = posterior.below(0.0), posterior.above(0.0)
    apart = None if margin is None else margin / scale.unit
    middle, low, high = (
        None if distance is None else scale.span(distance)
        for distance in (posterior.median, *posterior.interval(confidence))
    )
    return Comparison(
        middle,
        low,
        high,
        2 * min(below, above),
        None if apart is None else max(posterior.below(-apart), posterior.above(apart)),
        HIGHER if above >= below else LOWER,
    )


def _corrected(draft: Comparison, p_different: float, p_alike: float | None, level: float) -> Comparison:
    verdict = draft.verdict if p_different <= level else UNDECIDED
    if p_alike is not None and p_alike <= level:
        verdict = ALIKE
    return replace(draft, p_different=p_different, p_alike=p_alike, verdict=verdict)


def is_settled(first: Marginal | None, second: Marginal | None) -> bool:
    """Tell whether no further member can decide the comparison of two cells.

    Either nothing is known of one cell, or both medians lie outside the trained range, on the same side.
    """
    if first is None or second is None:
        return True
    beyond = [
        (median.median < median.reach[0], median.median > median.reach[1]) for median in (first, second)
    ]
    return any(map(all, zip(*beyond, strict=True)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, by Holm's step-down procedure."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return [float(value) for value in np.minimum(corrected, 1.0)]
