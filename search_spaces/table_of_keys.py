"""The tables of keys in the documentation, generated from the declarations.

python -m search_spaces.table_of_keys docs/spaces.md
"""

import sys
from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic_core import PydanticUndefined

from ouvae.declared import CONTROLS, CellKeys, Key, keys_of
from ouvae.declared.cell import CHOICES
from ouvae.declared.documents import write_between
from ouvae.declared.keys import INTEGER_LIMIT
from search_spaces.messages import FORMS, SWEPT_FORM
from search_spaces.space import Space

BEGIN, END = "<!-- keys, from their declarations -->\n", "<!-- end of keys -->\n"


def tables() -> str:
    """Return both tables in Markdown: keys of a cell, and keys of its sweep."""
    keys, cell = keys_of(Space), set(CellKeys.model_fields) | {"latents"}
    of_cell = {name: key for name, key in keys.items() if name in cell}
    others = {name: key for name, key in keys.items() if name not in cell}
    return "\n".join(
        [
            "Keys of a cell, which are part of every member's identity:\n",
            *_table(of_cell),
            "\nKeys of the sweep:\n",
            *_table(others),
            "",
        ]
    )


def _table(keys: Mapping[str, Key]) -> list[str]:
    lines = ["| key | default | allowed | |", "| --- | --- | --- | --- |"]
    return lines + [
        f"| `{name}` | {_default(name)} | {_allowed(name, key)} | {_says(key)} |"
        for name, key in keys.items()
    ]


def _default(name: str) -> str:
    value = Space.model_fields[name].default
    return "" if value is PydanticUndefined else _value(value)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_value(entry)}' for name, entry in value.items())}}}"
    return "null" if value is None else str(value)


def _allowed(name: str, key: Key) -> str:
    if name in CONTROLS:
        declared = CellKeys.model_fields[name]
        _, _, forms = SWEPT_FORM.partition(", ")
        return f"{_type(declared.annotation, declared.metadata)}, {forms}"
    if name in FORMS:
        return FORMS[name]
    if name in CHOICES:
        registry = CHOICES[name]
        of_users = ["`module:Class`"] * registry.takes_users_own
        return ", ".join([*registry, *of_users, *(f"`FILE{suffix}`" for suffix in registry.suffixes)])
    return _type(key.annotation, Space.model_fields[name].metadata)


def _type(annotation: Any, metadata: Any = ()) -> str:
    """Return a type and its bounds in words."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        bounds = [bound for entry in more for bound in getattr(entry, "metadata", [entry])]
        return _type(inner, [*metadata, *bounds])
    if get_origin(annotation) is tuple:
        return f"a list of: {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is Literal:
        return ", ".join(get_args(annotation))
    if annotation is str:
        return "a name"
    if annotation in (int, float):
        return _number(annotation, metadata)
    present = next(part for part in get_args(annotation) if part is not NoneType)
    return f"{_type(present, metadata)}, or null"


def _number(kind: type, metadata: Any) -> str:
    bounds = []
    for bound in metadata:
        if isinstance(bound, Ge):
            bounds.append(f"from {bound.ge}")
        if isinstance(bound, Gt):
            bounds.append(f"above {bound.gt}")
        if isinstance(bound, Le):
            bounds.append(f"to {bound.le}")
        if isinstance(bound, Lt) and bound.lt != INTEGER_LIMIT:
            bounds.append(f"below {bound.lt}")
    return " ".join(["a whole number" if kind is int else "a number", *bounds])


def _says(key: Key) -> str:
    users = CHOICES[key.of].users(key.name) if key.of else []
    condition = f"; only with {key.of} {' or '.join(users)}" if users else ""
    return f"{key.description}{condition}".replace("|", "\\|")


def main() -> None:
    """Write the tables into the given file, between its marks."""
    write_between(sys.argv[1], BEGIN, tables(), END)


if __name__ == "__main__":
    main()
