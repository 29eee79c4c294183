"""The median of a population of thresholds, each known to lie in an interval.

A seed says of its threshold T that it lies in (a, b]: between two trained values of the control parameter,
or, open at an end, beyond the last of them. Values are places on a scale (`analysis.statistics.scale`); the
places on a linear scale are values. Over seeds, T is taken to be distributed as

    F(x) = (1 - e) Phi((x - m) / s) + e U(x - m),    s = s_left for x < m, s_right for x >= m,

so that m is the median of F whatever the skew; U is uniform over a width of 2 about 0, and lets a share
e = `STRAY` of seeds lie anywhere: without it, a single one on the wrong side would decide both scales. Each
seed adds log(F(b) - F(a)) to the log likelihood. The posterior is taken on a grid: flat in m, flat in the
logarithms of the scales within `SCALES`, with a log-normal factor of width `SKEW` on their ratio. Intervals
are those of the marginals, with equal tails.

Shapes: E ends of intervals, M values of m, S values of a scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array: TypeAlias = NDArray[np.float64]

STRAY = 0.02
"""Share of realisations that may lie anywhere."""

SCALES = np.geomspace(0.001, 0.4, 16)
"""Values that the scales to the left and to the right of the median may take, in units of the scale."""

SKEW = 0.8
"""Standard deviation of the logarithm of the ratio of the two scales, before anything is seen."""

BEYOND = 0.3
"""How far beyond the trained places the median may lie."""

_POINTS = 201  # of the grid of m
_COARSE_POINTS = 51  # of the grids on which the place of the fine one is found
_NEGLIGIBLE = 1e-8  # of the largest density: what lies lower is left out of the grid


@dataclass(frozen=True)
class Marginal:
    """The posterior of one number: its values, ascending, and the probability up to each of them.

    What the first of these lacks to 0 is the probability of minus infinity, what the last lacks to 1 that of
    infinity. Outside `reach` nothing was seen: how probability is distributed there is the prior's choice.
    """

    values: Array
    cumulative: Array
    reach: tuple[float, float] = (-np.inf, np.inf)

    def quantile(self, probability: float) -> float:
        """Return the value below which the number lies with this probability."""
        return float(np.interp(probability, self.cumulative, self.values, left=-np.inf, right=np.inf))

    def below(self, value: float) -> float:
        """Return the probability that the number lies below a value."""
        return float(np.interp(value, self.values, self.cumulative))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval with equal tails."""
        return self.quantile((1 - confidence) / 2), self.quantile((1 + confidence) / 2)

    def seen_interval(self, confidence: float) -> tuple[float | None, float | None]:
        """Return the same, with None for an end out of reach: the data do not say where it lies."""
        low, high = self.interval(confidence)
        return low if low >= self.reach[0] else None, high if high <= self.reach[1] else None

    @property
    def median(self) -> float:
        """The value with one half of the probability on either side."""
        return self.quantile(0.5)


@dataclass(frozen=True)
class Population:
    """What is known of the distribution of the thresholds of a cell: its median and the scales beside it."""

    median: Marginal
    left: Marginal
    right: Marginal


def population(
    counted: Mapping[tuple[float, float], float], reach: tuple[float, float] = (-np.inf, np.inf)
) -> Population:
    """Return the posterior of the median and of both scales.

    `counted` says of each interval (a, b], whose ends may be infinite, how many seeds lie in it, and `reach`
    between which values anything was trained. Raises ValueError where no end is finite, or an interval has no
    width.
    """
    if any(not low < high for low, high in counted):
        raise ValueError("each interval must have its lower end below its upper one")
    finite = [end for pair in counted for end in pair if np.isfinite(end)]
    if not finite:
        raise ValueError("no interval has a finite end, so that nothing is known of the median")
    low, high = min(finite) - BEYOND, max(finite) + BEYOND
    while True:
        medians = np.linspace(low, high, _COARSE_POINTS)
        kept = np.flatnonzero(_density(counted, medians).max(axis=(1, 2)) > _NEGLIGIBLE)
        first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, _COARSE_POINTS - 1)
        low, high = float(medians[first]), float(medians[last])
        if last - first > _COARSE_POINTS // 3:
            break
    medians = np.linspace(low, high, _POINTS)
    density = _density(counted, medians)
    return Population(
        median=_marginal(medians, density.sum(axis=(1, 2)), reach),
        left=_of_logarithm(density.sum(axis=(0, 2))),
        right=_of_logarithm(density.sum(axis=(0, 1))),
    )


@dataclass(frozen=True)
class Difference:
    """What is known of one number minus another: the posteriors of the least and of the most that it can be.

    They are one where both numbers lie within reach of the data; out of reach, a number may lie anywhere.
    """

    least: Marginal
    most: Marginal

    def below(self, value: float) -> float:
        """Return the largest probability that it can have of lying below a value."""
        return self.least.below(value)

    def above(self, value: float) -> float:
        """Return the largest probability that it can have of lying above a value."""
        return 1 - self.most.below(value)

    def interval(self, confidence: float) -> tuple[float | None, float | None]:
        """Return the interval with equal tails; None for an end that the data do not bound."""
        return _finite(self.least.interval(confidence)[0]), _finite(self.most.interval(confidence)[1])

    @property
    def median(self) -> float | None:
        """The value with one half of the probability on either side; None where the data do not bound it."""
        return _finite((self.least.median + self.most.median) / 2)


def difference(first: Marginal, second: Marginal) -> Difference:
    """Return what is known of one number minus another that is independent of it."""
    weights = (_weights(first)[:, None] * _weights(second)[None, :]).ravel()
    least_first, most_first = _bounds(first)
    least_second, most_second = _bounds(second)
    least = _of_atoms((least_first[:, None] - most_second).ravel(), weights)
    if least_first is most_first and least_second is most_second:
        return Difference(least, least)
    return Difference(least, _of_atoms((most_first[:, None] - least_second).ravel(), weights))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _bounds(marginal: Marginal) -> tuple[Array, Array]:
    """Return the least and the most that each value stands for: of those out of reach, all of that side."""
    values, (low, high) = marginal.values, marginal.reach
    if low <= values[0] and values[-1] <= high:
        return values, values
    least = np.where(values < low, -np.inf, np.minimum(values, high))
    return least, np.where(values > high, np.inf, np.maximum(values, low))


def _of_atoms(values: Array, weights: Array) -> Marginal:
    """Return the marginal of values, some of them infinite, with these weights, in any order."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order] / weights.sum()
    # half of each atom lies below it, as it would if it were spread evenly
    cumulative = np.cumsum(weights) - weights / 2
    finite = np.isfinite(values)
    if not finite.any():
        return Marginal(np.zeros(1), np.array([weights[values < 0].sum()]))
    return Marginal(values[finite], cumulative[finite])


def _density(counted: Mapping[tuple[float, float], float], medians: Array) -> Array:
    """Return the posterior over its largest value, of shape (M, S, S): median, left, right."""
    log_density = _log_posterior(counted, medians)
    density: Array = np.exp(log_density - log_density.max())
    return density


def _log_posterior(counted: Mapping[tuple[float, float], float], medians: Array) -> Array:
    """Return the logarithm of the posterior up to a constant, of shape (M, S, S): median, left, right."""
    ends = sorted({end for pair in counted for end in pair if np.isfinite(end)})
    index = {end: i for i, end in enumerate(ends)} | {-np.inf: len(ends), np.inf: len(ends) + 1}
    offset = np.array(ends)[:, None] - medians  # (E, M)
    table = np.empty((len(ends) + 2, medians.size, SCALES.size))
    stray = STRAY * np.clip((offset + 1) / 2, 0, 1)
    table[:-2] = (1 - STRAY) * ndtr(offset[..., None] / SCALES) + stray[..., None]
    table[-2], table[-1] = 0.0, 1.0
    left, right = np.zeros((2, medians.size, SCALES.size))
    both = np.zeros((medians.size, SCALES.size, SCALES.size))
    for (low, high), count in counted.items():
        below, above = table[index[low]], table[index[high]]
        with np.errstate(divide="ignore"):
            one_side = count * np.log(np.maximum(above - below, 0.0))
        is_left, is_right = high < medians, low >= medians
        straddles = ~(is_left | is_right)
        if low == -np.inf:
            is_right |= straddles
        elif high == np.inf:
            is_left |= straddles
        elif straddles.any():
            both[straddles] += count * np.log(above[straddles, None, :] - below[straddles, :, None])
        left[is_left] += one_side[is_left]
        right[is_right] += one_side[is_right]
    skew = -((np.log(SCALES)[:, None] - np.log(SCALES)) ** 2) / (2 * SKEW**2)
    posterior: Array = left[:, :, None] + right[:, None, :] + both + skew
    return posterior


def _marginal(values: Array, density: Array, reach: tuple[float, float]) -> Marginal:
    """Return the marginal whose density has these values, with straight lines between them."""
    steps = np.diff(values) * (density[1:] + density[:-1]) / 2
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return Marginal(values, cumulative / cumulative[-1], reach)


def _of_logarithm(weights: Array) -> Marginal:
    """Return the marginal of a scale: the weight of a value is spread over its step of the logarithm."""
    step = np.log(SCALES[1] / SCALES[0])
    edges = np.exp(np.log(SCALES[0]) + step * (np.arange(SCALES.size + 1) - 0.5))
    return Marginal(edges, np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum())


def _weights(marginal: Marginal) -> Array:
    """Return the probability of each value: half of that of the steps beside it."""
    steps = np.diff(marginal.cumulative)
    weights: Array = (np.concatenate([steps, [0.0]]) + np.concatenate([[0.0], steps])) / 2
    return weights
