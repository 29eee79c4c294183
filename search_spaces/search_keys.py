"""The keys of a space's search: seeds, where and how long to sample, order parameters and their levels."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ouvae.declared.keys import Distinct, Positive, Strict, Whole, key
from ouvae.declared.order_parameters import WATCHED, ActiveFrom, OrderName
from ouvae.declared.searches import SEARCHES, SearchName, SearchTraits

MAX_SEEDS = 10_000
"""Maximum number of seeds given as a number."""

Fraction = Annotated[float, Field(gt=0, lt=1)]


def _seed_list(value: object) -> object:
    if isinstance(value, int):
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"give a number of seeds from 1 to {MAX_SEEDS}, or a list")
        return tuple(range(value))
    return value


class SearchKeys(Strict):
    """The keys of the search."""

    seeds: Annotated[
        tuple[Whole, ...],
        BeforeValidator(_seed_list),
        Field(min_length=1),
        Distinct,
    ] = key("the seeds, or their number (0, 1, …)", default=(0, 1, 2), unit="none")
    search: SearchName = key(
        "`locate` trains the seeds on `rho`, then probes: fresh seeds with one rho each, where they locate "
        "rho_c best; `refine` narrows the bracket of each seed; `grid` trains `rho` only; `none` trains "
        "nothing, for a space with `costs`",
        default="locate",
        unit="none",
    )
    rho_tolerance: Fraction = key(
        "`locate` stops when half the width of the interval of rho_c is at most this; `refine` stops when a "
        "seed's bracket is at most this wide",
        default=0.05,
    )
    max_members: Positive = key("maximum number of members of a cell with `locate`", default=240)
    probes: Positive = key("probes in a round of `locate`", default=12)
    until: Literal["located", "decided"] = key(
        "`locate` stops when rho_c is `located` to rho_tolerance, or continues with the cells of comparisons "
        "until they are `decided`",
        default="located",
        unit="none",
    )
    margin: Fraction | None = key(
        "equivalence margin: thresholds closer than this are called alike; null: no equivalence test",
        default=None,
    )
    refine_points: Positive = key("values that `refine` adds inside a bracket in a round", default=3)
    active_from: Annotated[dict[OrderName, ActiveFrom], Field(min_length=1)] = key(
        "the order parameters with thresholds, each with the level from which a member is active, or "
        "`half_plateau`, half of the curve's plateau",
        default=dict(WATCHED),
        unit="none",
    )
    follow: OrderName = key(
        "the target of the search, an order parameter of `active_from`",
        default="kl_top",
        unit="none",
    )
    confidence: Fraction = key("nominal coverage of the thresholds' intervals", default=0.95)

    @property
    def search_traits(self) -> SearchTraits:
        """The traits of the search."""
        return SEARCHES[self.search]
