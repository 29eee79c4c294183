"""Reading a space: by name or from a YAML file, with overrides; all that is wrong with it in one error."""

import difflib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ouvae.declared import labels
from ouvae.declared.registry import find_modules_in
from search_spaces.plain_yaml import TextError, parse, printable, shown
from search_spaces.space import VARIANT_KEYS, RhoRange, Space

SPACES = Path(__file__).parent

MOST_BYTES = 1_000_000
"""The size of the largest space file."""


class SpaceError(Exception):
    """A space that cannot be run; the message lists every problem with key, value and what is allowed."""


def names(folder: str = "") -> list[str]:
    """Return the names of the spaces that ship with the project, of the paper's with `folder` "paper"."""
    return sorted(path.stem for path in (SPACES / folder).glob("*.yaml"))


def load(source: str, overrides: Sequence[str] = (), budget: str | None = None) -> Space:
    """Return the space of that name, or in that YAML file.

    Args:
        source: the name or the file.
        overrides: `KEY=VALUE` texts, which replace what the file says of a key.
        budget: which of the space's `budgets`; None takes the first, if there are any. Its name goes into
            the space's.

    Raises:
        SpaceError: naming the file and every unknown key, bad value or contradiction at once.
    """
    path = _find(source)
    find_modules_in([path.resolve().parent])
    with suppress(OSError):  # the working folder is gone
        find_modules_in([Path.cwd()])
    values, problems = _with_budget(read_yaml_mapping(path), path, budget)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            problems.append(f"--set {shown(override)}: write it as KEY=VALUE, for example --set steps=5000")
            continue
        try:
            values[printable(key.strip())] = parse(text)
        except TextError as error:
            problems.append(f"--set {shown(override)}: the value is not readable YAML: {error}")
    space, found = _validate(values)
    problems += found
    if space is None or problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise SpaceError(f"{path}: {count} in the space\n  " + "\n  ".join(problems))
    return space


def _with_budget(values: dict[str, Any], path: Path, budget: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the space's values with those of the budget on top, its name, and what is wrong with that."""
    budgets = values.pop("budgets", {})
    name = values.pop("name", path.stem)
    if not isinstance(budgets, dict) or not all(isinstance(keys, dict) for keys in budgets.values()):
        return values | {"name": name}, [
            f"budgets: found {shown(repr(budgets))}; give keys for each budget's name"
        ]
    chosen = budget or next(iter(budgets), None)
    if chosen is None:
        return values | {"name": name}, []
    if chosen not in budgets:
        known = ", ".join(budgets) or "none"
        return values | {"name": name}, [f"--budget {shown(chosen)}: the space has the budgets: {known}"]
    if isinstance(name, str | int | float) and not isinstance(name, bool):
        name = f"{name}-{chosen}"
    return values | {"name": name} | budgets[chosen], []


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean …?` for the known word most like `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {match[0]}?" if match else ""


def _find(source: str) -> Path:
    folder, _, name = source.rpartition("/")
    for known in {"": ("", "paper"), "paper": ("paper",)}.get(folder, ()):
        if name in names(known):
            return SPACES / known / f"{name}.yaml"
    path = Path(os.path.expanduser(source))
    if os.path.isfile(path):  # False, too, for what the system refuses to look for
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        found = ": it is a folder, a pipe or a device" if os.path.exists(path) else ""
        raise SpaceError(
            f"no space file {shown(source, 200)}{found}; give a YAML file or one of: {', '.join(names())}"
        )
    raise SpaceError(
        f"unknown space '{shown(source)}'{nearest(source, names())}; known: {', '.join(names())}; "
        "or give the path of a YAML file"
    )


def read_yaml_mapping(path: Path) -> dict[str, Any]:
    """Return the keys and values in a space file, which a run's own `space.yaml` is too.

    Raises:
        SpaceError: naming the file, for one that cannot be read, is no YAML or holds no mapping.
    """
    try:
        values = parse(_text_of(path))
    except (OSError, ValueError) as error:
        raise SpaceError(f"{path}: not a readable YAML file: {error}") from None
    if not isinstance(values, dict):
        raise SpaceError(
            f"{path}: a space is a mapping of keys to values, found {shown(repr(values))}; "
            "write a line KEY: VALUE for each key"
        )
    return values


def _text_of(path: Path) -> str:
    """Return the text of a file; what is none is not opened, for a pipe waits and a device may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is a folder, a pipe or a device; give a text file")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(f"it holds more than {MOST_BYTES} bytes; give a file with the keys of a space")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{error}; save it as UTF-8") from None


def _validate(values: Mapping[str, Any]) -> tuple[Space | None, list[str]]:
    """Return the space, if its values are good, and everything that is wrong with them."""
    variants = values.get("variants") or []
    if not isinstance(variants, list) or not all(isinstance(variant, dict) for variant in variants):
        return None, [f"variants: found {shown(repr(variants))}; give a list of mappings of keys to values"]
    if not variants:
        space, found = _validate_one(values)
        return space, found or (space.comparison_problems() if space else [])
    shared = {key: value for key, value in values.items() if key != "variants"}
    found = []
    for index, variant in enumerate(variants):
        foreign = [key for key in variant if key not in VARIANT_KEYS and key in Space.model_fields]
        found += [f"variants.{index}.{key}: the same for all variants; set it above them" for key in foreign]
        _, problems = _validate_one(shared | variant)
        found += [f"variants.{index}.{problem}" for problem in problems]
    if found:
        return None, found
    # What has no default may stand in the variants alone, each of which then has it.
    required = {key: variants[0][key] for key in ("dataset", "latents", "rho") if key in variants[0]}
    try:
        space = Space.model_validate(required | dict(values))
    except ValidationError as error:
        return None, _described(error, values)
    counts = Counter(space.cells())
    twice = [cell for cell, count in counts.items() if count > 1]
    names = labels(twice)
    twice_there = [f"variants: {name} is there twice; join the values of rho" for name in names]
    return space, twice_there or space.comparison_problems()


def _validate_one(values: Mapping[str, Any]) -> tuple[Space | None, list[str]]:
    try:
        space = Space.model_validate(values)
    except ValidationError as error:
        bad = {str(item["loc"][0]) for item in error.errors()}
        return None, _described(error, values) + _contradictions(values, bad)
    return space, space.problems()


def _described(error: ValidationError, values: Mapping[str, Any]) -> list[str]:
    items = error.errors()
    inner = {item["loc"][:end] for item in items for end in range(1, len(item["loc"]))}
    return [_describe(dict(item), values) for item in items if item["loc"] not in inner]


def _contradictions(values: Mapping[str, Any], bad: set[str]) -> list[str]:
    """Return what is wrong between the keys that are not bad by themselves."""
    harmless = {"dataset": "digits", "latents": [[1, 1]], "rho": [0, 1], "name": "harmless"}
    rest = {key: value for key, value in values.items() if key not in bad}
    rest |= {key: value for key, value in harmless.items() if key in bad}
    found = Space.model_validate(rest).problems()
    return [problem for problem in found if not bad & set(re.findall(r"\w+", problem))]


def _describe(item: dict[str, Any], values: Mapping[str, Any]) -> str:
    """Turn one of pydantic's errors into `key: found …; allowed …`."""
    tags = ("list", "range")
    where = [part for part in item["loc"] if part not in tags]
    key = shown(".".join(map(str, where)))
    top = str(where[0]) if where else ""
    if item["type"] == "extra_forbidden":
        known = RhoRange.model_fields if top == "rho" else Space.model_fields
        suggestion = nearest(str(where[-1]), known) or f"; known: {', '.join(known)}"
        return f"{key}: unknown key{suggestion}"
    if item["type"] == "missing":
        return f"{key}: missing, and it has no default"
    message = str(item["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    found = item.get("input", values.get(top))
    return f"{key}: found {shown(repr(found))}; {message}"
