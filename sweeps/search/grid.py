"""The searches `grid`, every value with every seed, and `none`, a grid without points."""

from collections.abc import Sequence

from sweeps.plan.cells import Point
from sweeps.search.base import Observations, Search


class GridSearch(Search):
    """Train every value with every seed, in one round."""

    def __init__(self, observed: Observations, values: Sequence[float], seeds: Sequence[int]) -> None:
        super().__init__(observed)
        self._points = [Point(value, seed) for seed in seeds for value in values]

    @property
    def stage(self) -> str:
        """`grid`, then `done`."""
        return "done" if self._ended else "grid"

    def propose(self, observations: Observations) -> list[Point]:
        """Return the whole grid, once."""
        return [] if observations else self._points

    def expected_points(self) -> int:
        """Return the size of the grid."""
        return len(self._points)
