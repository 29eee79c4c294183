"""The searches of a space: one for each cell."""

from collections.abc import Sequence

from analysis.statistics.rule import Rule
from ouvae.declared.pairs import comparable, neighbours
from search_spaces import Space, SweptCell
from sweeps.search.base import Observations, Search, StoppingRule, rule_of
from sweeps.search.grid import GridSearch
from sweeps.search.locate import Decisions, LocateSearch
from sweeps.search.refine import RefineSearch

PROBES, MOST_PROBES = 12, 48
"""Least and most probes of `probes: auto`; more save no time (`benchmarks/results/cluster.csv`)."""

PROBES_OF_A_SLOT = {"cpu": 12, "cuda": 24}
"""Probes for each slot of a cell: on a GPU a step of 24 members takes hardly longer than one of 12."""


def with_probes(space: Space, fixed: int | None, slots: int, device: str) -> Space:
    """Return a space whose `probes: auto` is a number: that of its run, or one that suits so many slots.

    It is written to the run's space.yaml, so that later commands go on with it on any number of slots.
    """
    if space.probes != "auto":
        return space
    of_slots = PROBES_OF_A_SLOT[device] * slots // len(space.cells())
    whole = of_slots // PROBES * PROBES
    return space.model_copy(update={"probes": fixed or min(MOST_PROBES, max(PROBES, whole))})


def searches_of(space: Space, observed: Sequence[Observations]) -> list[Search]:
    """Return a new search of the space's kind for each of its cells.

    A cell on which the control parameter has no effect gets a grid.

    Args:
        space: says which search, and how.
        observed: live observations of each cell.
    """
    swept, rule = space.swept(), rule_of(space)
    if not space.search_traits.aims_at_half_width:
        return [_independent(space, *part, rule) for part in zip(swept, observed, strict=True)]
    acted_on = [index for index, cell in enumerate(swept) if cell.has_effect]
    cells, of_cells = [swept[index] for index in acted_on], [observed[index] for index in acted_on]
    located = _locating(space, cells, of_cells, rule)
    by_index = dict(zip(acted_on, located, strict=True))
    return [
        by_index[index] if index in by_index else GridSearch(observed[index], cell.values, space.seeds)
        for index, cell in enumerate(swept)
    ]


def _independent(space: Space, swept: SweptCell, observed: Observations, rule: Rule) -> Search:
    if space.search == "none":
        return GridSearch(observed, (), ())
    if space.search == "grid":
        return GridSearch(observed, swept.values, space.seeds)
    return RefineSearch(observed, swept.values, space.seeds, rule, space.tolerance, space.refine_points)


def _locating(
    space: Space, swept: Sequence[SweptCell], observed: Sequence[Observations], rule: Rule
) -> list[LocateSearch]:
    """Return the searches of `locate`, with their neighbours and the comparisons to decide."""
    stopping = StoppingRule(rule, space.tolerance, space.max_members)
    cells = [cell.cell for cell in swept]
    searches = [
        LocateSearch(
            of_cell, cell.values, space.seeds, stopping, space.probes if space.probes != "auto" else PROBES
        )
        for of_cell, cell in zip(observed, swept, strict=True)
    ]
    for search, indices in zip(searches, neighbours(cells, space.control), strict=True):
        search.neighbours = [searches[index] for index in indices]
    if space.until == "decided":
        decisions = Decisions(searches, comparable(cells, space.control), space.confidence, space.margin)
        for search in searches:
            search.decisions = decisions
    return searches
