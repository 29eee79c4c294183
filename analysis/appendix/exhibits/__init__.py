"""Every table, figure and claim: each is a module, and its name a line in `analysis.appendix.names`."""

from importlib import import_module

from analysis import TableError
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.names import NAMES

EXHIBITS: tuple[Exhibit, ...] = tuple(import_module(f"{__name__}.{name}").EXHIBIT for name in NAMES)
"""In the order of the page."""


def exhibits_at(budget: str) -> tuple[Exhibit, ...]:
    """Return the exhibits whose spaces have a budget; all of them for a budget that none declares."""
    return tuple(exhibit for exhibit in EXHIBITS if budget in exhibit.budgets) or EXHIBITS


def exhibit_of(name: str) -> Exhibit:
    """Return the exhibit of that name; TableError if there is none."""
    if name not in NAMES:
        raise TableError(f"no table or figure {name}; there are: {', '.join(NAMES)}")
    return EXHIBITS[NAMES.index(name)]
