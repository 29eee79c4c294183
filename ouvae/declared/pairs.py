"""Pairs of comparable cells: cells with exactly one difference."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Literal, NamedTuple

from ouvae.declared.cell import Cell
from ouvae.declared.controls import RHO, has_effect
from ouvae.declared.keys import keys_of
from ouvae.declared.labels import Values, differing_keys, text, word

SIZE: Literal["size"] = "size"
"""The difference of two cells with the same depth and different latent sizes."""

DEPTH: Literal["depth"] = "depth"
"""The difference of two cells if one has the latents of the other and layers above them."""


class Pair(NamedTuple):
    """The indices of two cells, and their difference: a key of a cell, `size` or `depth`.

    Cells of two sweeps can differ in several keys, written as `steps,ou_samples`, or in none, written as
    `none`.
    """

    first: int
    second: int
    key: str


MAX_PAIRS = 5_000
"""Maximum number of pairs to compare; 100 cells that differ in one key have 4,950."""


def comparable(cells: Sequence[Cell | Values], control: str = RHO) -> list[Pair]:
    """Return the pairs of cells that differ in one key, in the order of the cells.

    Cells whose latents differ in size and depth are in no pair. Cells without smoothing are in none if the
    control parameter is rho, which has no effect on them. Of more than MAX_PAIRS pairs, the closest in the
    order of the cells are returned.
    """
    groups = _groups(cells, control)
    pairs: set[Pair] = set()
    distance = 0
    while groups and len(pairs) < MAX_PAIRS:
        distance += 1
        groups = [(key, indices) for key, indices in groups if len(indices) > distance]
        at_distance = (
            Pair(first, second, key)
            for key, indices in groups
            for first, second in zip(indices, indices[distance:], strict=False)
        )
        pairs.update(islice(at_distance, MAX_PAIRS - len(pairs)))
    return sorted(pairs)


def corresponding(
    first: Sequence[Cell | Values], second: Sequence[Cell | Values], control: str = RHO
) -> list[Pair]:
    """Return the pairs of a cell in `first` and a cell in `second` that agree in all other keys.

    The other keys are all except those that are constant in each sequence and differ between the two. Cells
    on which the control parameter has no effect are in no pair.
    """
    rows, others = [dict(cell) for cell in first], [dict(cell) for cell in second]
    varied = {*differing_keys(rows), *differing_keys(others)}
    between = {*differing_keys([*rows, *others])} - varied
    matched = [key for key in keys_of(Cell) if key not in between]
    matches: dict[tuple[str, ...], list[int]] = {}
    for j, row in enumerate(others):
        matches.setdefault(tuple(word(row, key) for key in matched), []).append(j)
    return [
        Pair(i, j, _difference(row, others[j]) or text(differing_keys([row, others[j]])))
        for i, row in enumerate(rows)
        for j in matches.get(tuple(word(row, key) for key in matched), ())
        if all(has_effect(control, cell["smoothed_networks"]) for cell in (row, others[j]))
    ]


def neighbours(cells: Sequence[Cell | Values], control: str = RHO) -> list[list[int]]:
    """Return the indices of each cell's neighbours: next in size at its depth, next in depth at its size."""
    latents = [tuple(dict(cell)["latents"]) for cell in cells]
    neighbours_of: list[set[int]] = [set() for _ in cells]
    for key, indices in _groups(cells, control):
        if key in (SIZE, DEPTH):
            ordered = sorted(indices, key=lambda index: (sum(latents[index]), latents[index]))
            for first, second in pairwise(ordered):
                neighbours_of[first].add(second)
                neighbours_of[second].add(first)
    return [sorted(indices) for indices in neighbours_of]


def _groups(cells: Sequence[Cell | Values], control: str) -> list[tuple[str, list[int]]]:
    """Return the differences between cells, each with the ascending indices of cells that differ in it only.

    A key has a group for each setting of the other keys. `size` has a group for each depth. `depth` has a
    group for each cell that no other cell extends: this cell and all cells that it extends.
    """
    rows = {index: dict(cell) for index, cell in enumerate(cells)}
    rows = {index: row for index, row in rows.items() if has_effect(control, row["smoothed_networks"])}
    varied = differing_keys(list(rows.values()))
    texts = {index: [text(row[key]) for key in varied] for index, row in rows.items()}
    groups: list[tuple[str, list[int]]] = []
    for position, key in enumerate(varied):
        by_other_keys: dict[tuple[str, ...], dict[str, int]] = {}
        for index, values in texts.items():
            other_keys = (*values[:position], *values[position + 1 :])
            by_other_keys.setdefault(other_keys, {}).setdefault(values[position], index)
        for index_of_value in by_other_keys.values():
            if key != "latents":
                groups.append((key, list(index_of_value.values())))
                continue
            index_of = {tuple(rows[index]["latents"]): index for index in index_of_value.values()}
            groups += [(SIZE, indices) for indices in _by_depth(index_of)]
            groups += [(DEPTH, indices) for indices in _chains(index_of)]
    return [(key, indices) for key, indices in groups if len(indices) > 1]


def _by_depth(index_of: Mapping[tuple[int, ...], int]) -> list[list[int]]:
    by_depth: dict[int, list[int]] = {}
    for latents, index in index_of.items():
        by_depth.setdefault(len(latents), []).append(index)
    return list(by_depth.values())


def _chains(index_of: Mapping[tuple[int, ...], int]) -> Iterator[list[int]]:
    """Yield the indices of each chain: latents that no others extend, and all latents that they extend."""
    chains = {
        latents: [latents[:depth] for depth in range(1, len(latents)) if latents[:depth] in index_of]
        for latents in index_of
    }
    extended = {shorter for chain in chains.values() for shorter in chain}
    for latents, chain in chains.items():
        if latents not in extended:
            yield sorted(index_of[member] for member in (*chain, latents))


def _difference(first: Values, second: Values) -> str:
    """Return the only difference of two cells; an empty string for none or several."""
    keys = differing_keys([first, second])
    if len(keys) != 1:
        return ""
    if keys != ["latents"]:
        return keys[0]
    short, long = sorted((tuple(first["latents"]), tuple(second["latents"])), key=len)
    if len(short) == len(long):
        return SIZE
    return DEPTH if long[: len(short)] == short else ""
