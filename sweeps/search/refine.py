"""The search `refine`: narrows the bracket of each seed's threshold."""

from collections.abc import Sequence

import numpy as np

from analysis.statistics.estimate import TRANSITION, SeedThreshold, collapsed_side, seed_threshold
from analysis.statistics.rule import Rule
from search_spaces.sweeping import DIGITS, tidy
from sweeps.plan.cells import Point
from sweeps.search.base import Observations, Search, curves_of_points


class RefineSearch(Search):
    """Train a coarse grid, then narrow the bracket of each seed's threshold.

    The bracket of a seed is the step from collapsed to active next to the collapsed side, from which
    `analysis.statistics.estimate` takes the seed's threshold. A round puts `points` evenly spaced values
    inside it and one guard outside, halfway to the next collapsed value: an active member hidden there would
    make the true bracket. A seed without a transition keeps its coarse curve. A bracket stays when all
    members inside it diverged.

    Args:
        values: the coarse values.
        tolerance: width of a bracket that needs no more points, a span of the rule's scale.
        points: values inside the bracket per round.
    """

    def __init__(
        self,
        observed: Observations,
        values: Sequence[float],
        seeds: Sequence[int],
        rule: Rule,
        tolerance: float,
        points: int,
    ) -> None:
        super().__init__(observed)
        self._coarse, self._seeds = sorted(values), list(seeds)
        self._rule, self._tolerance, self._points = rule, tolerance, points

    @property
    def stage(self) -> str:
        """`coarse grid`, `refining` or `done`."""
        if self._ended:
            return "done"
        return "refining" if self._observations else "coarse grid"

    def propose(self, observations: Observations) -> list[Point]:
        """Return the coarse grid, then a refinement of every seed whose bracket is too wide."""
        if not observations:
            return [Point(value, seed) for seed in self._seeds for value in self._coarse]
        curves = curves_of_points(observations)
        usable = {seed: curves[seed] for seed in self._seeds if curves[seed][0].size}
        if not usable:
            return []
        active_from = self._rule.level(usable)
        rule = self._rule
        side = collapsed_side(usable, active_from, rule.scale, rule.usual_side)
        proposed: list[Point] = []
        for seed, (trained, values) in usable.items():
            threshold = seed_threshold(seed, trained, values, active_from, side, rule.scale)
            inside, guard = self._refine(threshold, trained, side)
            if any(Point(value, seed) not in observations for value in inside):
                proposed += [Point(value, seed) for value in sorted({*inside, *guard})]
        return [point for point in proposed if point not in observations]

    def expected_points(self) -> int:
        """Return the coarse points and the rounds that narrow the widest coarse step enough."""
        width = max(np.diff(self._rule.scale.places(self._coarse)), default=0.0)
        rounds = 0
        while round(width, DIGITS) > self._tolerance:
            width, rounds = width / (self._points + 1), rounds + 1
        return len(self._seeds) * (len(self._coarse) + rounds * (self._points + 1))

    def _refine(
        self, threshold: SeedThreshold, trained: np.ndarray, side: str
    ) -> tuple[list[float], list[float]]:
        """Return the values inside a seed's bracket and its guard; none where it is narrow enough."""
        if threshold.status != TRANSITION or threshold.low is None or threshold.high is None:
            return [], []
        scale = self._rule.scale
        low, high = scale.place(threshold.low), scale.place(threshold.high)
        if round(high - low, DIGITS) <= self._tolerance:
            return [], []
        spacing = (high - low) / (self._points + 1)
        inside = [low + spacing * i for i in range(1, self._points + 1)]
        places = scale.places(trained)
        beyond = places[places > high] if side == "high" else places[places < low]
        guard: list[float] = []
        if len(beyond):
            edge, neighbour = (high, beyond.min()) if side == "high" else (low, beyond.max())
            guard = [(edge + float(neighbour)) / 2]
        inside, guard = ([tidy(scale.value(place), scale.kind) for place in part] for part in (inside, guard))
        return inside, guard
