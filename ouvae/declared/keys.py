"""Declaring a key: type and bounds by the annotation, everything else by `key`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticUndefined

INTEGER_LIMIT = 2**31
"""All integers are below this limit, so that tables and libraries can hold them."""

_T = TypeVar("_T")


def _distinct(values: tuple[_T, ...]) -> tuple[_T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("entries must be distinct")
    return values


Whole = Annotated[int, Field(ge=0, lt=INTEGER_LIMIT)]
Positive = Annotated[int, Field(ge=1, lt=INTEGER_LIMIT)]
Several = Annotated[int, Field(ge=2, lt=INTEGER_LIMIT)]
PositiveNumber = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Rho = Annotated[float, Field(ge=0, le=1)]
Distinct = AfterValidator(_distinct)


class Strict(BaseModel):
    """A model that refuses unknown keys, infinities, and booleans in place of numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean(cls, value: object) -> object:
        if _has_boolean(value):
            raise ValueError("no key takes true or false (or yes, no, on, off)")
        return value


def _has_boolean(value: object) -> bool:
    """Tell whether a value is or contains a boolean, which Python accepts as a number."""
    if isinstance(value, dict):
        return any(map(_has_boolean, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_boolean, value))
    return isinstance(value, bool)


ScaleKind: TypeAlias = Literal["linear", "log"]
"""The scales on which the values of a control parameter are spaced; a log scale has decades."""


@dataclass(frozen=True)
class Control:
    """A key as a control parameter, which a sweep may vary; the members of a pack may differ in it.

    Its bounds are those of the key.

    Attributes:
        symbol: in figures and texts.
        words: its name before the symbol.
        scale: on which its values are spaced, unless a space says otherwise.
        collapsed: the end, `low` or `high`, at which the top layer is collapsed where curves do not tell.
        in_model: whether it acts inside the model. A module then holds the value as an attribute of the key's
            name; in a pack whose members differ, this attribute is a buffer.
    """

    symbol: str
    words: str
    scale: ScaleKind = "log"
    collapsed: Literal["low", "high"] = "high"
    in_model: bool = False

    @property
    def critical(self) -> str:
        """The symbol of its critical value."""
        return f"{self.symbol}_c"


@dataclass(frozen=True)
class Key:
    """The declaration of a key, without its bounds and its default.

    Attributes:
        annotation: its type.
        description: its meaning, for the documentation and the tables.
        unit: unit of its value: `nats`, `steps`, `1` for other numbers, `none` for words.
        neutral: the value that has the same effect as leaving the key out. Identities of members leave this
            value out, and a table without the key is read with it, so a key can be added at any time.
        of: the key whose choice decides whether this key is used, such as `system`.
        requires: another key without which this key is not used.
        word: format of the value in a label; an empty text is the name and the value.
        method: whether the key belongs to the method (system, objective, smoothed networks, …). Cells in a
            comparison of methods may differ in such a key.
        control: what it is as a control parameter; None for other keys.
    """

    name: str
    annotation: Any
    description: str
    unit: str
    has_neutral: bool
    neutral: Any
    of: str | None
    requires: str | None
    word: str
    method: bool
    control: Control | None

    def is_neutral(self, value: object) -> bool:
        """Tell whether this is the neutral value."""
        return self.has_neutral and value == self.neutral


def key(
    description: str,
    *,
    default: Any = PydanticUndefined,
    neutral: Any = PydanticUndefined,
    unit: str = "1",
    of: str | None = None,
    requires: str | None = None,
    word: str = "",
    method: bool = False,
    control: Control | None = None,
) -> Any:
    """Return the default of a field that declares a key, with the attributes of `Key`.

    The neutral value is also the default, and must never change. A key without a neutral value is part of
    every identity, and its default may change.
    """
    has_neutral = neutral is not PydanticUndefined
    declared: dict[str, Any] = {"unit": unit, "of": of, "requires": requires, "word": word, "method": method}
    declared["control"] = control
    declared |= {"has_neutral": has_neutral, "neutral": neutral if has_neutral else None}
    default = neutral if has_neutral else default
    return Field(default, description=description, json_schema_extra=declared)


@cache
def keys_of(model: type[BaseModel]) -> Mapping[str, Key]:
    """Return the declared keys of a model by name, in the order of declaration."""
    return MappingProxyType(
        {
            name: Key(
                name,
                field.annotation,
                field.description or "",
                **cast(dict[str, Any], field.json_schema_extra),
            )
            for name, field in model.model_fields.items()
            if isinstance(field.json_schema_extra, dict)
        }
    )
