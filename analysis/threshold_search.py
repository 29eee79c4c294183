"""An ask/tell search for the critical value of a control parameter, for training code of your own."""

from math import isfinite
from typing import NamedTuple

from analysis.foreign import ACTIVE_FROM
from analysis.statistics.curves import curves_of
from analysis.statistics.estimate import CellThreshold
from analysis.statistics.probes import is_located, probe_values, snapped
from analysis.statistics.rule import Rule
from analysis.statistics.scale import scale_of
from ouvae.declared import OrderParameter
from ouvae.declared.keys import ScaleKind

HALF_WIDTH = 0.05
"""Default half width at which a search stops, in units of its scale: of the range, or of a decade."""


class Suggestion(NamedTuple):
    """A member to train: a value of the control parameter, and a seed."""

    value: float
    seed: int


class ThresholdSearch:
    """Suggests members to train until the critical value of a control parameter is located.

    An initial grid comes first, then batches of fresh seeds near the critical value: the search `locate` of a
    sweep. `ask` returns the members of the current batch that are not told yet, so that members may be told
    in any order. A search that is told the members of an earlier one goes on from there.

    Args:
        low: lowest value of the control parameter.
        high: highest value.
        scale: `linear` or `log`.
        active_from: level of the order parameter from which a member is active.
        half_width: of the interval at which the search stops, in the control parameter's unit or, on a log
            scale, in decades; by default a twentieth of the range or of a decade.
        grid: number of values of the initial grid, evenly spaced on the scale.
        seeds: number of seeds of the initial grid.
        batch: number of members of the batches after it.
        max_members: at most so many members are suggested.
        collapsed: `low` or `high`, the end at which members collapse; by default what they say.
        confidence: nominal coverage of the interval.

    Raises:
        ValueError: `low` is not below `high`, or is not positive on a log scale; a number is out of range.

    Examples:
        >>> from analysis import ThresholdSearch
        >>> search = ThresholdSearch(0.1, 10, scale="log")
        >>> while members := search.ask():
        ...     for beta, seed in members:
        ...         search.tell(beta, seed, 1.0 if beta < 2 + 0.01 * (seed % 3) else 0.0)
        >>> round(search.threshold.critical_value)
        2
    """

    def __init__(
        self,
        low: float,
        high: float,
        *,
        scale: ScaleKind = "linear",
        active_from: float = ACTIVE_FROM,
        half_width: float | None = None,
        grid: int = 5,
        seeds: int = 3,
        batch: int = 12,
        max_members: int = 240,
        collapsed: str | None = None,
        confidence: float = 0.95,
    ) -> None:
        low, high = float(low), float(high)
        spaced = scale_of(scale, low, high)
        if grid < 2 or seeds < 1 or batch < 1:
            raise ValueError("grid must be at least 2, seeds and batch at least 1")
        if collapsed not in (None, "low", "high"):
            raise ValueError(f"collapsed must be 'low' or 'high', not {collapsed!r}")
        order = OrderParameter("value", "observed", "order parameter", ACTIVE_FROM)
        self._rule = Rule(order, active_from, confidence, spaced, collapsed)
        self._rule.threshold({})  # refuses a level or a confidence out of range
        self._range = low, high
        self._half_width = spaced.unit * HALF_WIDTH if half_width is None else half_width
        self._batch_size, self._max_members = batch, max_members
        first, last = spaced.place(low), spaced.place(high)
        places = [first + (last - first) * step / (grid - 1) for step in range(grid)]
        values = [low, *(snapped(spaced.value(place)) for place in places[1:-1]), high]
        self._grid = [Suggestion(value, seed) for seed in range(seeds) for value in values]
        self._batch = list(self._grid)
        self._results: dict[Suggestion, float | None] = {}

    def ask(self) -> list[Suggestion]:
        """Return the members to train now, as pairs (value, seed); none when the search is done."""
        if all(member in self._results for member in self._batch):
            self._batch = self._next_batch()
        return [member for member in self._batch if member not in self._results]

    def tell(self, value: float, seed: int, result: float | None) -> None:
        """Record the order parameter of a trained member; None or NaN for a member that diverged.

        Raises ValueError for a member that was told before, and a value that the scale does not have.
        """
        member = Suggestion(float(value), int(seed))
        if member in self._results:
            raise ValueError(f"the member of value {value:g} and seed {seed} was told before; tell each once")
        if not isfinite(value):
            raise ValueError(f"the value of a member must be finite, found {value!r}")
        self._rule.scale.places(value)
        self._results[member] = float(result) if result is not None and isfinite(result) else None

    @property
    def threshold(self) -> CellThreshold:
        """The estimate from all members that were told.

        `critical_value` is the critical value, `critical_low` and `critical_high` are the ends of its
        interval.
        """
        results = ((seed, value, result) for (value, seed), result in self._results.items())
        return self._rule.threshold(curves_of(results))

    def _next_batch(self) -> list[Suggestion]:
        """Return a batch of fresh seeds; none where the threshold is located or the members are used up."""
        threshold, members_left = self.threshold, self._max_members - len(self._results)
        if is_located(threshold, self._range, self._half_width) or members_left <= 0:
            return []
        trained = len(self._results.keys() - set(self._grid))
        values = probe_values(threshold, self._range, trained, self._batch_size)
        first = max(seed for _, seed in self._results) + 1
        return [Suggestion(value, first + index) for index, value in enumerate(values[:members_left])]
