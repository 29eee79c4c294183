"""How charts and texts name a control parameter and space its values."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.statistics.scale import RHO, Scale
from analysis.tables.schema import Row
from analysis.text.words import estimate, threshold_sentence


@dataclass(frozen=True)
class Control:
    """A control parameter in charts.

    Attributes:
        symbol: its name in tooltips.
        critical: the name of its critical value.
        title: of its axis.
        scale: on which its values are spaced.
        digits: how tooltips write its values.
        estimate: writes a cell's estimate above a panel.
        sentence: says in words where the threshold of a cell with a name lies.
    """

    symbol: str
    critical: str
    title: str
    scale: Scale
    digits: str
    estimate: Callable[[Row], str]
    sentence: Callable[[Row, str], str]


SMOOTHING = Control("ρ", "ρ_c", "smoothing parameter ρ", RHO, ".4f", estimate, threshold_sentence)
"""The smoothing parameter rho."""
