"""Comparisons of thresholds: verdicts, and their correction for how many there are."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.statistics.comparisons import compare, holm, is_settled
from analysis.statistics.rule import Rules
from analysis.statistics.summary import Summary
from analysis.text.lines import format_comparisons
from ouvae.declared.pairs import Pair
from tests.analysis.conftest import RULE
from tests.analysis.statistics.test_censored import normal


def verdicts(medians, margin=None, confidence=0.95):
    pairs = [Pair(0, place, "size") for place in range(1, len(medians))]
    return [one.verdict for one in compare(pairs, medians, confidence, margin)]


def test_each_verdict_has_its_case():
    near, apart, far = normal(0.8, 0.01), normal(0.805, 0.01), normal(0.6, 0.01)
    assert verdicts([near, far]) == ["higher"]
    assert verdicts([far, near]) == ["lower"]
    assert verdicts([near, apart]) == ["undecided"]
    assert verdicts([near, apart], margin=0.05) == ["alike"]
    assert verdicts([near, apart], margin=0.01) == ["undecided"]
    assert verdicts([near, far], margin=0.05) == ["higher"]
    assert verdicts([near, None]) == ["undecided"]


def test_a_difference_that_is_small_but_sure_is_alike_within_the_margin():
    sharp = [normal(0.8, 0.001), normal(0.81, 0.001)]
    assert verdicts(sharp) == ["lower"]
    assert verdicts(sharp, margin=0.05) == ["alike"]


def test_a_comparison_among_many_needs_more_evidence():
    edge = [normal(0.8, 0.01), normal(0.77, 0.01)]
    assert verdicts(edge) == ["higher"]
    assert verdicts([*edge, *[normal(0.8, 0.01)] * 9])[0] == "undecided"


def test_medians_beyond_what_was_trained_are_compared_by_what_the_data_say():
    """The values that were trained differ between the cells, and so does where the prior ends."""
    collapsed, earlier = (
        replace(normal(0.5, 0.02), reach=(0.6, 1.0)),
        replace(normal(0.0, 0.02), reach=(0.1, 1.0)),
    )
    known = normal(0.8, 0.02)
    (found,) = compare([Pair(0, 1, "size")], [collapsed, earlier], 0.95, 0.05)
    assert found.verdict == "undecided"
    assert (found.p_different, found.p_alike) == pytest.approx((1.0, 1.0))
    assert (found.difference, found.difference_low, found.difference_high) == (None, None, None)
    (found,) = compare([Pair(0, 1, "size")], [known, collapsed], 0.95, 0.05)
    assert (found.verdict, found.difference, found.difference_high) == ("higher", None, None)
    assert found.difference_low == pytest.approx(0.2 - 1.96 * 0.02, abs=2e-3)
    assert found.p_alike == pytest.approx(1.0)
    (found,) = compare([Pair(0, 1, "size")], [collapsed, known], 0.95, None)
    assert (found.verdict, found.difference_low) == ("lower", None)
    assert is_settled(collapsed, earlier)
    assert is_settled(known, None)
    assert not is_settled(known, collapsed)
    assert not is_settled(replace(normal(1.1, 0.02), reach=(0.6, 1.0)), collapsed)


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_p_value_is_that_of_the_two_tails():
    (found,) = compare([Pair(0, 1, "size")], [normal(0.8, 0.03), normal(0.7, 0.04)], 0.95, 0.05)
    assert found.p_different == pytest.approx(0.0455, abs=2e-3)
    assert found.p_alike == pytest.approx(0.841, abs=2e-3), "P(d > 0.05) of a normal at 0.1, scale 0.05"
    assert (found.difference_low, found.difference_high) == pytest.approx((0.002, 0.198), abs=2e-3)


def test_the_table_compares_cells_that_differ_in_one_key(make_members):
    members = make_members(
        {(8, 8): [0.9, 0.88, 0.92] * 4, (16, 16): [0.7, 0.72, 0.68] * 4, (8, 8, 8): [0.89, 0.91, 0.9] * 4}
    )
    table = Summary(members, RULE).comparisons
    rows = table.to_pylist()
    cells = [(row["first_cell"], row["second_cell"], row["differs_in"]) for row in rows]
    assert cells == [
        ("digits mlp 8,8", "digits mlp 16,16", "size"),
        ("digits mlp 8,8", "digits mlp 8,8,8", "depth"),
    ]
    size, depth = rows
    assert size["difference"] == pytest.approx(0.2, abs=0.03)
    assert (size["verdict"], depth["verdict"]) == ("higher", "undecided")
    assert (size["margin"], size["p_alike"]) == (None, None)
    text = format_comparisons(table)
    assert "corrected for all comparisons of an order parameter" in text
    assert "alike" not in text
    with_margin = Summary(members, Rules({"kl_top": 0.1}, 0.95, margin=0.1)).comparisons
    assert with_margin["verdict"].to_pylist() == ["higher", "alike"]
    assert "alike within ±0.1" in format_comparisons(with_margin)


def test_a_cell_of_which_nothing_is_left_is_compared_without_numbers(make_members):
    lost = [((4, 4), seed, rho) for seed in range(2) for rho in np.linspace(0.5, 1.0, 11).tolist()]
    table = Summary(make_members({(8, 8): [0.9, 0.9], (4, 4): [0.7, 0.7]}, failed=lost), RULE).comparisons
    (row,) = table.to_pylist()
    assert (row["difference"], row["p_different"], row["verdict"]) == (None, None, "undecided")
    assert format_comparisons(table).splitlines()[2].split()[-3:] == ["-", "-", "undecided"]
    assert format_comparisons(Summary(make_members({(8, 8): [0.9]}), RULE).comparisons) == ""
