"""The search `refine`: each seed's bracket around the threshold, until it is narrow enough."""

from collections.abc import Sequence

import numpy as np

from analysis.estimate import TRANSITION, SeedThreshold, collapsed_side, curves_of, level, seed_threshold
from search_spaces.space import RHO_DIGITS
from sweeps.plan.cells import Point
from sweeps.search.base import Observations, RoundSearch


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
