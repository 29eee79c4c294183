"""The values of the control parameter of a space: a list, or a range."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Generic, Self, TypeVar, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag, create_model, model_validator

from ouvae.declared import CONTROLS, CellKeys
from ouvae.declared.keys import Distinct, ScaleKind, Several, Strict

DIGITS = 6
"""Decimals of a value on a linear scale, and significant digits of a value on a log scale, so that it reads,
prints and hashes the same everywhere."""

NUMBER, LIST, RANGE = FORMS = "number", "list", "range"
"""The forms in which a space gives a control parameter. A list or a range is swept."""

_Value = TypeVar("_Value", bound=float)


def tidy(value: float, scale: ScaleKind) -> float:
    """Return a value with `DIGITS` digits."""
    return round(value, DIGITS) if scale == "linear" else float(f"{value:.{DIGITS}g}")


class ValueRange(Strict, Generic[_Value]):
    """Values with equal spacing on a scale, both ends included.

    Attributes:
        scale: None is the scale of the control parameter.
    """

    low: _Value
    high: _Value
    points: Several
    scale: ScaleKind | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self

    def values(self, scale: ScaleKind) -> tuple[float, ...]:
        """Return the values in increasing order, on a scale that is used unless the range has one."""
        chosen = self.scale or scale
        ends = self.low, self.high
        low, high = ends if chosen == "linear" else map(math.log, ends)
        spacing = (high - low) / (self.points - 1)
        inner = (low + index * spacing for index in range(1, self.points - 1))
        values = (self.low, *(inner if chosen == "linear" else map(math.exp, inner)), self.high)
        return tuple(tidy(value, chosen) for value in values)


def value_problems(control: str, values: list[Any] | tuple[Any, ...] | ValueRange[Any]) -> Iterable[str]:
    """Yield what is wrong with the values of a control parameter that are each allowed."""
    declared = CONTROLS[control].scale
    scale = values.scale or declared if isinstance(values, ValueRange) else declared
    lowest = values.low if isinstance(values, ValueRange) else min(values)
    if scale == "log" and lowest <= 0:
        yield (
            f"{control}: {lowest:g} has no place on a log scale; give values above 0, or a range with scale: "
            "linear"
        )
    elif isinstance(values, ValueRange) and len(set(values.values(declared))) < values.points:
        yield f"{control}: points must lie at least {10.0**-DIGITS:g} apart; give fewer points"


def _form(value: object) -> str:
    if isinstance(value, dict | ValueRange):
        return RANGE
    return LIST if isinstance(value, list | tuple) else NUMBER


def _swept_field(name: str) -> Any:
    """Return the type and the declaration of a key of which a space may give several values."""
    field, scale = CellKeys.model_fields[name], CONTROLS[name].scale
    present = [part for part in get_args(field.annotation) or [field.annotation] if part is not type(None)]
    value: Any = present[0] if not field.metadata else Annotated[present[0], *field.metadata]
    tidied = AfterValidator(lambda values: tuple(tidy(value, scale) for value in values))
    values = Annotated[tuple[value, ...], Field(min_length=1), tidied, Distinct]
    number: Any = value if len(present) == len(get_args(field.annotation) or [0]) else value | None
    forms = (
        Annotated[number, Tag(NUMBER)]
        | Annotated[values, Tag(LIST)]
        | Annotated[ValueRange[value], Tag(RANGE)]
    )
    declared = Field(field.default, description=field.description, json_schema_extra=field.json_schema_extra)
    return Annotated[forms, Discriminator(_form)], declared


if TYPE_CHECKING:

    class SweptKeys(CellKeys):
        """The keys of cells. A space gives one control parameter several values."""

else:
    SweptKeys = create_model(
        "SweptKeys", __base__=CellKeys, **{name: _swept_field(name) for name in CONTROLS}
    )
