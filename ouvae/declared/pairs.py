"""Which cells can be compared: those that differ in one thing alone."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from ouvae.declared.cell import Cell
from ouvae.declared.keys import keys_of
from ouvae.declared.labels import Values, differing_keys, text, word

SIZE: Literal["size"] = "size"
"""What two cells of one depth differ in whose latents do not agree."""

DEPTH: Literal["depth"] = "depth"
"""What two cells differ in of which one has the latents of the other, and layers above them."""


class Pair(NamedTuple):
    """Two cells, by their places, and what they differ in: a key of a cell, `size` or `depth`.

    Cells of two sweeps may differ in several keys, listed as `steps,ou_samples`, or in `none`.
    """

    first: int
    second: int
    key: str


def comparable(cells: Sequence[Cell | Values]) -> list[Pair]:
    """Return the pairs of cells that differ in one key, in the order of the cells.

    Latents that differ in size and depth at once are no pair, and cells in which rho has no effect, since
    nothing is smoothed, are in none.
    """
    rows = [dict(cell) for cell in cells]
    smoothed = [place for place, row in enumerate(rows) if row["smoothed_networks"]]
    pairs = ((i, j, _difference(rows[i], rows[j])) for i, j in combinations(smoothed, 2))
    return [Pair(i, j, key) for i, j, key in pairs if key]


def corresponding(first: Sequence[Cell | Values], second: Sequence[Cell | Values]) -> list[Pair]:
    """Return the pairs of a cell of `first` and one of `second`, alike but for what tells these apart.

    A key tells them apart in which all cells of each agree, and those of one do not agree with those of the
    other. Places are those in `first` and in `second`. Cells in which rho has no effect are in no pair.
    """
    rows, others = [dict(cell) for cell in first], [dict(cell) for cell in second]
    varied = {*differing_keys(rows), *differing_keys(others)}
    told = {*differing_keys([*rows, *others])} - varied
    shared = [key for key in keys_of(Cell) if key not in told]
    alike: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(others):
        alike.setdefault(tuple(word(row, key) for key in shared), []).append(place)
    return [
        Pair(i, j, _difference(row, others[j]) or text(differing_keys([row, others[j]])))
        for i, row in enumerate(rows)
        for j in alike.get(tuple(word(row, key) for key in shared), ())
        if row["smoothed_networks"] and others[j]["smoothed_networks"]
    ]


def neighbours(cells: Sequence[Cell | Values]) -> list[list[int]]:
    """Return the places of each cell's neighbours: next in size at its depth, next in depth at its size."""
    latents = [tuple(dict(cell)["latents"]) for cell in cells]
    found: list[list[int]] = [[] for _ in cells]
    pairs = [pair for pair in comparable(cells) if pair.key in (SIZE, DEPTH)]
    for first, second, key in pairs:
        between = sorted([(sum(latents[first]), latents[first]), (sum(latents[second]), latents[second])])
        others = [
            other
            for one, two, own in pairs
            for other in (one, two)
            if own == key and {first, second} & {one, two} and other not in (first, second)
        ]
        if not any(between[0] < (sum(latents[other]), latents[other]) < between[1] for other in others):
            found[first].append(second)
            found[second].append(first)
    return found


def _difference(first: Values, second: Values) -> str:
    """Return the one thing in which two cells differ; empty where it is none, or more."""
    keys = differing_keys([first, second])
    if len(keys) != 1:
        return ""
    if keys != ["latents"]:
        return keys[0]
    short, long = sorted((tuple(first["latents"]), tuple(second["latents"])), key=len)
    if len(short) == len(long):
        return SIZE
    return DEPTH if long[: len(short)] == short else ""
