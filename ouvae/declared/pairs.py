"""Pairs of cells that can be compared: cells that differ in exactly one thing."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
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


MAX_PAIRS = 5_000
"""Pairs of cells that are compared at most; 100 cells that differ in one key have 4,950."""


def comparable(cells: Sequence[Cell | Values]) -> list[Pair]:
    """Return the pairs of cells that differ in one key, in the order of the cells.

    Latents that differ in size and depth at once are no pair. Cells without smoothing are in no pair, since
    rho has no effect on them. Of more than MAX_PAIRS pairs, the closest in the order of cells are returned.
    """
    groups = _groups(cells)
    found: set[Pair] = set()
    distance = 0
    while groups and len(found) < MAX_PAIRS:
        distance += 1
        groups = [(key, places) for key, places in groups if len(places) > distance]
        pairs = (
            Pair(first, second, key)
            for key, places in groups
            for first, second in zip(places, places[distance:], strict=False)
        )
        found.update(islice(pairs, MAX_PAIRS - len(found)))
    return sorted(found)


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
    found: list[set[int]] = [set() for _ in cells]
    for key, places in _groups(cells):
        if key in (SIZE, DEPTH):
            ordered = sorted(places, key=lambda place: (sum(latents[place]), latents[place]))
            for first, second in pairwise(ordered):
                found[first].add(second)
                found[second].add(first)
    return [sorted(places) for places in found]


def _groups(cells: Sequence[Cell | Values]) -> list[tuple[str, list[int]]]:
    """Return what cells can differ in, each with the places, ascending, of cells that differ in it only.

    A key has a group for each setting of the other keys. `size` has a group for each depth, `depth` a group
    for each cell that no other cell extends: this cell and all cells that it extends.
    """
    rows = {place: dict(cell) for place, cell in enumerate(cells)}
    rows = {place: row for place, row in rows.items() if row["smoothed_networks"]}
    varied = differing_keys(list(rows.values()))
    texts = {place: [text(row[key]) for key in varied] for place, row in rows.items()}
    found: list[tuple[str, list[int]]] = []
    for index, key in enumerate(varied):
        alike: dict[tuple[str, ...], dict[str, int]] = {}
        for place, own in texts.items():
            alike.setdefault((*own[:index], *own[index + 1 :]), {}).setdefault(own[index], place)
        for places in alike.values():
            if key != "latents":
                found.append((key, list(places.values())))
                continue
            latents = {tuple(rows[place]["latents"]): place for place in places.values()}
            found += [(SIZE, own) for own in _by_depth(latents)]
            found += [(DEPTH, own) for own in _chains(latents)]
    return [(key, places) for key, places in found if len(places) > 1]


def _by_depth(places: Mapping[tuple[int, ...], int]) -> list[list[int]]:
    by_depth: dict[int, list[int]] = {}
    for latents, place in places.items():
        by_depth.setdefault(len(latents), []).append(place)
    return list(by_depth.values())


def _chains(places: Mapping[tuple[int, ...], int]) -> Iterator[list[int]]:
    """Yield, for latents that no others extend, their place and those of all that they extend."""
    chains = {
        latents: [latents[:depth] for depth in range(1, len(latents)) if latents[:depth] in places]
        for latents in places
    }
    extended = {shorter for chain in chains.values() for shorter in chain}
    for latents, chain in chains.items():
        if latents not in extended:
            yield sorted(places[own] for own in (*chain, latents))


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
