"""Realisations drawn from a known distribution of thresholds, and the search `locate` on them.

A run of a simulation has one population: a family, a scatter sigma and a median. Families are standardised
to a standard deviation of 1 and to a median of exactly 0, so that the threshold of a realisation is
median + sigma Q(u), with Q the family's quantile function and u uniform between 0 and 1. The order parameter
of a member is 1 below its seed's threshold, and 0 at the threshold and above.

Shapes: N seeds, in any number.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from scipy import stats
from scipy.special import ndtr

from analysis.statistics.censored import Array
from analysis.statistics.rule import Rule
from ouvae.declared import ORDER_PARAMETERS
from sweeps.plan.cells import Point
from sweeps.search.base import Observations, Search, StoppingRule
from sweeps.search.locate import LocateSearch

COARSE_RHO = (0.4, 0.55, 0.7, 0.85, 1.0)
"""Values of rho in the initial grid of a search."""

GRID_SEEDS = (0, 1, 2)
"""Seeds in the initial grid of a search."""

PROBES = 12
"""Members of a batch of probes."""

CONFIDENCE = 0.95
MEDIANS = (0.60, 0.88)
"""Bounds between which the median of a run is drawn."""

WRONG_SIDE = 0.03
"""Share of members that are active although their threshold says collapsed, or the other way round."""

_BLOCK = 256  # seeds whose thresholds are drawn at a time


@dataclass(frozen=True)
class Family:
    """A distribution of thresholds.

    Attributes:
        quantile: the quantile function, (N,) -> (N,); it is 0 at 1/2.
        wrong_side: share of members whose phase is flipped, independently.
    """

    quantile: Callable[[Array], Array]
    wrong_side: float = 0.0


def standardised(distribution: Any) -> Callable[[Array], Array]:
    """Return the quantile function of a SciPy distribution, scaled to median 0 and standard deviation 1."""
    middle, scale = distribution.ppf(0.5), distribution.std()
    return lambda probability: (distribution.ppf(probability) - middle) / scale


def mixture(share: float, distance: float) -> Callable[[Array], Array]:
    """Return the same for a mixture of normals of scale 1: `share` of it at 0, the rest at `distance`."""
    x = np.linspace(-6.0, distance + 6.0, 6001)
    cumulative = share * ndtr(x) + (1 - share) * ndtr(x - distance)
    middle = np.interp(0.5, cumulative, x)
    scale = np.sqrt(1 + share * (1 - share) * distance**2)
    return lambda probability: (np.interp(probability, cumulative, x) - middle) / scale


FAMILIES = MappingProxyType(
    {
        "normal": Family(standardised(stats.norm())),
        "skewed-left": Family(standardised(stats.gumbel_l())),
        "skewed-right": Family(standardised(stats.gumbel_r())),
        "student-3": Family(standardised(stats.t(3))),
        "uniform": Family(standardised(stats.uniform())),
        "mixture-70-30": Family(mixture(0.7, 3.0)),
        "wrong-side": Family(standardised(stats.norm()), WRONG_SIDE),
    }
)
"""The families by name. The skewed ones are Gumbel distributions, `student-3` has 3 degrees of freedom,
`mixture-70-30` has 70 % and 30 % at a distance of three scales, and `wrong-side` is normal with `WRONG_SIDE`
of the phases flipped."""


class Realisations(ABC):
    """Realisations of which a search trains members; counts the members.

    Attributes:
        active_from: minimum order parameter of an active member.
        key: seed of every random generator that draws from these realisations or resamples their members.
        members: number of members trained so far.
    """

    def __init__(self, active_from: float, key: Sequence[int]) -> None:
        self.active_from, self.key, self.members = active_from, tuple(key), 0

    @abstractmethod
    def order_parameter(self, point: Point) -> float | None:
        """Return the order parameter of a member, None if it diverged. Repeated calls return the same."""

    def train(self, point: Point) -> float | None:
        """Return the order parameter of one more member, None if it diverged."""
        self.members += 1
        return self.order_parameter(point)

    def is_active(self, rho: float, seed: int) -> bool:
        """Train one more member and return whether it is active."""
        value = self.train(Point(rho, seed))
        return value is not None and value >= self.active_from


class Drawn(Realisations):
    """Realisations of a family, with thresholds of the standard deviation `scatter`, in units of rho.

    The key determines the median if none is given, the threshold of each seed and the flipped members.
    """

    def __init__(
        self, family: Family, scatter: float, key: Sequence[int], median: float | None = None
    ) -> None:
        super().__init__(0.1, key)
        self._family, self._scatter = family, scatter
        self._dice = np.random.default_rng(self.key)
        self.median = float(self._dice.uniform(*MEDIANS)) if median is None else median
        self._thresholds: list[float] = []

    def threshold(self, seed: int) -> float:
        """Return the threshold of a seed."""
        while seed >= len(self._thresholds):
            standard = self._family.quantile(self._dice.random(_BLOCK))
            self._thresholds += (self.median + self._scatter * standard).tolist()
        return self._thresholds[seed]

    def order_parameter(self, point: Point) -> float:
        """Return 1 below the threshold of the seed and 0 otherwise; the opposite for a flipped member."""
        active = point.value < self.threshold(point.seed)
        return float(active != self._is_flipped(point))

    def _is_flipped(self, point: Point) -> bool:
        if not self._family.wrong_side:
            return False
        dice = np.random.default_rng([*self.key, point.seed, round(point.value * 1e6)])
        return bool(dice.random() < self._family.wrong_side)


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        members: number of trained members.
        is_reached: whether the interval is as narrow as required; open ends are infinite.
        critical_value: the estimate of the median, if there is one.
    """

    members: int
    is_reached: bool
    low: float = -np.inf
    high: float = np.inf
    critical_value: float | None = None

    def covers(self, median: float) -> bool:
        """Return whether the interval has at least one end and contains the median."""
        has_end = np.isfinite(self.low) or np.isfinite(self.high)
        return bool(has_end and self.low <= median <= self.high)

    @property
    def cost(self) -> float:
        """Number of members; infinite if the search stopped before its interval was narrow enough."""
        return self.members if self.is_reached else np.inf


Way: TypeAlias = Callable[[Realisations, float, int], Found]
"""A search method. Called with realisations, the half-width of the interval at which to stop, and the maximum
number of members."""


def search_for(
    observed: Observations,
    realisations: Realisations,
    half_width: float,
    most: int,
    coarse: Sequence[float] = COARSE_RHO,
) -> LocateSearch:
    """Return a `locate` search for the median, with its initial grid at the values `coarse` of rho."""
    rule = Rule(ORDER_PARAMETERS["kl_top"], realisations.active_from, CONFIDENCE)
    return LocateSearch(observed, coarse, GRID_SEEDS, StoppingRule(rule, half_width, most), PROBES)


def train_all(search: Search, observed: dict[Point, float | None], realisations: Realisations) -> None:
    """Train what a search of observations asks for until it is done."""
    while not search.done:
        for point in search.ask():
            observed[point] = realisations.train(point)


def locate(
    realisations: Realisations, half_width: float, most: int, coarse: Sequence[float] = COARSE_RHO
) -> Found:
    """Locate the median with the project's search."""
    observed: dict[Point, float | None] = {}
    search = search_for(observed, realisations, half_width, most, coarse)
    train_all(search, observed, realisations)
    threshold = search.threshold
    if threshold is None:
        raise RuntimeError("a search that is done has an estimate")
    low = -np.inf if threshold.critical_low is None else threshold.critical_low
    high = np.inf if threshold.critical_high is None else threshold.critical_high
    is_reached = threshold.half_width is not None and threshold.half_width <= half_width
    return Found(realisations.members, is_reached, low, high, threshold.critical_value)
