"""The keys of a space that name it and list its cells."""

from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from ouvae.declared.keys import Distinct, Positive, Strict, key
from search_spaces.messages import advice
from search_spaces.sweeping import SweptKeys

MAX_LAYERS, MAX_CELLS = 100, 1_000
"""Maximum numbers of a cell's layers and of a space's cells."""

MAX_QUESTION_LENGTH = 2_000
"""Maximum number of characters of a question."""


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


class NamedCells(SweptKeys):
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
