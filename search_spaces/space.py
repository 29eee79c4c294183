"""Spaces: their keys, their validation and their cells.

A space is a YAML mapping. `latents` has a list of sizes for each cell, or `{size: [8, 16], depth: [2, 3]}`
for a cell of each size and depth. `variants` repeats these cells for each of its entries, which may set any
key of a cell, `latents` and `rho`. `budgets` has named sets of keys, of which the reader chooses one.

`ouvae.declared.cell` declares the keys of a cell; this module declares the keys of the sweep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from ouvae.declared import Cell, CellKeys
from ouvae.declared.keys import (
    INTEGER_LIMIT,
    Distinct,
    NotNegative,
    Positive,
    PositiveNumber,
    Rho,
    Several,
    Strict,
    Whole,
    key,
)
from ouvae.declared.order_parameters import WATCHED, ActiveFrom, OrderName
from ouvae.declared.pairs import comparable
from search_spaces.messages import advice

RHO_DIGITS = 6
"""Decimals of rho, so that it reads, prints and hashes the same everywhere."""

MAX_SEEDS = 10_000
"""Maximum number of seeds given as a number."""

MAX_LAYERS, MAX_CELLS, MAX_MEMBERS = 100, 1_000, 1_000_000
"""Maximum numbers of a cell's layers, a space's cells, and members in initial grids or by `max_members`."""

MAX_QUESTION_LENGTH = 2_000
"""Maximum number of characters of a question."""

MOST_TRACKED = 5_000
"""Maximum number of members that `track: auto` makes runs in MLflow."""

Fraction = Annotated[float, Field(gt=0, lt=1)]


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, RHO_DIGITS) for value in values)


class RhoRange(Strict):
    """Evenly spaced values of rho, both ends included."""

    low: Rho
    high: Rho
    points: Several

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.high - self.low < (self.points - 1) * 10**-RHO_DIGITS:
            raise ValueError(f"points must lie at least {10**-RHO_DIGITS:g} apart")
        return self

    def values(self) -> tuple[float, ...]:
        """Return the values in increasing order."""
        spacing = (self.high - self.low) / (self.points - 1)
        return _rounded(tuple(self.low + i * spacing for i in range(self.points)))


RhoList = Annotated[tuple[Rho, ...], Field(min_length=1), AfterValidator(_rounded), Distinct]


class LatentGrid(Strict):
    """Cells of each size and depth, with layers of equal size; `size` varies fastest."""

    size: Annotated[tuple[Positive, ...], Field(min_length=1), Distinct]
    depth: Annotated[tuple[Annotated[Positive, Field(le=MAX_LAYERS)], ...], Field(min_length=1), Distinct]

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (cells := len(self.size) * len(self.depth)) > MAX_CELLS:
            raise ValueError(f"{cells:,} cells; a space has at most {MAX_CELLS:,}")
        return self

    def latents(self) -> tuple[tuple[int, ...], ...]:
        """Return the latents of each cell."""
        return tuple((size,) * depth for depth in self.depth for size in self.size)


def _latent_lists(value: object) -> object:
    """Expand a grid into lists, and refuse a list that lacks the brackets of a single cell."""
    if isinstance(value, list | tuple) and value and all(isinstance(size, int) for size in value):
        raise ValueError(f"give a list for each cell, such as [{list(value)}]")
    if not isinstance(value, dict):
        return value
    try:
        return LatentGrid.model_validate(value).latents()
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, item['loc']))}: {advice(dict(item), LatentGrid)}" for item in error.errors()
        )
        raise ValueError(f"a grid is {{size: [8, 16], depth: [2, 3]}}; {'; '.join(problems)}") from None


class Costs(Strict):
    """Settings of measuring the costs of members: seconds an epoch, memory, parameters.

    Attributes:
        rounds: rounds of timing, in which members take turns; 0 counts parameters and memory only.
        steps: training steps in a round.
    """

    rounds: Whole
    steps: Positive = 20


@dataclass(frozen=True)
class SweptCell:
    """A cell, and the values of rho in increasing order at which its search starts."""

    cell: Cell
    rho: tuple[float, ...]


VARIANT_KEYS = frozenset(CellKeys.model_fields) | {"latents", "rho"}
"""The keys that a variant may set. The other keys of the sweep are the same for all variants."""


def _seed_list(value: object) -> object:
    if isinstance(value, int):
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"give a number of seeds from 1 to {MAX_SEEDS}, or a list")
        return tuple(range(value))
    return value


class Space(CellKeys):
    """A named search space: the keys of its cells and of their sweep."""

    name: Annotated[
        str,
        Field(
            min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", coerce_numbers_to_str=True
        ),
    ] = key("name of the space; by default the file's name", unit="none")
    question: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_LENGTH)] | None = key(
        "question that the sweep answers, in words; the report starts with it", default=None, unit="none"
    )
    latents: Annotated[
        tuple[Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MAX_LAYERS)], ...],
        BeforeValidator(_latent_lists),
        Field(min_length=1, max_length=MAX_CELLS),
        Distinct,
    ] = key("a list of sizes for each cell, z_1 first; or all combinations of sizes and depths")
    rho: Annotated[
        Annotated[RhoList, Tag("list")] | Annotated[RhoRange, Tag("range")],
        Discriminator(lambda value: "range" if isinstance(value, dict | RhoRange) else "list"),
    ] = key("values of smoothing: all values of `grid`, or the initial grid of `locate` and `refine`")
    seeds: Annotated[
        tuple[Whole, ...],
        BeforeValidator(_seed_list),
        Field(min_length=1),
        Distinct,
    ] = key("the seeds, or their number (0, 1, …)", default=(0, 1, 2), unit="none")
    search: Literal["locate", "refine", "grid", "none"] = key(
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
    device: Literal["auto", "cpu", "cuda"] = key(
        "training device; `auto` takes GPUs if the cluster has any. The kind of device is part of a member's "
        "identity",
        default="auto",
        unit="none",
    )
    cpus_per_pack: Positive = key("CPUs that a pack requests from Ray", default=1)
    gpus_per_pack: Annotated[float, Field(gt=0, le=1)] = key(
        "share of a GPU that a pack requests from Ray, on `cuda` only", default=1.0
    )
    pack_size: Positive | None = key(
        "maximum number of members in a pack; null chooses by the device", default=None
    )
    checkpoint_minutes: NotNegative = key(
        "time between two saved states of a pack in training; 0 saves none", default=5.0, unit="min"
    )
    save_weights: Literal["none", "last", "best"] = key(
        "members' weights to keep, in a file for each pack: `none`, the `last`, or the `best` by validation "
        "ELBO, which needs `select: best`",
        default="none",
        unit="none",
    )
    wait_minutes: NotNegative = key(
        "maximum wait for a node with free resources for a pack", default=10.0, unit="min"
    )
    grace_seconds: PositiveNumber = key(
        "time from SIGINT, SIGTERM or SIGHUP to the end, in which packs save their states",
        default=25.0,
        unit="s",
    )
    evaluation_gib: PositiveNumber = key(
        "memory for a pack's evaluation of L_k, which works in chunks", default=1.0, unit="GiB"
    )
    track: Literal["auto", "members", "cells", "sweep"] = key(
        "runs in MLflow: `members` and their cells, `cells` only, or the `sweep` only; the tables are always "
        f"files of the sweep's run. `auto` is members for up to {MOST_TRACKED:,} members, else cells",
        default="auto",
        unit="none",
    )
    costs: Costs | None = key(
        "`rounds` and `steps` for measuring seconds an epoch, memory and parameters; null measures nothing",
        default=None,
        unit="none",
    )
    variants: tuple[dict[str, Any], ...] = key(
        "a list; each entry repeats the cells of `latents` with other values of keys of a cell, `latents` or "
        "`rho`",
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
        """Return the cells with their values of rho, in the order of variants and `latents`."""
        return tuple(swept for part in self.parts() for swept in part._swept_without_variants())

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells, in the same order."""
        return tuple(swept.cell for swept in self.swept())

    def shared(self) -> Mapping[str, Any]:
        """Return the keys of a cell above the variants, in plain values."""
        return self.model_dump(mode="json", include=set(CellKeys.model_fields))

    def comparison_problems(self) -> list[str]:
        """Return the problem of a space with `until: decided` and no comparable cells.

        A margin without comparisons is not a problem: an override of `latents` may leave a file's margin
        unused.
        """
        if self.until != "decided" or comparable(self.cells()):
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
        members = cells * max(initial_members, self.max_members if self.search == "locate" else 0)
        if members <= MAX_MEMBERS:
            return []
        return [
            f"latents, rho, seeds and max_members: up to {members:,} members; a space has at most "
            f"{MAX_MEMBERS:,}: give fewer of these, or divide it into several spaces"
        ]

    def _swept_without_variants(self) -> tuple[SweptCell, ...]:
        shared = self.model_dump(include=set(CellKeys.model_fields))
        return tuple(
            SweptCell(Cell(latents=latents, **shared), self.rho_values()) for latents in self.latents
        )

    def rho_values(self) -> tuple[float, ...]:
        """Return the values of rho in increasing order."""
        if isinstance(self.rho, RhoRange):
            return self.rho.values()
        return tuple(sorted(self.rho))

    def problems(self) -> list[str]:
        """Return the contradictions between keys, each with what to do."""
        problems = super().problems()
        rho = self.rho_values()
        smooths = bool(self.smoothed_networks and self.traits("system").smooths)
        if self.search in ("locate", "refine") and len(rho) < 2 and smooths:
            problems.append(
                f"rho: {list(rho)} with search {self.search}, which starts from two values or more; add a "
                "value, or use search: grid"
            )
        initial_members = len(rho) * len(self.seeds)
        problems += self._size_problems(initial_members)
        if self.search == "locate" and self.max_members < initial_members:
            problems.append(
                f"max_members: {self.max_members} with {len(self.seeds)} seeds on {len(rho)} values of rho, "
                f"which are {initial_members} members; set max_members to at least that, or give fewer of "
                "these"
            )
        if self.search == "locate" and max(self.seeds) + self.max_members >= INTEGER_LIMIT:
            problems.append(
                f"seeds: {max(self.seeds)} with max_members {self.max_members}; the probes' seeds of search "
                f"locate must stay below {INTEGER_LIMIT}, so give lower seeds"
            )
        if self.until == "decided" and self.search != "locate":
            problems.append(
                f"until: decided with search {self.search}, which decides nothing; use search: locate"
            )
        if self.save_weights == "best" and self.select != "best":
            problems.append(
                f"save_weights: best with select {self.select}, which keeps no best weights; use select: "
                "best, or save_weights: last"
            )
        if self.search == "none" and self.costs is None:
            problems.append("search: none without costs, which leaves nothing to do; give costs: {rounds: 5}")
        if not smooths and rho != (1.0,):
            problems.append(
                f"rho: {list(rho)} with smoothed_networks [], where it has no effect; use rho: [1.0]"
            )
        if self.follow not in self.active_from:
            problems.append(
                f"follow: {self.follow} without a level; add it to active_from, or follow "
                f"{' or '.join(self.active_from)}"
            )
        problems += self.depth_problems(self.latents, smooths=rho != (1.0,))
        return problems
