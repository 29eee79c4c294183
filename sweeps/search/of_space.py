"""The searches of a space, one a cell."""

from collections.abc import Sequence

from analysis.statistics.rule import Rule
from ouvae.declared.pairs import comparable, neighbours
from search_spaces import Space, SweptCell
from sweeps.search.base import Observations, Search, StoppingRule
from sweeps.search.grid import GridSearch, NoSearch
from sweeps.search.locate import Decisions, LocateSearch
from sweeps.search.refine import RefineSearch


def searches_of(
    space: Space, swept: Sequence[SweptCell], observed: Sequence[Observations], rule: Rule
) -> list[Search]:
    """Return a new search of the space's kind for each of its cells.

    Where nothing is smoothed rho has no effect and there is nothing to locate: such a cell has a grid.

    Args:
        space: says which search, and how.
        swept: the cells.
        observed: of the members of each cell, kept up to date.
        rule: of the threshold that is looked for.
    """
    if not space.search_traits.aims_at_half_width:
        return [_independent(space, cell.rho, own, rule) for cell, own in zip(swept, observed, strict=True)]
    smoothed = [index for index, cell in enumerate(swept) if cell.cell.smoothed_networks]
    cells, of_cells = [swept[index] for index in smoothed], [observed[index] for index in smoothed]
    located = _locating(space, cells, of_cells, rule)
    by_index = dict(zip(smoothed, located, strict=True))
    return [
        by_index[index] if index in by_index else GridSearch(observed[index], cell.rho, space.seeds)
        for index, cell in enumerate(swept)
    ]


def _independent(space: Space, rho: Sequence[float], observed: Observations, rule: Rule) -> Search:
    if space.search == "none":
        return NoSearch(observed)
    if space.search == "grid":
        return GridSearch(observed, rho, space.seeds)
    return RefineSearch(observed, rho, space.seeds, rule, space.rho_tolerance, space.refine_points)


def _locating(
    space: Space, swept: Sequence[SweptCell], observed: Sequence[Observations], rule: Rule
) -> list[LocateSearch]:
    """Return the searches of `locate`, with their neighbours and the comparisons to decide."""
    stopping = StoppingRule(rule, space.rho_tolerance, space.max_members)
    cells = [cell.cell for cell in swept]
    searches = [
        LocateSearch(own, cell.rho, space.seeds, stopping, space.probes)
        for own, cell in zip(observed, swept, strict=True)
    ]
    for search, indices in zip(searches, neighbours(cells), strict=True):
        search.neighbours = [searches[index] for index in indices]
    if space.until == "decided":
        decisions = Decisions(searches, comparable(cells), space.confidence, space.margin)
        for search in searches:
            search.decisions = decisions
    return searches
