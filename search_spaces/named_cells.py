"""The keys of a space that name it and list its cells, with their initial values of rho."""

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from ouvae.declared import CellKeys
from ouvae.declared.keys import Distinct, Positive, Rho, Several, Strict, key
from search_spaces.messages import advice

RHO_DIGITS = 6
"""Decimals of rho, so that it reads, prints and hashes the same everywhere."""

MAX_LAYERS, MAX_CELLS = 100, 1_000
"""Maximum numbers of a cell's layers and of a space's cells."""

MAX_QUESTION_LENGTH = 2_000
"""Maximum number of characters of a question."""


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


class NamedCells(CellKeys):
    """Name, question and cells of a space."""

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
