"""Small pieces of text about choices."""

from collections.abc import Iterable


def join(texts: Iterable[str]) -> str:
    """Return the distinct texts in the order of first appearance, with `or` between them."""
    return " or ".join(dict.fromkeys(texts))
