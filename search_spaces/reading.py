"""Read a space by name or from a YAML file, with overrides; one error lists all problems."""

import os
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ouvae.declared import CONTROLS, CellKeys, keys_of, labels
from ouvae.declared.controls import RHO, swept_controls
from ouvae.declared.registry import find_modules_in, nearest
from search_spaces.messages import advice
from search_spaces.plain_yaml import TextError, parse, printable, shown
from search_spaces.running import Costs
from search_spaces.space import VARIANT_KEYS, Space
from search_spaces.sweeping import FORMS, ValueRange

SPACES = Path(__file__).parent

ASKED_ABOUT = frozenset(
    ["latents", "variants", *(name for name, key in keys_of(CellKeys).items() if key.unit == "none")]
)
"""Keys that say which models and data a space sweeps. Its question asks about these."""

MAX_BYTES = 1_000_000
"""Maximum size of a space file."""


class SpaceError(Exception):
    """A space that cannot be run; the message lists every problem with its key, value and what to give."""


def names(folder: str = "") -> list[str]:
    """Return the names of the project's spaces; of the paper's spaces with the folder "paper"."""
    return sorted(path.stem for path in (SPACES / folder).glob("*.yaml"))


def question(name: str) -> str:
    """Return the question of one of the project's spaces."""
    folder, _, stem = name.rpartition("/")
    return str(read_yaml_mapping(SPACES / folder / f"{stem}.yaml")["question"])


def load(
    source: str | Mapping[str, Any],
    overrides: Sequence[str] = (),
    budget: str | None = None,
    keys: Mapping[str, Any] | None = None,
) -> Space:
    """Return the space with this name, from this YAML file, or with these keys.

    Args:
        source: the name, the path, or keys and values as in a file; tuples and NumPy's arrays are lists.
        overrides: texts `KEY=VALUE`, which replace values. With other models or data (`ASKED_ABOUT`) the
            space loses its question.
        budget: one of the space's `budgets`, appended to the space's name; None takes the first one, if any.
        keys: replace values in the same way, after the overrides.

    Raises:
        SpaceError: the message has the file, and every unknown key, bad value and contradiction.
    """
    if isinstance(source, str):
        path = _find(source)
        find_modules_in([path.resolve().parent])
        values, where, name = read_yaml_mapping(path), str(path), path.stem
    else:
        values, where, name = _plain(source), "keys", "space"
    with suppress(OSError):  # the working folder was deleted
        find_modules_in([Path.cwd()])
    values, problems = _with_budget(values, name, budget)
    if problems:
        raise _error(where, problems)
    new: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            problems.append(f"--set {shown(override)}: write it as KEY=VALUE, for example --set steps=5000")
            continue
        try:
            new[printable(key.strip())] = parse(text)
        except TextError as error:
            problems.append(f"--set {shown(override)}: the value is not readable YAML: {error}")
    new |= _plain(keys or {})
    values = _renamed(values)
    if not ASKED_ABOUT.isdisjoint(new):
        values.pop("question", None)
    space, problems_of_values = _validate(values | new)
    problems += problems_of_values
    if space is None or problems:
        raise _error(where, problems, overrides)
    return space


_EARLIER_NAMES = {"rho_tolerance": "tolerance"}
"""Names of keys in spaces and runs of earlier versions, with the names of today."""


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys and values with the names of today."""
    return {_EARLIER_NAMES.get(name, name): value for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Return a value as YAML gives it: lists and numbers for tuples and for what NumPy has."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _error(where: str, problems: Sequence[str], overrides: Sequence[str] = ()) -> SpaceError:
    where = " ".join([where, *(f"--set {shown(override)}" for override in overrides)])
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return SpaceError(f"{where}: {count} in the space\n  " + "\n  ".join(problems))


def _with_budget(
    values: dict[str, Any], default_name: str, budget: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the space's values with its name and the budget's values, and the problems of the budgets."""
    budgets = values.pop("budgets", {})
    name = values.pop("name", default_name)
    if not isinstance(budgets, dict) or not all(isinstance(keys, dict) for keys in budgets.values()):
        return values, [f"budgets: found {shown(repr(budgets))}; give a mapping of keys for each budget"]
    chosen = budget or next(iter(budgets), None)
    if chosen is None:
        return values | {"name": name}, []
    if chosen not in budgets:
        allowed = ", ".join(budgets) or "none"
        return values, [f"--budget {shown(chosen)}: the space has the budgets: {allowed}"]
    if isinstance(name, str | int | float) and not isinstance(name, bool):
        name = f"{name}-{chosen}"
    return values | {"name": name} | budgets[chosen], []


def _find(source: str) -> Path:
    folder, _, name = source.rpartition("/")
    for subfolder in {"": ("", "paper"), "paper": ("paper",)}.get(folder, ()):
        if name in names(subfolder):
            return SPACES / subfolder / f"{name}.yaml"
    path = Path(os.path.expanduser(source))
    if os.path.isfile(path):  # unlike Path.is_file, False for names that the system refuses
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        reason = ": it is a folder, a pipe or a device" if os.path.exists(path) else ""
        raise SpaceError(
            f"no space file {shown(source, 200)}{reason}; give a YAML file or one of: {', '.join(names())}"
        )
    raise SpaceError(
        f"unknown space '{shown(source)}'{nearest(source, names())}; give one of: {', '.join(names())}; "
        "or the path of a YAML file"
    )


def read_yaml_mapping(path: Path) -> dict[str, Any]:
    """Return the keys and values in a space file or in a run's `space.yaml`.

    Raises:
        SpaceError: the file cannot be read, is not YAML, or is not a mapping.
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
    """Return the text of a regular file. Others are not opened: a pipe waits, a device may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is a folder, a pipe or a device; give a text file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"it holds more than {MAX_BYTES} bytes; give a file with the keys of a space")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{error}; save it as UTF-8") from None


def _validate(values: Mapping[str, Any]) -> tuple[Space | None, list[str]]:
    """Return the space, or None, and all problems of the values."""
    variants = values.get("variants") or []
    if not isinstance(variants, list) or not all(isinstance(variant, dict) for variant in variants):
        return None, [f"variants: found {shown(repr(variants))}; give a list of mappings of keys to values"]
    if not variants:
        space, problems = _validate_one(values)
        return space, problems or (space.comparison_problems() if space else [])
    if problems := _variant_problems(values, variants):
        return None, problems
    # A key without a default may stand in all variants instead of above them.
    needed = ("dataset", "latents", *(swept_controls(variants[0]) if not swept_controls(values) else ()))
    required = {key: variants[0][key] for key in needed if key in variants[0]}
    try:
        space = Space.model_validate(required | dict(values))
    except ValidationError as error:
        return None, _described(error)
    controls = [part.control for part in space.parts()]
    if len(set(controls)) > 1:
        return space, [
            f"variants: they sweep {' and '.join(dict.fromkeys(controls))}; give a space to each of these"
        ]
    counts = Counter(space.cells())
    repeated = labels([cell for cell, count in counts.items() if count > 1])
    problems = [f"variants: {name} is there twice; join the values of {space.control}" for name in repeated]
    return space, problems or space.comparison_problems()


def _variant_problems(values: Mapping[str, Any], variants: Sequence[dict[str, Any]]) -> list[str]:
    """Return the problems of variants; a problem of the shared keys is listed once, without a variant."""
    shared = {key: value for key, value in values.items() if key != "variants"}
    problems: list[str] = []
    indices: dict[str, list[int]] = {}
    for index, variant in enumerate(variants):
        foreign = [key for key in variant if key not in VARIANT_KEYS and key in Space.model_fields]
        problems += [
            f"variants.{index}.{key}: the same for all variants; set it above them" for key in foreign
        ]
        for problem in _validate_one(shared | variant)[1]:
            indices.setdefault(problem, []).append(index)
    problems_of_shared = []
    for problem, where in indices.items():
        key = re.split(r"[.:]", problem, maxsplit=1)[0]
        without_key = [index for index, variant in enumerate(variants) if key not in variant]
        is_shared = bool(where) and where == (without_key if key in shared else [*range(len(variants))])
        if is_shared and all(key not in variants[index] for index in where):
            problems_of_shared.append(problem)
        else:
            problems += [f"variants.{index}.{problem}" for index in where]
    return problems_of_shared + problems


def _validate_one(values: Mapping[str, Any]) -> tuple[Space | None, list[str]]:
    try:
        space = Space.model_validate(values)
    except ValidationError as error:
        bad = {str(item["loc"][0]) for item in error.errors()}
        return None, _described(error) + _contradictions(values, bad)
    return space, space.problems()


def _described(error: ValidationError) -> list[str]:
    """Return a problem for each error; an error of an entry replaces those of the list around it."""
    items = error.errors()
    outer = {item["loc"][:end] for item in items for end in range(1, len(item["loc"]))}
    return [_describe(dict(item)) for item in items if item["loc"] not in outer]


def _contradictions(values: Mapping[str, Any], bad: set[str]) -> list[str]:
    """Return the contradictions between the keys whose values are good by themselves."""
    harmless = {"dataset": "digits", "latents": [[1, 1]], "name": "harmless"}
    rest = {key: value for key, value in values.items() if key not in bad}
    rest |= {key: value for key, value in harmless.items() if key in bad}
    if not swept_controls(rest):
        rest[RHO] = [0, 1]
    problems = Space.model_validate(rest).problems()
    return [problem for problem in problems if not bad & set(re.findall(r"\w+", problem))]


def _describe(item: dict[str, Any]) -> str:
    """Turn an error of pydantic into `key: found …; give …`."""
    where = [part for part in item["loc"] if part not in FORMS]
    key = shown(".".join(map(str, where)))
    if item["type"] == "extra_forbidden":
        nested = dict.fromkeys(CONTROLS, ValueRange.model_fields) | {"costs": Costs.model_fields}
        allowed = nested[str(where[0])] if len(where) > 1 else Space.model_fields
        suggestion = nearest(str(where[-1]), allowed) or f"; allowed are {', '.join(allowed)}"
        return f"{key}: unknown key{suggestion}"
    if item["type"] == "missing":
        return f"{key}: missing, and it has no default"
    return f"{key}: found {shown(repr(item['input']))}; {advice(item, Space)}"
