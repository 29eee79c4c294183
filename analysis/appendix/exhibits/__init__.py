"""Every table, figure and claim that there is: a new one is a module of its own, and a line here."""

from analysis import TableError
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.exhibits import (
    choices,
    controls,
    datasets,
    figure4,
    figure5,
    figure6,
    table5,
    table6,
    table7,
    table8,
    table9,
    table10,
)

EXHIBITS: tuple[Exhibit, ...] = (
    table5.EXHIBIT,
    table6.EXHIBIT,
    table7.EXHIBIT,
    table8.EXHIBIT,
    table9.EXHIBIT,
    table10.EXHIBIT,
    figure4.EXHIBIT,
    figure5.EXHIBIT,
    figure6.EXHIBIT,
    datasets.EXHIBIT,
    controls.EXHIBIT,
    choices.EXHIBIT,
)
"""The tables and figures, the claims of the main text and controls of ours, in the order of the page."""

NAMES = tuple(exhibit.name for exhibit in EXHIBITS)


def exhibits_at(budget: str) -> tuple[Exhibit, ...]:
    """Return the exhibits whose spaces have a budget; all of them for a budget that none declares."""
    return tuple(exhibit for exhibit in EXHIBITS if budget in exhibit.budgets) or EXHIBITS


def exhibit_of(name: str) -> Exhibit:
    """Return the exhibit of that name; TableError if there is none."""
    if name not in NAMES:
        raise TableError(f"no table or figure {name}; there are: {', '.join(NAMES)}")
    return EXHIBITS[NAMES.index(name)]
