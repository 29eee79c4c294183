"""How charts and texts name a control parameter and space its values."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from analysis import TableError
from analysis.statistics.scale import Scale
from analysis.tables.schema import Row
from analysis.text.words import estimate, threshold_sentence
from ouvae.declared import CONTROLS
from ouvae.declared.controls import bounds_of

_DIGITS = {"linear": ".4f", "log": ".4~g"}


@dataclass(frozen=True)
class ControlNames:
    """A control parameter in charts.

    Attributes:
        symbol: its name in tooltips.
        critical: the name of its critical value.
        title: of its axis.
        scale: on which its values are spaced.
        digits: how tooltips write its values.
        estimate: writes a cell's estimate above a panel.
        sentence: says in words where the threshold of a cell with a name lies.
        bounds: the lowest and the highest value that it can take.
    """

    symbol: str
    critical: str
    title: str
    scale: Scale
    digits: str
    estimate: Callable[[Row], str]
    sentence: Callable[[Row, str], str]
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def within(self, value: float) -> float:
        """Return the nearest value that the control parameter can take."""
        return min(max(value, self.bounds[0]), self.bounds[1])

    def told(self, field: str = "x") -> dict[str, str]:
        """Return the line of a tooltip with a value."""
        return {"field": field, "title": self.symbol, "format": self.digits}


def names_of(rows: Iterable[Row]) -> ControlNames:
    """Return how charts name the control parameter of rows of thresholds.

    Raises:
        TableError: the rows are of sweeps of several control parameters, or on several scales.
    """
    controls = list(dict.fromkeys((row["control"], row["scale"]) for row in rows))
    if len(controls) > 1:
        texts = " and ".join(f"{name} ({scale})" for name, scale in controls)
        raise TableError(
            f"the runs sweep {texts}, which have no axis in common; give runs of one control parameter"
        )
    name, scale = controls[0]
    control = CONTROLS[name]
    title = f"{control.words} {control.symbol}"
    return ControlNames(
        control.symbol,
        control.critical,
        title,
        Scale(scale),
        _DIGITS[scale],
        estimate,
        threshold_sentence,
        bounds_of(name),
    )
