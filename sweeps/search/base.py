"""Where to sample the control parameter next: searches, which know nothing of how members are trained.

What a search asks for is a function of what it has observed, never of when or by how many workers that was
trained, so that asking again after an interruption gives the same points.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from analysis.statistics.curves import Curves, curves_of
from analysis.statistics.estimate import CellThreshold
from analysis.statistics.rule import Rule, rules_of
from search_spaces import Space
from sweeps.plan.cells import Point

Observations: TypeAlias = Mapping[Point, float | None]
"""The targeted order parameter at each observed point; None for a member that diverged or failed."""


@dataclass(frozen=True)
class StoppingRule:
    """When the search of a cell stops.

    Attributes:
        half_width: of the threshold's interval, at which the cell is located.
        max_members: maximum number of members of the cell.
    """

    rule: Rule
    half_width: float
    max_members: int


def rule_of(space: Space) -> Rule:
    """Return the rule of the threshold that the searches of a space target."""
    return rules_of(space.model_dump()).of(space.follow)


def threshold_at(rule: Rule, observations: Observations) -> CellThreshold:
    """Return the threshold of a cell with these observations."""
    return rule.threshold(curves_of_points(observations))


def curves_of_points(observations: Observations) -> Curves:
    """Return the curves of a cell's seeds."""
    return curves_of((point.seed, point.value, value) for point, value in observations.items())


class Search(ABC):
    """Asks for points in rounds, each a function of the observations of the rounds before it.

    Args:
        observed: of the cell's members, kept up to date by its owner. Members that are there from the start
            are reusable, whoever asked for them.

    Attributes:
        asked: all points that it has asked for.
    """

    def __init__(self, observed: Observations) -> None:
        self.observed = observed
        self._reusable = sorted(observed)
        self.asked: set[Point] = set()
        self._observations: dict[Point, float | None] = {}
        self._round: list[Point] = []
        self._ended = False

    @abstractmethod
    def propose(self, observations: Observations) -> list[Point] | None:
        """Return the next round, given all observations of the rounds before.

        None waits for another search, and is asked again; an empty round ends the search.
        """

    @abstractmethod
    def expected_points(self) -> int:
        """Return how many points the whole search is expected to ask for."""

    def ask(self) -> list[Point]:
        """Return the points of the next round, observed or not, once.

        There are none while the round before is not all observed, while the search waits for another one, and
        when it is done.
        """
        if self._ended or any(point not in self.observed for point in self._round):
            return []
        self._observations.update((point, self.observed[point]) for point in self._round)
        self._round = []
        proposed = self.propose(self._observations)
        if proposed is None:
            return []
        self._round, self._ended = proposed, not proposed
        self.asked.update(proposed)
        return proposed

    @property
    @abstractmethod
    def stage(self) -> str:
        """Where the search is, in a word or two."""

    @property
    def answers(self) -> Observations:
        """The observations of the points that it has asked for."""
        current = {point: self.observed[point] for point in self._round if point in self.observed}
        return self._observations | current

    @property
    def answer_count(self) -> int:
        """How many of the points that it has asked for are observed."""
        return len(self._observations) + sum(point in self.observed for point in self._round)

    @property
    def done(self) -> bool:
        """Whether the last round is observed and the search, asked again, proposed no other."""
        return self._ended

    @property
    def is_waiting(self) -> bool:
        """Whether the last round is observed, and the next one waits for another search."""
        return not self._round and not self._ended
