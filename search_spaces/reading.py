"""Reading a space: by name or from a YAML file, with overrides; all that is wrong with it in one error."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from search_spaces.space import VARIANT_KEYS, RhoRange, Space

SPACES = Path(__file__).parent


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
    values, problems = _with_budget(_read(path), path, budget)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            problems.append(f"--set {override}: write it as KEY=VALUE, for example --set steps=5000")
            continue
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            problems.append(f"--set {override}: the value is not YAML")
    space, found = _validate(values)
    problems += found
    if space is None or problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise SpaceError(f"{path}: {count} in the space\n  " + "\n  ".join(problems))
    return space


def _with_budget(values: dict[str, Any], path: Path, budget: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the space's values with those of the budget on top, its name, and what is wrong with that."""
    budgets = values.pop("budgets", {})
    name = str(values.pop("name", path.stem))
    if not isinstance(budgets, dict) or not all(isinstance(keys, dict) for keys in budgets.values()):
        return values | {"name": name}, [f"budgets: found {budgets!r:.80}; give keys for each budget's name"]
    chosen = budget or next(iter(budgets), None)
    if chosen is None:
        return values | {"name": name}, []
    if chosen not in budgets:
        known = ", ".join(budgets) or "none"
        return values | {"name": name}, [f"--budget {chosen}: the space has the budgets: {known}"]
    return values | {"name": f"{name}-{chosen}"} | budgets[chosen], []


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean …?` for the known word most like `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {match[0]}?" if match else ""


def _find(source: str) -> Path:
    folder, _, name = source.rpartition("/")
    if folder in ("", "paper") and name in names(folder):
        return SPACES / folder / f"{name}.yaml"
    path = Path(source)
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise SpaceError(f"no space file {source}; give a YAML file or one of: {', '.join(names())}")
    raise SpaceError(
        f"unknown space {source!r}{nearest(source, names())}; known: {', '.join(names())}; "
        "or give the path of a YAML file"
    )


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key given twice, of which plain YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SpaceError(f"{path}: not a readable YAML file: {error}") from None
    if not isinstance(values, dict):
        raise SpaceError(f"{path}: a space is a mapping of keys to values, found {values!r:.60}")
    return {str(key): value for key, value in values.items()}


def _validate(values: Mapping[str, Any]) -> tuple[Space | None, list[str]]:
    """Return the space, if its values are good, and everything that is wrong with them."""
    variants = values.get("variants") or []
    if not isinstance(variants, list) or not all(isinstance(variant, dict) for variant in variants):
        return None, [f"variants: found {variants!r:.80}; give a list of mappings of keys to values"]
    if not variants:
        return _validate_one(values)
    shared = {key: value for key, value in values.items() if key != "variants"}
    found: list[str] = []
    for index, variant in enumerate(variants):
        foreign = [key for key in variant if key not in VARIANT_KEYS and key in Space.model_fields]
        found += [f"variants.{index}.{key}: the same for all variants; set it above them" for key in foreign]
        _, problems = _validate_one(shared | variant)
        found += [f"variants.{index}.{problem}" for problem in problems]
    if found:
        return None, found
    # What has no default may stand in the variants alone, each of which then has it.
    required = {key: variants[0][key] for key in ("dataset", "latents", "rho") if key in variants[0]}
    space = Space.model_validate(required | dict(values))
    cells = space.cells()
    twice = sorted({cell.label for cell in cells if cells.count(cell) > 1})
    return space, [f"variants: {label} is there twice; join the values of rho" for label in twice]


def _validate_one(values: Mapping[str, Any]) -> tuple[Space | None, list[str]]:
    try:
        space = Space.model_validate(values)
    except ValidationError as error:
        items = error.errors()
        inner = {item["loc"][:end] for item in items for end in range(1, len(item["loc"]))}
        found = [_describe(dict(item), values) for item in items if item["loc"] not in inner]
        return None, found + _contradictions(values, {str(item["loc"][0]) for item in items})
    return space, space.problems()


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
    key = ".".join(map(str, where))
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
    return f"{key}: found {found!r:.80}; {message}"
