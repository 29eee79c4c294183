"""Small pieces of text about counts and choices."""

from collections.abc import Iterable


def join(texts: Iterable[str]) -> str:
    """Return the distinct texts in the order of first appearance, with `or` between them."""
    return " or ".join(dict.fromkeys(texts))


def plural(count: int, word: str) -> str:
    """Return a count with its word, `1 seed` or `3 seeds`."""
    return f"{count} {word}{'' if count == 1 else 's'}"
