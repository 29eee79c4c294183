"""What others need to locate the median of realisations, each with the interval that its user would form.

All train members of the same realisations as `locate` does, seed 0 first, between the same ends of rho, and
stop when their interval is as narrow as asked.

grid           Every seed on the whole grid, whose spacing is the half-width asked for; a seed's threshold is
               the middle of its step. Interval: Student's, of the mean of the seeds' thresholds, the variance
               of a place in a step added; one more seed at a time, from 3 on. Seeds without a transition on
               the grid have no threshold and are left out, as there is nothing else to do with them.
refine         The project's `RefineSearch`: each seed's bracket narrowed to 0.04, or to the half-width where
               that is less; three more seeds at a time. Interval: Student's as above, and half of the mean
               bracket on either side.
Learner1D      Package `adaptive`: the share of active members as a function of rho, each value measured with
               12 fresh seeds, where the learner's default loss puts it. The learner takes values as exact, so
               that its user finds the interval by the bootstrap: percentiles of the place where the falling
               least-squares (isotonic) fit of resampled shares crosses one half, anywhere in its step.
AverageLearner1D  Package `adaptive`: the same function, one member a sample, with an error of each mean by
               Student's distribution, which decides what is sampled again. Interval: between the last value
               up to which all means are above one half by more than their errors, and the first from which on
               all are below it. The level of the errors is that of the interval; a value is sampled 12 times
               at least, where 50 are the default, which suit functions that cost nothing.
TPE            Optuna's default sampler minimises |share - 1/2|, with 12 fresh seeds a trial. It knows no
               interval; its user takes the best quarter of the trials, at least 5, and bootstraps the median
               of their rho.
bisection      Probabilistic bisection: a density over rho, flat at first, is asked at its median, and what
               lies on the side of the answer is multiplied by 2p, the rest by 2(1 - p). Interval: equal tails
               of the density. p is fixed at 0.6, which holds where rho is a quarter of a scale off a normal's
               median, and nowhere nearer (Waeber, Frazier, Henderson 2013, Bisection search with noisy
               responses, SIAM J. Control Optim. 51, 2261, section 2).

Shapes: R values of rho, B resamples.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from types import MappingProxyType
from typing import TypeAlias

import adaptive
import numpy as np
import optuna
from scipy import stats

from analysis.statistics.censored import Array
from analysis.statistics.estimate import TRANSITION, SeedThreshold, seed_threshold
from analysis.statistics.rule import Rule
from benchmarks.threshold_realisations import (
    COARSE_RHO,
    CONFIDENCE,
    PROBES,
    Found,
    Realisations,
    Way,
    train_all,
)
from ouvae.declared import ORDER_PARAMETERS
from sweeps.plan.cells import Point
from sweeps.search.base import Search, curves_of_points
from sweeps.search.grid import GridSearch
from sweeps.search.refine import RefineSearch

Interval: TypeAlias = tuple[float, float]

LOWEST, HIGHEST = COARSE_RHO[0], COARSE_RHO[-1]
FEWEST_SEEDS = 3
REFINE_TOLERANCE = 0.04
REFINE_POINTS = 3
RESAMPLES = 200
BEST_SHARE, FEWEST_BEST = 0.25, 5
BISECTION_P = 0.6
BISECTION_CELLS = 1200

TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)

Steps: TypeAlias = Iterator[Interval | None]
"""The interval after each step of a peer; None while there is none."""


def way(steps_of: Callable[[Realisations, float], Steps]) -> Way:
    """Return a peer that goes on step by step until its interval is as narrow as asked."""

    def run(realisations: Realisations, half_width: float, most: int) -> Found:
        for interval in steps_of(realisations, half_width):
            low, high = interval or (-np.inf, np.inf)
            is_reached = high - low <= 2 * half_width
            if is_reached or realisations.members >= most:
                break
        critical_value = None if interval is None else (low + high) / 2
        return Found(realisations.members, is_reached, low, high, critical_value)

    return run


# Each seed's own threshold


def grid(realisations: Realisations, half_width: float) -> Steps:
    """Train seed after seed on a grid."""
    steps = round((HIGHEST - LOWEST) / half_width)
    rho = np.linspace(LOWEST, HIGHEST, steps + 1).round(6).tolist()
    seeds: list[SeedThreshold] = []
    for seed in count():
        observed: dict[Point, float | None] = {}
        seeds += searched(realisations, GridSearch(observed, rho, [seed]), observed)
        if len(seeds) >= FEWEST_SEEDS:
            yield students_interval(seeds)


def refine(realisations: Realisations, half_width: float) -> Steps:
    """Refine the brackets of three seeds after three."""
    rule = Rule(ORDER_PARAMETERS["kl_top"], realisations.active_from, CONFIDENCE)
    tolerance = min(REFINE_TOLERANCE, half_width)
    seeds: list[SeedThreshold] = []
    for first in count(step=FEWEST_SEEDS):
        three = range(first, first + FEWEST_SEEDS)
        observed: dict[Point, float | None] = {}
        search = RefineSearch(observed, COARSE_RHO, three, rule, tolerance, REFINE_POINTS)
        seeds += searched(realisations, search, observed)
        interval = students_interval(seeds)
        if interval is None:
            yield None
        else:
            margin = float(np.mean([high - low for low, high in brackets(seeds)])) / 2
            yield interval[0] - margin, interval[1] + margin


def searched(
    realisations: Realisations, search: Search, observed: dict[Point, float | None]
) -> list[SeedThreshold]:
    """Return the thresholds of the seeds of a search of observations, after its training."""
    train_all(search, observed, realisations)
    curves = curves_of_points(observed)
    return [seed_threshold(seed, *curve, realisations.active_from) for seed, curve in curves.items()]


def brackets(seeds: Sequence[SeedThreshold]) -> list[Interval]:
    """Return the brackets of the seeds that have one."""
    return [seed.interval for seed in seeds if seed.status == TRANSITION]


def students_interval(seeds: Sequence[SeedThreshold]) -> Interval | None:
    """Return Student's interval of the mean of the seeds' thresholds; None with fewer than two."""
    ends = np.array(brackets(seeds)).reshape(-1, 2)
    if len(ends) < 2:
        return None
    thresholds, widths = ends.mean(axis=1), np.diff(ends)
    variance = thresholds.var(ddof=1) + np.mean(widths**2) / 12
    margin = float(stats.t.ppf(TAILS[1], len(ends) - 1) * np.sqrt(variance / len(ends)))
    middle = float(thresholds.mean())
    return middle - margin, middle + margin


# Shares of fresh seeds


class Fresh:
    """Measures the share of active members with seeds that nobody has used."""

    def __init__(self, realisations: Realisations) -> None:
        self._realisations, self._seeds = realisations, count()

    def is_active(self, rho: float) -> bool:
        """Train one member."""
        return self._realisations.is_active(rho, next(self._seeds))

    def share(self, rho: float) -> float:
        """Train a batch of members and return the share of those that are active."""
        return sum(self.is_active(rho) for _ in range(PROBES)) / PROBES


def learner(realisations: Realisations, half_width: float) -> Steps:
    """Measure the share where adaptive's Learner1D asks for it."""
    fresh, dice = Fresh(realisations), np.random.default_rng(realisations.key)
    sampler = adaptive.Learner1D(fresh.share, (LOWEST, HIGHEST))
    while True:
        (rho,), _ = sampler.ask(1)
        sampler.tell(rho, fresh.share(rho))
        rhos, shares = np.array(sorted(sampler.data.items())).T
        yield crossing_interval(rhos, shares, dice)


def crossing_interval(rho: Array, shares: Array, dice: np.random.Generator) -> Interval:
    """Return percentiles of where resampled shares, at ascending rho (R,), fall below one half.

    The falling fit by least squares is at least 1/2 up to the value at which the sum of the shares less 1/2
    is largest (Groeneboom and Jongbloed 2014, Nonparametric Estimation under Shape Constraints, lemma 3.2).
    """
    drawn = dice.binomial(PROBES, shares, size=(RESAMPLES, rho.size)) / PROBES  # (B, R)
    sums = np.cumsum(np.pad(drawn - 0.5, ((0, 0), (1, 0))), axis=1)
    ends = np.concatenate([[LOWEST], rho, [HIGHEST]])
    last_active = sums.argmax(axis=1)
    low, high = ends[last_active], ends[last_active + 1]
    first, last = np.quantile(low + (high - low) * dice.random(RESAMPLES), TAILS)
    return float(first), float(last)


def average_learner(realisations: Realisations, half_width: float) -> Steps:
    """Train single members where adaptive's AverageLearner1D asks for them."""
    fresh = Fresh(realisations)
    sampler = adaptive.AverageLearner1D(
        lambda sample: fresh.is_active(sample[1]),
        bounds=(LOWEST, HIGHEST),
        alpha=TAILS[0],
        min_samples=PROBES,
    )
    while True:
        (sample,), _ = sampler.ask(1)
        sampler.tell(sample, float(fresh.is_active(sample[1])))
        yield band_interval(sampler.data, sampler.error)


def band_interval(means: dict[float, float], errors: dict[float, float]) -> Interval:
    """Return between which values of rho the means are not surely above or below one half."""
    rho = np.array(sorted(means))
    mean, error = (np.array([values[key] for key in rho]) for values in (means, errors))
    surely_active = np.logical_and.accumulate(mean - error > 0.5)
    surely_collapsed = np.logical_and.accumulate((mean + error < 0.5)[::-1])[::-1]
    low = rho[surely_active].max(initial=LOWEST)
    high = rho[surely_collapsed].min(initial=HIGHEST)
    return float(low), float(high)


def tpe(realisations: Realisations, half_width: float) -> Steps:
    """Minimise the distance of the share from one half with Optuna's default sampler."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fresh, dice = Fresh(realisations), np.random.default_rng(realisations.key)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(dice.integers(2**31))))
    trials: list[tuple[float, float]] = []
    while True:
        trial = study.ask()
        rho = trial.suggest_float("rho", LOWEST, HIGHEST)
        distance = abs(fresh.share(rho) - 0.5)
        study.tell(trial, distance)
        trials.append((distance, rho))
        best = [rho for _, rho in sorted(trials)[: round(BEST_SHARE * len(trials))]]
        if len(best) < FEWEST_BEST:
            yield None
        else:
            medians = np.median(dice.choice(best, (RESAMPLES, len(best))), axis=1)
            low, high = np.quantile(medians, TAILS)
            yield float(low), float(high)


def bisection(realisations: Realisations, half_width: float) -> Steps:
    """Bisect the density of the median, with answers that are right with a fixed probability."""
    fresh = Fresh(realisations)
    edges = np.linspace(LOWEST, HIGHEST, BISECTION_CELLS + 1)
    density = np.full(BISECTION_CELLS, 1 / BISECTION_CELLS)
    while True:
        cumulative = np.concatenate([[0.0], np.cumsum(density)])
        low, rho, high = np.interp([TAILS[0], 0.5, TAILS[1]], cumulative, edges)
        yield float(low), float(high)
        above = edges[1:] > rho
        density = density * np.where(above == fresh.is_active(rho), BISECTION_P, 1 - BISECTION_P)
        density = density / density.sum()


PEERS = MappingProxyType(
    {
        "grid": way(grid),
        "refine": way(refine),
        "Learner1D": way(learner),
        "AverageLearner1D": way(average_learner),
        "TPE": way(tpe),
        "bisection": way(bisection),
    }
)
"""The peers by name."""
