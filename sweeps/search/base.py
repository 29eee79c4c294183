"""Where to sample rho next: pure ask/tell rules that know nothing of how members are trained.

What a rule asks for is a function of what it was told, never of when or by how many workers it was trained,
so that asking again after an interruption gives the same points.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.estimate import (
    TRANSITION,
    CellThreshold,
    SeedThreshold,
    cell_threshold,
    collapsed_side,
    curves_of,
    level,
    seed_threshold,
)
from search_spaces.space import RHO_DIGITS
from sweeps.plan.cells import Point

Observations = Mapping[Point, float | None]
"""The order parameter at each observed point; None for a member that diverged."""


def threshold_of(
    observations: Observations, active_from: float | str, least: float, confidence: float
) -> CellThreshold:
    """Return what observations of a cell say of its threshold.

    Args:
        observations: the order parameter at each point.
        active_from: collapsed is below, active is not below; or `half_plateau` of what is observed.
        least: half of a plateau is at least this.
        confidence: nominal coverage of the interval.
    """
    curves = curves_of((point.seed, point.rho, value) for point, value in observations.items())
    return cell_threshold(curves, level(curves, active_from, least), confidence)


class Search(ABC):
    """Ask for points, tell what was observed, in any order."""

    def __init__(self) -> None:
        """Start with nothing observed."""
        self._observed: dict[Point, float | None] = {}
        self._there: list[Point] = []

    @abstractmethod
    def ask(self) -> list[Point]:
        """Return the points that are wanted now, some of them observed perhaps.

        There are none when the search is done, and while it waits for another one's observations. Asking
        again returns the same ones, until something is told.
        """

    @abstractmethod
    def expected_points(self) -> int:
        """Return how many points the whole search is expected to ask for."""

    def reuse(self, points: Sequence[Point]) -> None:
        """Take note, before anything is asked, of members that are trained, so that they are asked for."""
        self._there += sorted(points)

    def tell(self, point: Point, value: float | None) -> None:
        """Record the order parameter observed at a point, None if the member diverged."""
        self._observed[point] = value

    @property
    def observations(self) -> Observations:
        """What was told."""
        return self._observed

    @property
    @abstractmethod
    def stage(self) -> str:
        """Where the search is, in a word or two."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the search has ended: it wants nothing more, whatever else is observed."""


class RoundSearch(Search):
    """A search in rounds, each a function of the rounds before it, which end when all of it is observed."""

    def __init__(self) -> None:
        """Start before the first round."""
        super().__init__()
        self._known: dict[Point, float | None] = {}
        self._round: list[Point] = []
        self._ended = False

    @abstractmethod
    def propose(self, known: Observations) -> list[Point] | None:
        """Return the next round, given all observations of the rounds before.

        None waits for another search, and is asked again; an empty round ends the search.
        """

    def ask(self) -> list[Point]:
        """Return the current round, its observed points too."""
        while not self._ended:
            if any(point not in self._observed for point in self._round):
                return self._round
            self._known.update((point, self._observed[point]) for point in self._round)
            self._round = []
            proposed = self.propose(self._known)
            if proposed is None:
                break
            self._round, self._ended = proposed, not proposed
        return []

    @property
    def done(self) -> bool:
        """Whether the last round is observed, and no other follows."""
        self.ask()
        return self._ended

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, as far as it was asked."""
        return self._ended

    @property
    def is_waiting(self) -> bool:
        """Whether the last round is observed, and the next one waits for another search."""
        return not self._round and not self._ended


class GridSearch(RoundSearch):
    """Every rho with every seed, in one round."""

    def __init__(self, rho: Sequence[float], seeds: Sequence[int]) -> None:
        """Search the product of `rho` and `seeds`."""
        super().__init__()
        self._points = [Point(value, seed) for seed in seeds for value in rho]

    @property
    def stage(self) -> str:
        """The grid, all the time."""
        return "done" if self._ended else "grid"

    def propose(self, known: Observations) -> list[Point]:
        """Return the whole grid, once."""
        return [] if known else self._points

    def expected_points(self) -> int:
        """Return the size of the grid."""
        return len(self._points)


class NoSearch(RoundSearch):
    """Nothing to train."""

    stage = "done"

    def propose(self, known: Observations) -> list[Point]:
        """Return nothing."""
        return []

    def expected_points(self) -> int:
        """Return 0."""
        return 0


class RefineSearch(RoundSearch):
    """A coarse grid, then each seed's own bracket around the threshold, until it is narrow enough.

    The bracket of a seed is the one that `analysis.estimate` takes the threshold from: the step from
    collapsed to active next to the collapsed side. A round puts `points` evenly spaced values inside it
    and one guard outside, halfway to the next collapsed value: an active member hidden there would be the
    true bracket. Seeds without a transition keep their coarse curve, and a bracket stays as it is when all
    members inside it diverged.

    Args:
        rho: the coarse values.
        seeds: the seeds.
        active_from: collapsed is below, active is not below; or `half_plateau` of what is observed.
        least: half of a plateau is at least this.
        tolerance: width of a bracket that needs no more points.
        points: values inside the bracket per round.
    """

    def __init__(
        self,
        rho: Sequence[float],
        seeds: Sequence[int],
        active_from: float | str,
        least: float,
        tolerance: float,
        points: int,
    ) -> None:
        """Start at the coarse grid."""
        super().__init__()
        self._coarse, self._seeds = sorted(rho), list(seeds)
        self._active_from, self._least = active_from, least
        self._tolerance, self._inside = tolerance, points

    @property
    def stage(self) -> str:
        """The coarse grid, or the rounds that refine it."""
        if self._ended:
            return "done"
        return "refining" if self._known else "coarse grid"

    def propose(self, known: Observations) -> list[Point]:
        """Return the coarse grid, then a refinement of every seed whose bracket is too wide."""
        if not known:
            return [Point(rho, seed) for seed in self._seeds for rho in self._coarse]
        curves = curves_of((point.seed, point.rho, value) for point, value in known.items())
        usable = {seed: curves[seed] for seed in self._seeds if curves[seed][0].size}
        if not usable:
            return []
        active_from = level(usable, self._active_from, self._least)
        side = collapsed_side(usable, active_from)
        proposed: list[Point] = []
        for seed, (rhos, values) in usable.items():
            found = seed_threshold(seed, rhos, values, active_from, side)
            inside, guard = self._refine(found, rhos, side)
            if any(Point(rho, seed) not in known for rho in inside):
                proposed += [Point(rho, seed) for rho in sorted({*inside, *guard})]
        return [point for point in proposed if point not in known]

    def expected_points(self) -> int:
        """Return the coarse points and the rounds that narrow the widest coarse step enough."""
        width = max(np.diff(self._coarse), default=0.0)
        rounds = 0
        while round(width, RHO_DIGITS) > self._tolerance:
            width, rounds = width / (self._inside + 1), rounds + 1
        return len(self._seeds) * (len(self._coarse) + rounds * (self._inside + 1))

    def _refine(self, found: SeedThreshold, rhos: np.ndarray, side: str) -> tuple[list[float], list[float]]:
        """Return the values inside a seed's bracket and the guard, none where it is narrow enough."""
        if found.status != TRANSITION or found.rho_low is None or found.rho_high is None:
            return [], []
        low, high = found.rho_low, found.rho_high
        if round(high - low, RHO_DIGITS) <= self._tolerance:
            return [], []
        spacing = (high - low) / (self._inside + 1)
        inside = [round(low + spacing * i, RHO_DIGITS) for i in range(1, self._inside + 1)]
        beyond = rhos[rhos > high] if side == "high" else rhos[rhos < low]
        guard: list[float] = []
        if len(beyond):
            edge, neighbour = (high, beyond.min()) if side == "high" else (low, beyond.max())
            guard = [round((edge + float(neighbour)) / 2, RHO_DIGITS)]
        return inside, guard
