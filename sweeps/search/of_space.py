"""The searches of a space, one a cell."""

from collections.abc import Sequence

from ouvae.declared import ORDER_PARAMETERS
from ouvae.declared.pairs import comparable, neighbours
from search_spaces import Space, SweptCell
from sweeps.search.base import Search
from sweeps.search.grid import GridSearch, NoSearch
from sweeps.search.locate import Decisions, Goal, LocateSearch
from sweeps.search.refine import RefineSearch


def searches_of(space: Space, swept: Sequence[SweptCell]) -> list[Search]:
    """Return a new search of the space's kind for each of its cells."""
    if space.search != "locate":
        return [_alone(space, one.rho) for one in swept]
    located = iter(_locating(space, [one for one in swept if one.cell.smoothed_networks]))
    # where nothing is smoothed rho has no effect, and there is nothing to locate
    return [
        next(located) if one.cell.smoothed_networks else GridSearch(one.rho, space.seeds) for one in swept
    ]


def _alone(space: Space, rho: Sequence[float]) -> Search:
    if space.search == "none":
        return NoSearch()
    if space.search == "grid":
        return GridSearch(rho, space.seeds)
    return RefineSearch(
        rho,
        space.seeds,
        space.active_from[space.follow],
        ORDER_PARAMETERS[space.follow].active_from,
        space.rho_tolerance,
        space.refine_points,
    )


def _locating(space: Space, swept: Sequence[SweptCell]) -> list[LocateSearch]:
    """Return the searches of `locate`, which know of their neighbours and of what is to be decided."""
    goal = Goal(
        active_from=space.active_from[space.follow],
        least=ORDER_PARAMETERS[space.follow].active_from,
        half_width=space.rho_tolerance,
        confidence=space.confidence,
        max_members=space.max_members,
        probes=space.probes,
    )
    cells = [one.cell for one in swept]
    searches = [LocateSearch(one.rho, space.seeds, goal) for one in swept]
    for search, places in zip(searches, neighbours(cells), strict=True):
        search.neighbours = [searches[place] for place in places]
    if space.until == "decided":
        decisions = Decisions(searches, comparable(cells), space.confidence, space.margin)
        for search in searches:
            search.decisions = decisions
    return searches
