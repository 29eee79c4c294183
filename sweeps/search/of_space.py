"""The searches of a space: one for each cell."""

from collections.abc import Sequence

from analysis.statistics.rule import Rule
from ouvae.declared.pairs import comparable, neighbours
from search_spaces import Space, SweptCell
from sweeps.search.base import Observations, Search, StoppingRule, rule_of
from sweeps.search.grid import GridSearch
from sweeps.search.locate import Decisions, LocateSearch
from sweeps.search.refine import RefineSearch


def searches_of(space: Space, observed: Sequence[Observations]) -> list[Search]:
    """Return a new search of the space's kind for each of its cells.

    A cell without smoothing gets a grid: rho has no effect there.

    Args:
        space: says which search, and how.
        observed: live observations of each cell.
    """
    swept, rule = space.swept(), rule_of(space)
    if not space.search_traits.aims_at_half_width:
        return [_independent(space, *part, rule) for part in zip(swept, observed, strict=True)]
    smoothed = [index for index, cell in enumerate(swept) if cell.cell.smoothed_networks]
    cells, of_cells = [swept[index] for index in smoothed], [observed[index] for index in smoothed]
    located = _locating(space, cells, of_cells, rule)
    by_index = dict(zip(smoothed, located, strict=True))
    return [
        by_index[index] if index in by_index else GridSearch(observed[index], cell.rho, space.seeds)
        for index, cell in enumerate(swept)
    ]


def _independent(space: Space, swept: SweptCell, observed: Observations, rule: Rule) -> Search:
    if space.search == "none":
        return GridSearch(observed, (), ())
    if space.search == "grid":
        return GridSearch(observed, swept.rho, space.seeds)
    return RefineSearch(observed, swept.rho, space.seeds, rule, space.rho_tolerance, space.refine_points)


def _locating(
    space: Space, swept: Sequence[SweptCell], observed: Sequence[Observations], rule: Rule
) -> list[LocateSearch]:
    """Return the searches of `locate`, with their neighbours and the comparisons to decide."""
    stopping = StoppingRule(rule, space.rho_tolerance, space.max_members)
    cells = [cell.cell for cell in swept]
    searches = [
        LocateSearch(of_cell, cell.rho, space.seeds, stopping, space.probes)
        for of_cell, cell in zip(observed, swept, strict=True)
    ]
    for search, indices in zip(searches, neighbours(cells), strict=True):
        search.neighbours = [searches[index] for index in indices]
    if space.until == "decided":
        decisions = Decisions(searches, comparable(cells), space.confidence, space.margin)
        for search in searches:
            search.decisions = decisions
    return searches
