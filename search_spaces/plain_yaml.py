"""The YAML that spaces are written in: text, numbers, truth values, lists, and mappings with text as keys.

No key of a space is a date, so that dates are text, and so are the numbers that YAML reads as no one writes
them: 5:30 as 330, 010 as 8. What else YAML has is refused: other tags, keys that are lists, a key given
twice, and more levels or values than a space has use for, also where aliases make them out of a short text.
"""

import re
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

import yaml

MOST_LEVELS = 20
"""How deep lists and mappings may lie within one another."""

MOST_VALUES = 50_000
"""How many values a text may hold, with all that aliases stand for."""

LONGEST_NUMBER = 100
"""How many characters a number may have."""

_PREFIX = "tag:yaml.org,2002:"
_MERGE, _TEXT = f"{_PREFIX}merge", f"{_PREFIX}str"
_CONVERTED = {
    f"{_PREFIX}bool": "true or false",
    f"{_PREFIX}int": "an integer",
    f"{_PREFIX}float": "a number",
}
_PLAIN = {_MERGE, _TEXT, *_CONVERTED, *(_PREFIX + name for name in ("null", "seq", "map"))}
_MISLEADING = re.compile(r"[-+]?0[\d_]|.*:")
_TOO_DEEP = f"lists or mappings within one another on more than {MOST_LEVELS} levels; write fewer"


class TextError(ValueError):
    """A text that is no such YAML: what was found, how to mend it, and where, in one line."""


def parse(text: str) -> Any:
    """Return what the text stands for.

    Raises:
        TextError: it is not the YAML of spaces.
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


def printable(text: str) -> str:
    """Return the text with its unprintable characters escaped as Python writes them."""
    return text if text.isprintable() else repr(text)[1:-1]


def shown(text: str, most: int = 80) -> str:
    """Return the text fit for a line: printable, and cut off at `most` characters."""
    line = printable(text)
    return line if len(line) <= most else line[: most - 1] + "…"


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _key(node: yaml.Node) -> yaml.ScalarNode:
    """Return a mapping's key as the text that is written there."""
    if not isinstance(node, yaml.ScalarNode):
        raise _refused(node, "a key is text, found a list or a mapping; write KEY: VALUE")
    if node.tag == _MERGE:
        return node
    return yaml.ScalarNode(_TEXT, printable(node.value), node.start_mark, node.end_mark)


def _converted(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """Construct a number or truth value; PyYAML lets out whatever its conversion raises."""
    try:
        if len(node.value) <= LONGEST_NUMBER:
            return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
    except (ValueError, KeyError):
        pass
    allowed = f"{_CONVERTED[node.tag]} of at most {LONGEST_NUMBER} characters"
    raise _refused(node, f"found '{shown(str(node.value), 40)}'; give {allowed}")


def _undefined(_: yaml.SafeLoader, node: yaml.Node) -> Any:
    tag = node.tag.replace(_PREFIX, "!!", 1)
    raise _refused(node, f"found the tag {shown(tag)}; a space has none, leave it out")


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
        """Return the tag of a value that is written without one."""
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return _TEXT if tag in _CONVERTED and _MISLEADING.match(value) else tag

    def get_single_node(self) -> yaml.Node | None:
        """Compose the text, and walk down its levels before anything is made of them."""
        root = super().get_single_node()
        level, left = [root] if root else [], MOST_VALUES
        for _ in range(MOST_LEVELS + 1):
            level = list(islice(chain.from_iterable(map(_children, level)), left + 1))
            left -= len(level)
            if left < 0:
                raise yaml.YAMLError(f"more than {MOST_VALUES} values, those of aliases included; give fewer")
            if not level:
                return root
        raise yaml.YAMLError(_TOO_DEEP)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, in which no key is given twice; plain YAML would keep the last."""
        node = super().compose_mapping_node(anchor)
        node.value = [(_key(key), value) for key, value in node.value]
        seen = set()
        for key, _ in node.value:
            if key.tag == _TEXT and key.value in seen:
                raise _refused(key, f"key '{shown(key.value)}' is given twice; keep one")
            seen.add(key.value)
        return node
