"""Confidence intervals of means, differences and ratios over replicates: seeds, or rounds of timing.

Student's quantiles throughout. An interval needs scatter: one replicate gives only a mean, and so do
replicates that agree exactly, as small counts may, whose scatter nobody has seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95
"""Nominal coverage of the intervals."""


@dataclass(frozen=True)
class Interval:
    """A mean (or a ratio) over `n` replicates with its interval; None and None where there is none."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def lack(self) -> str:
        """Why there is no interval, in a few words; empty where there is one."""
        if self.low is not None:
            return ""
        return "one replicate" if self.n == 1 else f"no scatter seen in {self.n}"


def exact(value: float) -> Interval:
    """Return a number that needs no replicates, such as a count of parameters."""
    return Interval(value, value, value, 1)


def student(values: Sequence[float]) -> Interval | None:
    """Return the mean of independent values with Student's interval; None if there are no values.

    There is no interval where all values are equal: without width it would be no evidence.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size:
        return None
    mean = float(sample.mean())
    if np.ptp(sample) == 0:
        return Interval(mean, None, None, int(sample.size))
    margin = _quantile(sample.size - 1) * float(sample.std(ddof=1)) / float(np.sqrt(sample.size))
    return Interval(mean, mean - margin, mean + margin, int(sample.size))


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
    """Return the mean of first - second over the replicates that both have, paired."""
    return student([first[key] - second[key] for key in first if key in second])


def ratio(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
    """Return the geometric mean of first / second over the replicates that both have, paired.

    The interval is Student's of the logarithms. Replicates that are not positive are left out.
    """
    shared = [key for key in first if key in second and first[key] > 0 and second[key] > 0]
    return _exponential(student([float(np.log(first[key] / second[key])) for key in shared]))


def ratio_of_groups(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Return the ratio of the geometric means of two independent groups of positive numbers.

    The interval is Welch's of the difference of logarithms, and is not there where neither group scatters;
    `n` is the size of the smaller group.
    """
    if not first or not second:
        return None
    logs = np.log(np.asarray(first)), np.log(np.asarray(second))
    centre = float(logs[0].mean() - logs[1].mean())
    n = min(len(first), len(second))
    if n < 2 or np.ptp(logs[0]) == np.ptp(logs[1]) == 0:
        return _exponential(Interval(centre, None, None, n))
    # The degrees of freedom are Welch and Satterthwaite's.
    parts = [float(log.var(ddof=1)) / log.size for log in logs]
    freedom = sum(parts) ** 2 / sum(part**2 / (log.size - 1) for part, log in zip(parts, logs, strict=True))
    margin = _quantile(freedom) * float(np.sqrt(sum(parts)))
    return _exponential(Interval(centre, centre - margin, centre + margin, n))


def interval_text(interval: Interval, decimals: int) -> str:
    """Return `[low, high]`, or why there is none."""
    if interval.low is None or interval.high is None:
        return interval.lack
    return f"[{interval.low:z.{decimals}f}, {interval.high:z.{decimals}f}]"


def _quantile(freedom: float) -> float:
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _exponential(logarithm: Interval | None) -> Interval | None:
    if logarithm is None or logarithm.low is None or logarithm.high is None:
        return logarithm and Interval(float(np.exp(logarithm.mean)), None, None, logarithm.n)
    mean, low, high = np.exp([logarithm.mean, logarithm.low, logarithm.high]).tolist()
    return Interval(mean, low, high, logarithm.n)
