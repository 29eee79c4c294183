"""The YAML of spaces: text, numbers, truth values, lists, and mappings with text as keys.

Dates are text, and so are numbers that YAML reads in an unexpected way: 5:30 as 330, 010 as 8. Everything
else is refused: other tags, numbers with underscores, keys that are lists, repeated keys, and more levels or
values than a space needs, even if aliases make them from a short text.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Any

import yaml

MAX_LEVELS = 20
"""Maximum depth of lists and mappings within one another."""

MAX_VALUES = 50_000
"""Maximum number of values in a text, including those of aliases."""

MAX_NUMBER_LENGTH = 100
"""Maximum number of characters of a number."""

_PREFIX = "tag:yaml.org,2002:"
_MERGE, _TEXT = f"{_PREFIX}merge", f"{_PREFIX}str"
_CONVERTED = {f"{_PREFIX}bool": "true or false", f"{_PREFIX}int": "an integer", f"{_PREFIX}float": "a number"}
_PLAIN = {_MERGE, _TEXT, *_CONVERTED, *(_PREFIX + name for name in ("null", "seq", "map"))}
_MISLEADING = re.compile(r"[-+]?0[\d_]|.*:")
_TOO_DEEP = f"lists or mappings within one another on more than {MAX_LEVELS} levels; write fewer"


class TextError(ValueError):
    """Text that is not the YAML of spaces; the message says what, where and what to write, in one line."""


def parse(text: str) -> Any:
    """Return the values in a text.

    Raises:
        TextError: the text is not the YAML of spaces.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise TextError(shown(problem, 200) + where) from None
    except yaml.YAMLError as error:
        raise TextError(shown(" ".join(str(error).split()), 200)) from None
    except RecursionError:
        raise TextError(_TOO_DEEP) from None


def text_of(values: Mapping[str, Any]) -> str:
    """Return a mapping of plain values as text, which `parse` reads back."""
    return str(yaml.safe_dump(dict(values), sort_keys=False))


def printable(text: str) -> str:
    """Return the text with its unprintable characters escaped as Python writes them."""
    return text if text.isprintable() else repr(text)[1:-1]


def shown(text: str, limit: int = 80) -> str:
    """Return the text as a single line: printable, and cut after `limit` characters."""
    line = printable(text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _key(node: yaml.Node) -> yaml.ScalarNode:
    """Return a mapping's key as text, as written."""
    if not isinstance(node, yaml.ScalarNode):
        raise _refused(node, "a key is text, found a list or a mapping; write KEY: VALUE")
    if node.tag == _MERGE:
        return node
    return yaml.ScalarNode(_TEXT, printable(node.value), node.start_mark, node.end_mark)


def _converted(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """Construct a number or truth value; PyYAML does not catch errors of its conversions."""
    try:
        if len(node.value) <= MAX_NUMBER_LENGTH and "_" not in node.value:
            return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
    except (ValueError, KeyError):
        pass
    allowed = f"{_CONVERTED[node.tag]} of at most {MAX_NUMBER_LENGTH} characters, without _"
    raise _refused(node, f"found '{shown(str(node.value), 40)}'; give {allowed}")


def _undefined(_: yaml.SafeLoader, node: yaml.Node) -> Any:
    tag = node.tag.replace(_PREFIX, "!!", 1)
    raise _refused(node, f"found the tag {shown(tag)}; leave it out, spaces have no tags")


def _refused(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        **{tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items() if tag in _PLAIN},
        **dict.fromkeys(_CONVERTED, _converted),
        None: _undefined,
    }

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return the tag of a value without a written tag."""
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return _TEXT if tag in _CONVERTED and _MISLEADING.match(value) else tag

    def get_single_node(self) -> yaml.Node | None:
        """Compose the text, and check its levels before values are constructed."""
        root = super().get_single_node()
        level, left = [root] if root else [], MAX_VALUES
        for _ in range(MAX_LEVELS + 1):
            level = list(islice(chain.from_iterable(map(_children, level)), left + 1))
            left -= len(level)
            if left < 0:
                raise yaml.YAMLError(f"more than {MAX_VALUES} values, those of aliases included; give fewer")
            if not level:
                return root
        raise yaml.YAMLError(_TOO_DEEP)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping and refuse repeated keys, of which YAML would keep the last."""
        node = super().compose_mapping_node(anchor)
        node.value = [(_key(key), value) for key, value in node.value]
        seen = set()
        for key, _ in node.value:
            if key.tag == _TEXT and key.value in seen:
                raise _refused(key, f"key '{shown(key.value)}' is given twice; keep one")
            seen.add(key.value)
        return node
