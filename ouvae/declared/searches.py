"""The searches, with their traits. A new search is a class in `sweeps/search/`, and an entry here."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

SearchName: TypeAlias = Literal["locate", "refine", "grid", "none"]
"""The names in `SEARCHES`."""


@dataclass(frozen=True)
class SearchTraits:
    """Traits of a search.

    Attributes:
        aims_at_half_width: whether it stops when the critical value's interval is narrow enough, at most at
            `max_members`.
        adds_seeds: whether it trains seeds beside those of the space.
        minimum_values: minimum number of values of the control parameter, where it has an effect.
        trains: whether it trains anything.
    """

    aims_at_half_width: bool = False
    adds_seeds: bool = False
    minimum_values: int = 1
    trains: bool = True


SEARCHES: Mapping[str, SearchTraits] = MappingProxyType(
    {
        "locate": SearchTraits(aims_at_half_width=True, adds_seeds=True, minimum_values=2),
        "refine": SearchTraits(minimum_values=2),
        "grid": SearchTraits(),
        "none": SearchTraits(trains=False),
    }
)
