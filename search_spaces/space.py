"""Spaces: their keys, their validation and their cells.

A space is a YAML mapping. A list under `latents` gives one cell per entry, so that depth and sizes vary
together, and `{size: [8, 16], depth: [2, 3]}` one per size and depth; `variants` gives these once for each of
its entries, which may set any key of a cell, `latents` and `rho`. `budgets` names sets of keys of which one
is chosen when the space is read.

The keys of a cell are declared in `ouvae.declared.cell`, those of how it is swept and run here.
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

RHO_DIGITS = 6
"""rho is rounded to this many decimals, so that it reads, prints and hashes alike everywhere."""

MOST_SEEDS = 10_000
"""The largest number of seeds that can be given as a number."""

MAX_LAYERS, MAX_CELLS, MAX_MEMBERS = 100, 1_000, 1_000_000
"""Layers of a cell, cells of a space, and members of its initial grid or of `max_members`, at most."""

LONGEST_QUESTION = 2_000
"""Characters of a space's question."""

MOST_TRACKED = 5_000
"""Members up to which each is a run in MLflow where `track` is `auto`."""

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
    """Every size with every depth: layers of one size each, `size` varying fastest."""

    size: Annotated[tuple[Positive, ...], Field(min_length=1), Distinct]
    depth: Annotated[tuple[Annotated[Positive, Field(le=MAX_LAYERS)], ...], Field(min_length=1), Distinct]

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (cells := len(self.size) * len(self.depth)) > MAX_CELLS:
            raise ValueError(f"{cells:,} cells; a space has at most {MAX_CELLS:,}")
        return self

    def latents(self) -> tuple[tuple[int, ...], ...]:
        """Return the sizes of each of its cells."""
        return tuple((size,) * depth for depth in self.depth for size in self.size)


def _latent_lists(value: object) -> object:
    """Write a grid out as lists; what is none is left to be validated."""
    if not isinstance(value, dict):
        return value
    try:
        return LatentGrid.model_validate(value).latents()
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"a grid is {{size: [8, 16], depth: [2, 3]}}; {'; '.join(wrong)}") from None


class Costs(Strict):
    """How the costs of the cells' members are measured, side by side: seconds an epoch, memory, parameters.

    Attributes:
        rounds: of timing, in turns; 0 counts parameters and memory alone.
        steps: training steps a round.
    """

    rounds: Whole
    steps: Positive = 20


@dataclass(frozen=True)
class SweptCell:
    """A cell and the values of rho, in increasing order, at which its search begins."""

    cell: Cell
    rho: tuple[float, ...]


VARIANT_KEYS = frozenset(CellKeys.model_fields) | {"latents", "rho"}
"""What a variant may set: the search, the seeds and where to train are the same for all."""


def _seed_list(value: object) -> object:
    if isinstance(value, int):
        if not 1 <= value <= MOST_SEEDS:
            raise ValueError(f"a number of seeds must be 1 to {MOST_SEEDS}")
        return tuple(range(value))
    return value


class Space(CellKeys):
    """A named search space: the keys of its cells, and how these are swept and run."""

    name: Annotated[
        str,
        Field(
            min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", coerce_numbers_to_str=True
        ),
    ] = key("name of the space; the file's unless given", unit="none")
    question: Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION)] | None = key(
        "what the sweep is to find out, in words: its report begins with it", default=None, unit="none"
    )
    latents: Annotated[
        tuple[Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MAX_LAYERS)], ...],
        BeforeValidator(_latent_lists),
        Field(min_length=1, max_length=MAX_CELLS),
        Distinct,
    ] = key("one list of sizes a cell, z_1 first; or every size with every depth")
    rho: Annotated[
        Annotated[RhoList, Tag("list")] | Annotated[RhoRange, Tag("range")],
        Discriminator(lambda value: "range" if isinstance(value, dict | RhoRange) else "list"),
    ] = key("values of smoothing: those of `grid`, or the coarse ones that `locate` and `refine` start from")
    seeds: Annotated[
        tuple[Whole, ...],
        BeforeValidator(_seed_list),
        Field(min_length=1),
        Distinct,
    ] = key("the seeds, or how many (0, 1, …)", default=(0, 1, 2), unit="none")
    search: Literal["locate", "refine", "grid", "none"] = key(
        "`locate` trains the seeds on `rho`, then fresh seeds, one rho each, where they tell most about "
        "rho_c; `refine` narrows each seed's own bracket; `grid` trains `rho` alone; `none` trains nothing, "
        "for a space of `costs`",
        default="locate",
        unit="none",
    )
    rho_tolerance: Fraction = key(
        "`locate` stops when half the width of the interval of rho_c is at most this, `refine` when a seed's "
        "bracket is at most this wide",
        default=0.05,
    )
    max_members: Positive = key("most members that `locate` trains of a cell", default=240)
    probes: Positive = key("fresh seeds that `locate` trains at a time", default=12)
    until: Literal["located", "decided"] = key(
        "`locate` stops when rho_c is `located` to rho_tolerance, or goes on with the cells of comparisons "
        "that are not `decided` yet",
        default="located",
        unit="none",
    )
    margin: Fraction | None = key(
        "thresholds are alike that differ by no more; null compares without",
        default=None,
    )
    refine_points: Positive = key("values that `refine` places inside a bracket at a time", default=3)
    active_from: Annotated[dict[OrderName, ActiveFrom], Field(min_length=1)] = key(
        "the order parameters that have thresholds, each with the value from which a member is active, or "
        "`half_plateau`, half of the curve's plateau",
        default=dict(WATCHED),
        unit="none",
    )
    follow: OrderName = key(
        "the order parameter of `active_from` whose threshold is looked for",
        default="kl_top",
        unit="none",
    )
    confidence: Fraction = key("nominal coverage of the thresholds' intervals", default=0.95)
    device: Literal["auto", "cpu", "cuda"] = key(
        "where members train; `auto` takes GPUs where the cluster has any. The kind of device is part of a "
        "member's identity",
        default="auto",
        unit="none",
    )
    cpus_per_pack: Positive = key("CPUs that a pack asks Ray for", default=1)
    gpus_per_pack: Annotated[float, Field(gt=0, le=1)] = key(
        "share of a GPU that a pack asks Ray for, on `cuda` alone", default=1.0
    )
    pack_size: Positive | None = key("most members in a pack; null follows the device", default=None)
    checkpoint_minutes: NotNegative = key(
        "how often a pack in training saves its state; 0 is never", default=5.0, unit="min"
    )
    save_weights: Literal["none", "last", "best"] = key(
        "which weights of members are kept, in a file a pack: `none`, the `last`, or the `best` by "
        "validation ELBO, which asks for `select: best`",
        default="none",
        unit="none",
    )
    wait_minutes: NotNegative = key(
        "how long a sweep waits for a node with room for a pack", default=10.0, unit="min"
    )
    grace_seconds: PositiveNumber = key(
        "from SIGINT, SIGTERM or SIGHUP to the end; what is trained is saved in that time",
        default=25.0,
        unit="s",
    )
    evaluation_gib: PositiveNumber = key(
        "memory that a pack may take to evaluate L_k, which it fills in chunks", default=1.0, unit="GiB"
    )
    track: Literal["auto", "members", "cells", "sweep"] = key(
        "what is a run in MLflow: `members` and their cells, `cells` alone, or the `sweep` alone; the tables "
        f"are files of the sweep's run always. `auto` is members up to {MOST_TRACKED:,} of them, cells "
        "beyond",
        default="auto",
        unit="none",
    )
    costs: Costs | None = key(
        "`rounds` and `steps` of measuring seconds an epoch, memory and parameters; null measures none",
        default=None,
        unit="none",
    )
    variants: tuple[dict[str, Any], ...] = key(
        "a list: each entry gives the cells of `latents` once, with its own values of any key of a cell, or "
        "of `rho`",
        default=(),
        unit="none",
    )

    def parts(self) -> tuple["Space", ...]:
        """Return a space without variants for each variant: this one, where there is none."""
        if not self.variants:
            return (self,)
        shared = self.model_dump(exclude={"variants"})
        return tuple(Space.model_validate(shared | variant) for variant in self.variants)

    def swept(self) -> tuple[SweptCell, ...]:
        """Return the cells with their values of rho, in the order of variants and `latents`."""
        return tuple(one for part in self.parts() for one in part._own())

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells, in the same order."""
        return tuple(one.cell for one in self.swept())

    def shared(self) -> Mapping[str, Any]:
        """Return the keys that all cells share, in plain values."""
        return self.model_dump(mode="json", include=set(CellKeys.model_fields))

    def comparison_problems(self) -> list[str]:
        """Return what is wrong where decided comparisons are asked for and no two cells can be compared.

        A margin without comparisons is no problem: fewer `latents` than a file's leave its margin unused.
        """
        if self.until != "decided" or comparable(self.cells()):
            return []
        return [
            "until: decided, and no two cells differ in exactly one key, so that nothing is compared; add "
            "such a cell, or leave it out"
        ]

    def _too_large(self, picture: int) -> list[str]:
        """Return what is wrong with a space of more cells or members than a sweep can hold."""
        cells = len(self.latents) * max(1, len(self.variants))
        if cells > MAX_CELLS:
            return [f"latents and variants: {cells:,} cells; a space has at most {MAX_CELLS:,}"]
        members = cells * max(picture, self.max_members if self.search == "locate" else 0)
        if members <= MAX_MEMBERS:
            return []
        return [
            f"latents, rho, seeds and max_members: up to {members:,} members; a space has at most "
            f"{MAX_MEMBERS:,}: give fewer of these, or divide it into several spaces"
        ]

    def _own(self) -> tuple[SweptCell, ...]:
        shared = self.model_dump(include=set(CellKeys.model_fields))
        return tuple(
            SweptCell(Cell(latents=latents, **shared), self.rho_values()) for latents in self.latents
        )

    def rho_values(self) -> tuple[float, ...]:
        """Return the (coarse) values of rho in increasing order."""
        if isinstance(self.rho, RhoRange):
            return self.rho.values()
        return tuple(sorted(self.rho))

    def problems(self) -> list[str]:
        """Return what is wrong between keys, each with its mend."""
        found = super().problems()
        rho = self.rho_values()
        smooths = bool(self.smoothed_networks and self.traits("system").smooths)
        if self.search in ("locate", "refine") and len(rho) < 2 and smooths:
            found.append(
                f"rho: {list(rho)} with search {self.search}, which starts from two values or more; add one "
                "or use search: grid"
            )
        picture = len(rho) * len(self.seeds)
        found += self._too_large(picture)
        if self.search == "locate" and self.max_members < picture:
            found.append(
                f"max_members: {self.max_members} with {len(self.seeds)} seeds on {len(rho)} values of rho, "
                f"which are {picture} members; set max_members to at least that, or give fewer of these"
            )
        if self.search == "locate" and max(self.seeds) + self.max_members >= INTEGER_LIMIT:
            found.append(
                f"seeds: {max(self.seeds)} with max_members {self.max_members}; the seeds that search locate "
                f"goes on with must stay below {INTEGER_LIMIT}, so give lower ones"
            )
        if self.until == "decided" and self.search != "locate":
            found.append(
                f"until: decided with search {self.search}, which decides nothing; use search: locate"
            )
        if self.save_weights == "best" and self.select != "best":
            found.append(
                f"save_weights: best with select {self.select}, which knows no best weights; use select: "
                "best, or save_weights: last"
            )
        if self.search == "none" and self.costs is None:
            found.append("search: none without costs, which leaves nothing to do; give costs: {rounds: 5}")
        if not smooths and rho != (1.0,):
            found.append(
                f"rho: {list(rho)} with smoothed_networks [], where it has no effect; use rho: [1.0]"
            )
        if self.follow not in self.active_from:
            found.append(
                f"follow: {self.follow} without a rule of its own; add it to active_from, or follow "
                f"{' or '.join(self.active_from)}"
            )
        found += self.depth_problems(self.latents, smooths=rho != (1.0,))
        return found
