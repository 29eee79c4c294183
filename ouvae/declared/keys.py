"""How a key is declared: its type and bounds by its annotation, all else by `key`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticUndefined

INTEGER_LIMIT = 2**31
"""Every integer is below this, so that tables and libraries can hold it."""

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
    """A model that takes no key it does not know, no infinity, and no boolean for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean(cls, value: object) -> object:
        if _has_boolean(value):
            raise ValueError("no key takes true or false (or yes, no, on, off)")
        return value


def _has_boolean(value: object) -> bool:
    """Tell whether a boolean, which Python takes for a number, is or lies within `value`."""
    if isinstance(value, dict):
        return any(map(_has_boolean, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_boolean, value))
    return isinstance(value, bool)


@dataclass(frozen=True)
class Key:
    """What is declared of a key beside its type, its bounds and its default.

    Attributes:
        name: of the key.
        annotation: its type.
        description: what it says, for the documentation and the tables.
        unit: of its value: `nats`, `steps`, `1` for other numbers, `none` for words.
        has_neutral: whether a cell may be without it.
        neutral: the value that is as if there were no such key. A member's identity leaves it out, and a
            table that lacks the key is read with it, so that a key may be added at any time.
        of: the key whose choice says whether this one makes sense, such as `system`.
        requires: the key without which this one makes no sense.
        word: how a label says its value.
        method: whether it says which method is used, not what methods that are compared must share.
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

    def is_neutral(self, value: object) -> bool:
        """Tell whether the value is the neutral one."""
        return self.has_neutral and value == self.neutral


def key(
    description: str,
    *,
    default: Any = PydanticUndefined,
    neutral: Any = PydanticUndefined,
    unit: str = "1",
    of: str | None = None,
    requires: str | None = None,
    word: str | None = None,
    method: bool = False,
) -> Any:
    """Return the default of a field that is a key; its attributes are those of `Key`.

    A key without a `neutral` value is part of every identity, and its `default`, if it has one, may change:
    what is neutral may not. A key with one has it for its default.
    """
    declared: dict[str, Any] = {"unit": unit, "of": of, "requires": requires, "word": word, "method": method}
    if neutral is not PydanticUndefined:
        default = neutral
        declared["neutral"] = neutral
    return Field(default, description=description, json_schema_extra=declared)


@cache
def keys_of(model: type[BaseModel]) -> Mapping[str, Key]:
    """Return the declared keys of a model by name, in their order."""
    return MappingProxyType(
        {
            name: _declared(name, field.annotation, field.description or "", field.json_schema_extra)
            for name, field in model.model_fields.items()
            if isinstance(field.json_schema_extra, dict)
        }
    )


def _declared(name: str, annotation: Any, description: str, extra: Any) -> Key:
    return Key(
        name,
        annotation,
        description,
        extra["unit"],
        "neutral" in extra,
        extra.get("neutral"),
        extra["of"],
        extra["requires"],
        extra["word"] or f"{name} {{}}",
        extra["method"],
    )
