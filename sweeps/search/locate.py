"""The search `locate`: a picture, then fresh seeds where they tell most about rho_c.

The picture is a few seeds on the coarse values of rho. A *probe* is a member of a fresh seed at one rho: it
says on which side of that rho the seed's threshold lies. Two thirds of the probes of a batch lie at the
median as it is known by then, where they say most of it, and a sixth on either side at `OFFSET` scales of the
realisations, where they say most of the scales. A seed that has a member already, since its cell was swept in
other company or with other settings, is probed there: what is trained is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.censored import Population, population
from analysis.comparisons import UNDECIDED, compare, is_settled
from analysis.estimate import CellThreshold
from ouvae.declared.pairs import Pair
from sweeps.plan.cells import Point
from sweeps.search.base import Observations, RoundSearch, threshold_of

OFFSET = 0.8
"""How many scales of the realisations beside the median a sixth of the probes lies, on either side."""

PROBE_DIGITS = 4
"""Probes lie at values of rho of so many decimals."""

NEIGHBOUR_WEIGHT = 0.5
"""How much a seed of a neighbour's picture counts where a cell's first probes are placed."""

TYPICAL_SPREAD = 0.08
"""Scale of the realisations before any is known, for the expected number of members."""


INTERIM_LEVEL = 0.001
"""Level of the tests that stop a comparison before `max_members`. Every batch is another look at the data,
and looks at the level of the verdict would find differences where there are none; those at this one hardly
add to the level of the last (Haybittle 1971, Peto et al. 1976)."""


@dataclass(frozen=True)
class Goal:
    """What a located threshold is, and how far a search goes for it.

    Attributes:
        active_from: collapsed is below, active is not below; or `half_plateau` of what is observed.
        least: half of a plateau is at least this.
        half_width: of the interval, at which a cell is located.
        confidence: nominal coverage of the interval.
        max_members: most members of a cell.
        probes: members of a batch.
    """

    active_from: float | str
    least: float
    half_width: float
    confidence: float
    max_members: int
    probes: int


class LocateSearch(RoundSearch):
    """Locates the threshold of a cell, and goes on after that where a comparison asks for it.

    Args:
        rho: the coarse values.
        seeds: of the picture; those of the probes follow on the largest of them.
        goal: where it ends.
    """

    def __init__(self, rho: Sequence[float], seeds: Sequence[int], goal: Goal) -> None:
        """Start at the picture."""
        super().__init__()
        self._goal = goal
        self._picture = [Point(value, seed) for seed in seeds for value in sorted(rho)]
        self._lowest, self._highest = min(rho), max(rho)
        self._first_seed = max(seeds) + 1
        self.neighbours: Sequence[LocateSearch] = ()
        self.decisions: Decisions | None = None
        self.threshold: CellThreshold | None = None
        self.rounds_on = 0
        self.is_located = False
        self._estimated = 0  # members that the threshold is of
        self._of_picture: CellThreshold | None = None

    @property
    def stage(self) -> str:
        """The picture, the probes to where the interval is narrow enough, those of comparisons, the end."""
        if self._ended:
            return "located" if self.is_located else "most members"
        if self.is_located:
            return "comparing"
        return "probes" if self._known else "picture"

    def propose(self, known: Observations) -> list[Point] | None:
        """Return the picture, then batches of probes; None while other cells are waited for."""
        if not known:
            return self._picture
        found = self._estimate_of_all(known)
        room = self._goal.max_members - len(known)
        if found.population is None or room <= 0:
            return []
        self.is_located = self.is_located or self._meets_goal(found)
        if self.is_located:
            goes_on = self.decisions is not None and self.decisions.goes_on(self)
            if not goes_on:
                return None if goes_on is None else []
            self.rounds_on += 1
        around = found.population
        if len(known) == len(self._picture):
            pictures = [neighbour.picture() for neighbour in self.neighbours]
            if None in pictures:
                return None
            around = self._with_neighbours(found, [own for own in pictures if own is not None])
        return self._probes(around, len(known) - len(self._picture), min(room, self._goal.probes))

    def expected_points(self) -> int:
        """Return the members so far and those that the square root law of the interval asks for."""
        found = self.threshold
        asked = self._goal.half_width
        if self._ended:
            return len(self._known)
        if found is None or found.half_width is None or len(self._known) == len(self._picture):
            # a bit at the median has 2/pi of the information of a whole threshold, and two thirds lie there
            more = round(1.5 * (1.25 * 1.96 * TYPICAL_SPREAD / asked) ** 2)
            return min(self._goal.max_members, len(self._picture) + more)
        share = min(1.0, (asked / found.half_width) ** 2)
        probes = max(len(self._known) - len(self._picture), 1)
        return min(self._goal.max_members, len(self._picture) + round(probes / share))

    def picture(self) -> CellThreshold | None:
        """Return what the picture alone says of the threshold; None while it is not all observed."""
        if self._of_picture is None and all(point in self._observed for point in self._picture):
            self._of_picture = self._estimate({point: self._observed[point] for point in self._picture})
        return self._of_picture

    def _estimate_of_all(self, known: Observations) -> CellThreshold:
        """Return the threshold as it is known; what is asked again while others are waited for is not new."""
        if self.threshold is None or len(known) > self._estimated:
            self.threshold, self._estimated = self._estimate(known), len(known)
        return self.threshold

    def _estimate(self, known: Observations) -> CellThreshold:
        goal = self._goal
        return threshold_of(known, goal.active_from, goal.least, goal.confidence)

    def _meets_goal(self, found: CellThreshold) -> bool:
        """Tell whether the interval, as far as it lies within the coarse values, is narrow enough.

        The median may lie beyond them, where no probe can say more.
        """
        low, high = found.rho_c_low, found.rho_c_high
        if low is None and high is None:
            return False
        low = self._lowest if low is None else low
        high = self._highest if high is None else high
        return high - low <= 2 * self._goal.half_width

    def _with_neighbours(self, found: CellThreshold, pictures: Sequence[CellThreshold]) -> Population:
        """Return what is known with the pictures of the neighbours: where to begin, and nothing else."""
        counted: defaultdict[tuple[float, float], float] = defaultdict(float)
        for threshold, weight in [(found, 1.0), *((own, NEIGHBOUR_WEIGHT) for own in pictures)]:
            for seed in threshold.seeds:
                if seed.n_members:
                    counted[seed.interval] += weight
        return population(counted)

    def _probes(self, known: Population, trained: int, count: int) -> list[Point]:
        """Return a batch of fresh seeds around the median as it is known, the first `count` of it."""
        size, median = self._goal.probes, known.median.median
        # a sixth of all to either side, in turn where a batch is small
        left = (trained + size) // 6 - trained // 6
        right = (trained + size + 3) // 6 - (trained + 3) // 6
        places = [median - OFFSET * known.left.median] * left
        places += [median] * (size - left - right)
        places += [median + OFFSET * known.right.median] * right
        first = self._first_seed + trained
        return [self._probe(first + index, place) for index, place in enumerate(places[:count])]

    def _probe(self, seed: int, place: float) -> Point:
        """Return the member of a seed that is there next to a place, or else one at the place."""
        there = [point for point in self._there if point.seed == seed]
        if there:
            return min(there, key=lambda point: abs(point.rho - place))
        return Point(min(max(round(place, PROBE_DIGITS), self._lowest), self._highest), seed)


class Decisions:
    """Sends the cells of undecided comparisons on, when all cells are located, batch by batch.

    Each batch is decided for all cells at once, when all have finished the one before, so that what is asked
    for does not depend on which of them was first.

    Args:
        searches: of the cells, in their order.
        pairs: which are compared.
        confidence: one minus the level of the verdicts; the tests here have the `INTERIM_LEVEL`, if lower.
        margin: of being alike; None compares without.
    """

    def __init__(
        self, searches: Sequence[LocateSearch], pairs: Sequence[Pair], confidence: float, margin: float | None
    ) -> None:
        """Decide nothing yet."""
        self._searches, self._pairs = list(searches), list(pairs)
        self._confidence, self._margin = max(confidence, 1 - INTERIM_LEVEL), margin
        self._going_on: list[set[int]] = []

    def goes_on(self, search: LocateSearch) -> bool | None:
        """Tell whether a located cell trains another batch; None while another cell is not as far."""
        turn = search.rounds_on
        if turn == len(self._going_on):
            if not all(self._is_at(one, turn) for one in self._searches):
                return None
            self._going_on.append(self._undecided())
        return self._searches.index(search) in self._going_on[turn]

    def _is_at(self, search: LocateSearch, turn: int) -> bool:
        return search.has_ended or (search.is_located and search.is_waiting and search.rounds_on == turn)

    def _undecided(self) -> set[int]:
        known = [None if one.threshold is None else one.threshold.population for one in self._searches]
        medians = [None if one is None else one.median for one in known]
        compared = compare(self._pairs, medians, self._confidence, self._margin)
        return {
            place
            for pair, one in zip(self._pairs, compared, strict=True)
            if one.verdict == UNDECIDED and not is_settled(medians[pair.first], medians[pair.second])
            for place in (pair.first, pair.second)
        }
