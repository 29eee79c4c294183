"""Spaces: their keys, their validation and their cells.

A space is a YAML mapping. `latents` has a list of sizes for each cell, or `{size: [8, 16], depth: [2, 3]}`
for a cell of each size and depth. `variants` repeats these cells for each of its entries, which may set any
key of a cell and `latents`. `budgets` has named sets of keys, of which the reader chooses one. One control
parameter of the cells (`ouvae.declared.controls`) has a list or a range of values: it is swept.

Keys are declared where they belong: those of a cell in `ouvae.declared.cell`, the others in `named_cells`,
`SearchKeys` and `running`. Rules between them are here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from ouvae.declared import CONTROLS, Cell, CellKeys
from ouvae.declared.controls import RHO, canonical, control_of, has_effect, swept_controls
from ouvae.declared.keys import (
    INTEGER_LIMIT,
    Distinct,
    Positive,
    PositiveNumber,
    ScaleKind,
    Strict,
    Whole,
    key,
)
from ouvae.declared.order_parameters import WATCHED, ActiveFrom, OrderName
from ouvae.declared.pairs import comparable
from ouvae.declared.searches import SEARCHES, SearchName, SearchTraits
from search_spaces.named_cells import MAX_CELLS, NamedCells
from search_spaces.running import RunningKeys
from search_spaces.sweeping import ValueRange, value_problems

MAX_MEMBERS = 1_000_000
"""Maximum number of a space's members, in its initial grids or by `max_members`."""

MAX_SEEDS = 10_000
"""Maximum number of seeds given as a number."""

Fraction = Annotated[float, Field(gt=0, lt=1)]


def _probe_count(value: object) -> object:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < INTEGER_LIMIT
    if not is_whole and value != "auto":
        raise ValueError("give a whole number from 1, or auto")
    return value


def _seed_list(value: object) -> object:
    if isinstance(value, int):
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"give a number of seeds from 1 to {MAX_SEEDS}, or a list")
        return tuple(range(value))
    return value


@dataclass(frozen=True)
class SweptCell:
    """A cell, and the values of its control parameter at which its search starts.

    Attributes:
        cell: at the canonical value of its control.
        control: the control parameter, a key of the cell.
        values: in increasing order.
    """

    cell: Cell
    control: str
    values: tuple[float, ...]

    @property
    def has_effect(self) -> bool:
        """Whether the control parameter acts on the cell."""
        return has_effect(self.control, self.cell.smoothed_networks)


class SearchKeys(Strict):
    """The keys of the search: seeds, where and how long to sample, order parameters and their levels."""

    seeds: Annotated[tuple[Whole, ...], BeforeValidator(_seed_list), Field(min_length=1), Distinct] = key(
        "the seeds, or their number (0, 1, …)", default=(0, 1, 2), unit="none"
    )
    search: SearchName = key(
        "`locate` trains the seeds on the given values, then probes: fresh seeds with one value each, where "
        "they locate the critical value best; `refine` narrows the bracket of each seed; `grid` trains the "
        "given values only; `none` trains nothing, for a space with `costs`",
        default="locate",
        unit="none",
    )
    tolerance: PositiveNumber = key(
        "`locate` stops when half the width of the critical value's interval is at most this; `refine` stops "
        "when a seed's bracket is at most this wide; in units of the control parameter, or in decades on a "
        "log scale",
        default=0.05,
    )
    max_members: Positive = key("maximum number of members of a cell with `locate`", default=240)
    probes: Annotated[int | Literal["auto"], PlainValidator(_probe_count)] = key(
        "probes in a round of `locate`; `auto` is fixed when the run starts, from its slots and cells: with "
        "more probes a sweep takes fewer rounds and more members",
        default=12,
    )
    until: Literal["located", "decided"] = key(
        "`locate` stops when the critical value is `located` to `tolerance`, or continues with the cells of "
        "comparisons until they are `decided`",
        default="located",
        unit="none",
    )
    margin: PositiveNumber | None = key(
        "equivalence margin: thresholds closer than this are called alike; null: no equivalence test; in the "
        "unit of `tolerance`",
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
        "the target of the search, an order parameter of `active_from`", default="kl_top", unit="none"
    )
    confidence: Fraction = key("nominal coverage of the thresholds' intervals", default=0.95)

    @property
    def search_traits(self) -> SearchTraits:
        """The traits of the search."""
        return SEARCHES[self.search]


VARIANT_KEYS = frozenset(CellKeys.model_fields) | {"latents"}
"""The keys that a variant may set. The other keys of the sweep are the same for all variants."""


class Space(RunningKeys, SearchKeys, NamedCells):
    """A named search space: the keys of its cells and of their sweep."""

    variants: tuple[dict[str, Any], ...] = key(
        "a list; each entry repeats the cells of `latents` with other values of keys of a cell or of "
        "`latents`",
        default=(),
        unit="none",
    )

    def parts(self) -> tuple["Space", ...]:
        """Return a space without variants for each variant, or this space if it has none."""
        if not self.variants:
            return (self,)
        shared = self.model_dump(exclude={"variants"})
        return tuple(Space.model_validate(shared | variant) for variant in self.variants)

    def swept(self) -> tuple[SweptCell, ...]:
        """Return the cells with their swept values, in the order of variants and `latents`."""
        return tuple(swept for part in self.parts() for swept in part._swept_without_variants())

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells, in the same order."""
        return tuple(swept.cell for swept in self.swept())

    @property
    def control(self) -> str:
        """The control parameter that is swept: the first with a list or a range of values, else rho."""
        return control_of(self)

    @property
    def scale(self) -> ScaleKind:
        """The scale of the control parameter."""
        given = getattr(self, self.control)
        declared = CONTROLS[self.control].scale
        return given.scale or declared if isinstance(given, ValueRange) else declared

    def values(self) -> tuple[float, ...]:
        """Return the values of the control parameter, in increasing order."""
        given = getattr(self, self.control)
        if isinstance(given, ValueRange):
            return given.values(CONTROLS[self.control].scale)
        return tuple(sorted(given)) if isinstance(given, tuple) else (given,)

    def shared(self) -> Mapping[str, Any]:
        """Return the keys of a cell above the variants except the control parameter, in plain values."""
        return self.model_dump(mode="json", include=set(CellKeys.model_fields) - {self.control})

    def comparison_problems(self) -> list[str]:
        """Return the problem of a space with `until: decided` and no comparable cells.

        A margin without comparisons is not a problem: an override of `latents` may leave a file's margin
        unused.
        """
        if self.until != "decided" or comparable(self.cells(), self.control):
            return []
        return [
            "until: decided, and no two cells differ in exactly one key, so nothing is compared; add such a "
            "cell, or leave it out"
        ]

    def _size_problems(self, initial_members: int) -> list[str]:
        """Return the problem of a space with more cells or members than a sweep can hold."""
        cells = len(self.latents) * max(1, len(self.variants))
        if cells > MAX_CELLS:
            return [f"latents and variants: {cells:,} cells; a space has at most {MAX_CELLS:,}"]
        limit = self.max_members if self.search_traits.aims_at_half_width else 0
        members = cells * max(initial_members, limit)
        if members <= MAX_MEMBERS:
            return []
        return [
            f"latents, {self.control}, seeds and max_members: up to {members:,} members; a space has at most "
            f"{MAX_MEMBERS:,}: give fewer of these, or divide it into several spaces"
        ]

    def _swept_without_variants(self) -> tuple[SweptCell, ...]:
        control, values = self.control, self.values()
        shared = self.model_dump(include=set(CellKeys.model_fields) - {control})
        return tuple(
            SweptCell(canonical(Cell(latents=latents, **shared), control), control, values)
            for latents in self.latents
        )

    def _sweep_problems(self) -> list[str]:
        """Return what is wrong with the control parameter and its values."""
        swept = swept_controls(self)
        if not swept:
            return [
                f"rho: found {self.rho:g}, and no key has several values, of which a sweep varies one; give "
                "a list or a range, such as {low: 0.5, high: 1, points: 6}"
            ]
        if len(swept) > 1:
            return [
                f"{' and '.join(swept)}: several values each, and a sweep varies one key; give one number "
                "to all but one, or list the numbers as variants"
            ]
        if problems := [*value_problems(self.control, getattr(self, self.control))]:
            return problems
        values = self.values()
        if not (has_effect(RHO, self.smoothed_networks) and self.traits("system").smooths):
            of_rho = values if self.control == RHO else (self.rho,)
            if of_rho != (1.0,):
                given, neutral = (list(values), "[1.0]") if self.control == RHO else (self.rho, "1")
                return [f"rho: {given} with smoothed_networks [], where it has no effect; use rho: {neutral}"]
            if self.control == RHO:
                return []
        if len(values) < self.search_traits.minimum_values:
            return [
                f"{self.control}: {list(values)} with search {self.search}, which starts from two values or "
                "more; add a value, or use search: grid"
            ]
        return []

    def problems(self) -> list[str]:
        """Return the contradictions between keys, each with what to do."""
        problems = super().problems()
        if wrong := self._sweep_problems():
            return problems + wrong
        values = self.values()
        initial_members = len(values) * len(self.seeds)
        problems += self._size_problems(initial_members)
        if self.search_traits.aims_at_half_width and self.max_members < initial_members:
            problems.append(
                f"max_members: {self.max_members} with {len(self.seeds)} seeds on {len(values)} values of "
                f"{self.control}, which are {initial_members} members; set max_members to at least that, "
                "or give fewer of these"
            )
        if self.search_traits.adds_seeds and max(self.seeds) + self.max_members >= INTEGER_LIMIT:
            problems.append(
                f"seeds: {max(self.seeds)} with max_members {self.max_members}; the probes' seeds of search "
                f"locate must stay below {INTEGER_LIMIT}, so give lower seeds"
            )
        if self.until == "decided" and not self.search_traits.aims_at_half_width:
            problems.append(
                f"until: decided with search {self.search}, which decides nothing; use search: locate"
            )
        if self.save_weights == "best" and self.select != "best":
            problems.append(
                f"save_weights: best with select {self.select}, which keeps no best weights; use select: "
                "best, or save_weights: last"
            )
        if not self.search_traits.trains and self.costs is None:
            problems.append("search: none without costs, which leaves nothing to do; give costs: {rounds: 5}")
        if self.follow not in self.active_from:
            problems.append(
                f"follow: {self.follow} without a level; add it to active_from, or follow "
                f"{' or '.join(self.active_from)}"
            )
        is_smoothed = values != (1.0,) if self.control == RHO else self.rho != 1.0
        problems += self.depth_problems(self.latents, smooths=is_smoothed)
        return problems
