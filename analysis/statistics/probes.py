"""Where to train next: the rule of the probes, and when a threshold is located.

A *probe* is a member of a fresh seed at one value of the control parameter: it says on which side of the
value the seed's threshold lies. Two thirds of a batch lie at the current estimate of the median, where they
say most of it, and a sixth on either side at `OFFSET` scales of the realisations, where they say most of the
scales.
"""

from analysis.statistics.censored import Population
from analysis.statistics.estimate import CellThreshold

OFFSET = 0.8
"""Distance of a sixth of the probes from the median, on either side, in scales of the realisations."""

VALUE_DIGITS = 6
"""Significant digits of a probe's value, at most."""


def probe_places(posterior: Population, trained: int, batch: int) -> list[float]:
    """Return the places of a batch of probes, ascending.

    Args:
        posterior: of the realisations' thresholds.
        trained: number of probes before this batch, which takes a sixth of all to either side in turn where
            batches are small.
        batch: number of probes.
    """
    median = posterior.median.median
    left = (trained + batch) // 6 - trained // 6
    right = (trained + batch + 3) // 6 - (trained + 3) // 6
    places = [median - OFFSET * posterior.left.median] * left
    places += [median] * (batch - left - right)
    return places + [median + OFFSET * posterior.right.median] * right


def probe_values(
    threshold: CellThreshold, trained_range: tuple[float, float], trained: int, batch: int
) -> list[float]:
    """Return the values of a batch of probes, within the trained range; none where nothing is known.

    Values have at most `VALUE_DIGITS` significant digits. `trained` and `batch` are those of `probe_places`.
    """
    if threshold.population is None:
        return []
    lowest, highest = trained_range
    places = probe_places(threshold.population, trained, batch)
    return [min(max(snapped(threshold.scale.value(place)), lowest), highest) for place in places]


def snapped(value: float) -> float:
    """Return a value with at most `VALUE_DIGITS` significant digits."""
    return float(f"{value:.{VALUE_DIGITS}g}")


def is_located(threshold: CellThreshold, trained_range: tuple[float, float], half_width: float) -> bool:
    """Tell whether the interval, as far as it lies within the trained range, is narrow enough.

    The median may lie beyond the range, where no probe can say more. The half width is a span of the
    threshold's scale.
    """
    low, high = threshold.critical_low, threshold.critical_high
    if low is None and high is None:
        return False
    lowest, highest = trained_range
    low, high = lowest if low is None else low, highest if high is None else high
    return threshold.scale.between(low, high) <= 2 * half_width
