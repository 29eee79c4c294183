"""Where to sample rho next: pure ask/tell rules that know nothing of how members are trained.

What a rule asks for is a function of what it was told, never of when or by how many workers it was trained,
so that asking again after an interruption gives the same points.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from analysis.estimate import (
    CellThreshold,
    cell_threshold,
    curves_of,
    level,
)
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
