"""Comparable cells, and neighbours."""

import time

from ouvae.declared import Cell, pairs
from ouvae.declared.pairs import Pair, comparable, corresponding, neighbours


def cells(*latents, **keys):
    return [Cell(dataset="digits", latents=sizes, **keys) for sizes in latents]


def test_a_pair_differs_in_one_key():
    two = [*cells((8, 8)), *cells((8, 8), steps=100), *cells((8, 8), steps=100, ou_samples=3)]
    assert comparable(two) == [Pair(0, 1, "steps"), Pair(1, 2, "ou_samples")]
    assert comparable(cells((8, 8), (8, 8))) == []


def test_latents_differ_in_size_or_in_depth_and_not_in_both():
    pairs = comparable(cells((8, 8), (16, 16), (8, 8, 8), (16, 16, 16)))
    assert pairs == [
        Pair(0, 1, "size"), Pair(0, 2, "depth"), Pair(1, 3, "depth"), Pair(2, 3, "size"),
    ]  # fmt: skip
    assert comparable(cells((8, 4), (8, 4, 2))) == [Pair(0, 1, "depth")]
    assert comparable(cells((4, 8), (8, 4, 2))) == []


def test_cells_without_smoothing_are_in_no_pair():
    plain = cells((8, 8), (16, 16), smoothed_networks=())
    assert comparable(plain) == []
    assert comparable([*cells((8, 8), (16, 16)), *plain]) == [Pair(0, 1, "size")]


def test_cells_of_two_sweeps_correspond_if_they_differ_only_as_the_sweeps_do():
    few, more = cells((8, 8), (16, 16)), cells((16, 16), (8, 8), (4, 4), ou_samples=10, steps=500)
    assert corresponding(few, more) == [Pair(0, 1, "ou_samples,steps"), Pair(1, 0, "ou_samples,steps")]
    assert corresponding(few, few) == [Pair(0, 0, "none"), Pair(1, 1, "none")]


def test_keys_that_vary_within_a_sweep_must_agree():
    both = [*cells((8, 8), steps=500), *cells((8, 8), steps=900)]
    assert corresponding(both, cells((8, 8), steps=900)) == [Pair(1, 0, "none")]
    assert corresponding(both, cells((8, 8), steps=700)) == []
    assert corresponding(cells((8, 8), (16, 16)), cells((8, 8, 8), (16, 16, 16))) == []


def test_single_cells_always_correspond():
    assert corresponding(cells((8, 8)), cells((16, 16))) == [Pair(0, 0, "size")]
    assert corresponding(cells((8, 8)), cells((8, 8, 8))) == [Pair(0, 0, "depth")]
    assert corresponding(cells((8, 8)), cells((4, 8, 8), steps=5)) == [Pair(0, 0, "steps,latents")]
    assert corresponding(cells((8, 8)), cells((8, 8), smoothed_networks=())) == []


def test_neighbours_are_next_in_size_or_in_depth():
    sizes = [(n,) * depth for depth in (2, 3, 4) for n in (8, 16, 32)]
    neighbours_of = neighbours(cells(*sizes))
    by_size = {
        sizes[place]: {sizes[other] for other in adjacent} for place, adjacent in enumerate(neighbours_of)
    }
    assert by_size[(8, 8)] == {(16, 16), (8, 8, 8)}
    assert by_size[(16,) * 3] == {(8,) * 3, (32,) * 3, (16,) * 2, (16,) * 4}
    assert by_size[(32,) * 4] == {(16,) * 4, (32,) * 3}


def test_cells_of_another_architecture_are_no_neighbours():
    both = [*cells((8, 8), (16, 16)), *cells((8, 8), (16, 16), architecture="conv", hidden=(8,))]
    assert neighbours(both) == [[1], [0], [3], [2]]
    assert neighbours(cells((8, 8))) == [[]]


def test_depth_pairs_a_cell_with_its_extensions():
    pairs = comparable(cells((8,), (8, 8), (8, 16), (8, 8, 4)))
    assert [pair for pair in pairs if pair.key == "depth"] == [
        Pair(0, 1, "depth"), Pair(0, 2, "depth"), Pair(0, 3, "depth"), Pair(1, 3, "depth"),
    ]  # fmt: skip
    assert neighbours(cells((8,), (8, 8), (8, 16), (8, 8, 4))) == [[1, 2], [0, 2, 3], [0, 1], [1]]


def test_of_too_many_pairs_the_closest_are_compared(monkeypatch):
    monkeypatch.setattr(pairs, "MAX_PAIRS", 9)
    closest = comparable(cells(*((size, size) for size in range(1, 7))))
    assert len(closest) == 9
    assert {second - first for first, second, _ in closest} == {1, 2}


def test_ten_thousand_cells_are_paired_within_seconds():
    many = [dict(cells((8, 8))[0]) | {"latents": (4 + i % 100, 4 + i // 100)} for i in range(10_000)]
    start = time.monotonic()
    assert len(comparable(many)) == pairs.MAX_PAIRS
    assert len(neighbours(many)) == len(many)
    assert time.monotonic() - start < 20
