"""The search `locate`: an initial grid, then fresh seeds where they tell most about the critical value.

The initial grid is a few seeds on the coarse values. Batches of probes follow, by the rule of
`analysis.statistics.probes`. A seed that has a member from an earlier sweep is probed there, so that the
member is reused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from analysis.statistics.censored import Population, population
from analysis.statistics.comparisons import UNDECIDED, compare, is_settled
from analysis.statistics.estimate import CellThreshold
from analysis.statistics.probes import is_located, probe_places
from ouvae.declared.pairs import Pair
from sweeps.plan.cells import Point
from sweeps.search.base import Observations, Search, StoppingRule, threshold_at

PROBE_DIGITS = 4
"""Decimals of a probe's value on a linear scale, and its significant digits on a log scale."""

NEIGHBOUR_WEIGHT = 0.5
"""Weight of a seed of a neighbour's initial grid where a cell's first probes are placed."""

TYPICAL_SPREAD = 0.02
"""Scale of the realisations before any is observed, for the expected number of members."""

INTERIM_LEVEL = 0.001
"""Level of the tests that stop a comparison before `max_members`. Every batch is another look at the data,
and looks at the level of the verdict would find differences where there are none; looks at this level hardly
add to the level of the last (Haybittle 1971, Peto et al. 1976)."""


class LocateSearch(Search):
    """Locates the threshold of a cell, and goes on after that where a comparison asks for it.

    Args:
        values: the coarse values.
        seeds: of the initial grid; probes have the seeds after the largest of them.
        stopping: when the search ends.
        probes: members of a batch.
    """

    def __init__(
        self,
        observed: Observations,
        values: Sequence[float],
        seeds: Sequence[int],
        stopping: StoppingRule,
        probes: int,
    ) -> None:
        super().__init__(observed)
        self._stopping, self._batch_size = stopping, probes
        self._initial_grid = [Point(value, seed) for seed in seeds for value in sorted(values)]
        self._range = min(values), max(values)
        self._first_seed = max(seeds) + 1
        self.neighbours: Sequence[LocateSearch] = ()
        self.decisions: Decisions | None = None
        self.threshold: CellThreshold | None = None
        self.rounds_on = 0
        self.is_located = False
        self._estimated_members = 0
        self._initial_threshold: CellThreshold | None = None

    @property
    def stage(self) -> str:
        """`initial grid`, `probes`, `comparing`, and `located` or `most members` at the end."""
        if self._ended:
            return "located" if self.is_located else "most members"
        if self.is_located:
            return "comparing"
        return "probes" if self._observations else "initial grid"

    def propose(self, observations: Observations) -> list[Point] | None:
        """Return the initial grid, then batches of probes; None while another cell is waited for."""
        if not observations:
            return self._initial_grid
        threshold = self._current_threshold(observations)
        members_left = self._stopping.max_members - len(observations)
        if threshold.population is None or members_left <= 0:
            return []
        self.is_located = self.is_located or is_located(threshold, self._range, self._stopping.half_width)
        if self.is_located:
            goes_on = self.decisions is not None and self.decisions.goes_on(self)
            if not goes_on:
                return None if goes_on is None else []
            self.rounds_on += 1
        posterior = threshold.population
        if len(observations) == len(self._initial_grid):
            thresholds = [neighbour.initial_threshold() for neighbour in self.neighbours]
            if None in thresholds:
                return None
            observed = [neighbour for neighbour in thresholds if neighbour is not None]
            posterior = self._with_neighbours(threshold, observed)
        trained = len(observations) - len(self._initial_grid)
        return self._probes(posterior, trained, min(members_left, self._batch_size))

    def expected_points(self) -> int:
        """Return the members so far and those that the square root law of the interval asks for."""
        threshold, half_width = self.threshold, self._stopping.half_width
        members, initial_members = len(self._observations), len(self._initial_grid)
        if self._ended:
            return members
        if threshold is None or threshold.half_width is None or members == initial_members:
            # a bit at the median has 2/pi of the information of a whole threshold, and two thirds lie there
            probes = round(1.5 * (1.25 * 1.96 * TYPICAL_SPREAD / half_width) ** 2)
        else:
            share = min(1.0, (half_width / threshold.half_width) ** 2)
            probes = round(max(members - initial_members, 1) / share)
        batches = -(-probes // self._batch_size)
        return min(self._stopping.max_members, initial_members + batches * self._batch_size)

    def initial_threshold(self) -> CellThreshold | None:
        """Return the threshold by the initial grid only; None while it is not all observed."""
        if self._initial_threshold is None and all(point in self.observed for point in self._initial_grid):
            observations = {point: self.observed[point] for point in self._initial_grid}
            self._initial_threshold = threshold_at(self._stopping.rule, observations)
        return self._initial_threshold

    def _current_threshold(self, observations: Observations) -> CellThreshold:
        """Return the threshold, estimated anew where members came."""
        if self.threshold is None or len(observations) > self._estimated_members:
            self.threshold = threshold_at(self._stopping.rule, observations)
            self._estimated_members = len(observations)
        return self.threshold

    def _with_neighbours(self, threshold: CellThreshold, neighbours: Sequence[CellThreshold]) -> Population:
        """Return the posterior with the neighbours' initial grids: it places first probes, nothing else."""
        weights: defaultdict[tuple[float, float], float] = defaultdict(float)
        for cell, weight in [(threshold, 1.0), *((cell, NEIGHBOUR_WEIGHT) for cell in neighbours)]:
            for seed in cell.seeds:
                if seed.n_members:
                    low, high = map(self._stopping.rule.scale.place, seed.interval)
                    weights[low, high] += weight
        return population(weights)

    def _probes(self, posterior: Population, trained: int, count: int) -> list[Point]:
        """Return the first `count` of a batch of fresh seeds around the median."""
        places = probe_places(posterior, trained, self._batch_size)[:count]
        return [self._probe(self._first_seed + trained + index, place) for index, place in enumerate(places)]

    def _probe(self, seed: int, place: float) -> Point:
        """Return the reusable member of a seed that is nearest to a place, or else a new one there."""
        scale = self._stopping.rule.scale
        reusable = [point for point in self._reusable if point.seed == seed]
        if reusable:
            return min(reusable, key=lambda point: abs(scale.place(point.value) - place))
        lowest, highest = self._range
        value = scale.value(min(place, scale.place(highest)))
        digits = "f" if scale.kind == "linear" else "g"
        return Point(min(max(float(f"{value:.{PROBE_DIGITS}{digits}}"), lowest), highest), seed)


class Decisions:
    """Sends the cells of undecided comparisons on, when all cells are located, batch by batch.

    Each batch is decided for all cells at once, when all have finished the one before, so that what is asked
    for does not depend on which of them was first.

    Args:
        searches: of the cells, in their order.
        pairs: which are compared.
        confidence: one minus the level of the verdicts; the tests here have the `INTERIM_LEVEL`, if lower.
        margin: equivalence margin; None makes no equivalence test.
    """

    def __init__(
        self, searches: Sequence[LocateSearch], pairs: Sequence[Pair], confidence: float, margin: float | None
    ) -> None:
        self._searches, self._pairs = list(searches), list(pairs)
        self._confidence, self._margin = max(confidence, 1 - INTERIM_LEVEL), margin
        self._going_on: list[set[int]] = []

    def goes_on(self, search: LocateSearch) -> bool | None:
        """Tell whether a located cell trains another batch; None while another cell is not as far."""
        turn = search.rounds_on
        if turn == len(self._going_on):
            if not all(self._is_at(other, turn) for other in self._searches):
                return None
            self._going_on.append(self._undecided())
        return self._searches.index(search) in self._going_on[turn]

    def _is_at(self, search: LocateSearch, turn: int) -> bool:
        return search.done or (search.is_located and search.is_waiting and search.rounds_on == turn)

    def _undecided(self) -> set[int]:
        """Return the indices of cells with an undecided comparison."""
        thresholds = [search.threshold for search in self._searches]
        posteriors = [None if threshold is None else threshold.population for threshold in thresholds]
        medians = [None if posterior is None else posterior.median for posterior in posteriors]
        comparisons = compare(self._pairs, medians, self._confidence, self._margin)
        return {
            index
            for pair, comparison in zip(self._pairs, comparisons, strict=True)
            if comparison.verdict == UNDECIDED and not is_settled(medians[pair.first], medians[pair.second])
            for index in (pair.first, pair.second)
        }
