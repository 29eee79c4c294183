"""The scale on which the values of a control parameter are spaced.

Thresholds are estimated at *places*: a place is a value of the control parameter, or its logarithm, divided
by the unit of the scale. The prior of the estimate (`analysis.statistics.censored`) is declared in places: a
map of the values that keeps their places maps the threshold too.

A *span* is a distance between two places for a reader: in the control parameter's unit on a linear scale, in
decades on a log scale. Half widths, spreads, differences and margins are spans.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.censored import Array
from ouvae.declared.keys import ScaleKind

SCALE_KINDS: tuple[ScaleKind, ...] = get_args(ScaleKind)
"""The kinds of scales; a log scale has decades."""


@dataclass(frozen=True)
class Scale:
    """How the values of a control parameter are spaced.

    Attributes:
        kind: `linear`, or `log` for positive values.
        unit: the span of one unit: of the control parameter on a linear scale, in decades on a log scale.

    Raises:
        ValueError: for another kind, and a unit that is not positive and finite.
    """

    kind: ScaleKind = "linear"
    unit: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in SCALE_KINDS:
            raise ValueError(f"no scale {self.kind!r}; choose from {', '.join(SCALE_KINDS)}")
        if not (np.isfinite(self.unit) and self.unit > 0):
            raise ValueError(f"the unit of a scale must be positive and finite, not {self.unit!r}")

    def places(self, values: ArrayLike) -> Array:
        """Return the places of values, of any shape. Infinite values are ends of open intervals.

        Raises ValueError for a finite value that is not positive, on a log scale.
        """
        placed = np.asarray(values, dtype=np.float64)
        if self.kind == "log":
            if np.any(np.isfinite(placed) & (placed <= 0)):
                raise ValueError(f"values on a log scale must be positive, found {placed.min():g}")
            with np.errstate(divide="ignore"):
                placed = np.log10(np.maximum(placed, 0.0))
        quotient: Array = placed / self.unit
        return quotient

    def place(self, value: float) -> float:
        """Return the place of a value, as `places` does."""
        return float(self.places(value))

    def value(self, place: float) -> float:
        """Return the value at a place."""
        span = self.span(place)
        return span if self.kind == "linear" else float(10.0**span)

    def span(self, distance: float) -> float:
        """Return the distance of two places as a span."""
        return float(distance * self.unit)

    def between(self, low: float, high: float) -> float:
        """Return the span between two values."""
        return self.span(self.place(high) - self.place(low))

    def middle(self, low: float, high: float) -> float:
        """Return the value halfway between two values."""
        return self.value((self.place(low) + self.place(high)) / 2)


LINEAR = Scale()
"""The scale whose values are their own places."""


def scale_of(kind: ScaleKind, lowest: float, highest: float) -> Scale:
    """Return the scale of a control parameter that is trained between two values.

    The unit of a linear scale is the trained range, the unit of a log scale a decade. Raises ValueError for
    an empty range, and for values that are not positive on a log scale.
    """
    if not lowest < highest:
        raise ValueError(f"the lowest value must lie below the highest, found {lowest:g} and {highest:g}")
    scale = Scale(kind, highest - lowest if kind == "linear" else 1.0)
    scale.places([lowest, highest])
    return scale
