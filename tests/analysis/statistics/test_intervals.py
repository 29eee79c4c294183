"""Intervals against known quantiles and against scipy's own."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.intervals import Interval, difference, exact, ratio, ratio_of_groups, student

T2 = 4.302652729749464  # 0.975 quantile of Student's distribution, 2 degrees of freedom


def test_the_interval_of_three_numbers_is_student_s():
    found = student([1.0, 2.0, 3.0])
    assert (found.mean, found.n) == (2, 3)
    assert found.high - found.mean == pytest.approx(T2 / math.sqrt(3))
    assert found.mean - found.low == pytest.approx(T2 / math.sqrt(3))


def test_an_interval_needs_scatter_unless_the_number_is_exact():
    assert student([]) is None
    assert student([4.0]) == Interval(4.0, None, None, 1)
    assert student([0.1] * 3) == Interval(pytest.approx(0.1), None, None, 3)  # their mean is not 0.1
    assert difference({0: 5.0, 1: 7.0}, {0: 1.0, 1: 3.0}) == Interval(4.0, None, None, 2)
    assert ratio({0: 1.0, 1: 3.0}, {0: 2.0, 1: 6.0}) == Interval(0.5, None, None, 2)
    assert ratio_of_groups([3.0, 3.0], [2.0] * 3) == Interval(pytest.approx(1.5), None, None, 2)
    assert ratio_of_groups([3.0, 3.0], [2.0, 2.5]).low is not None
    assert exact(0.5) == Interval(0.5, 0.5, 0.5, 1)
    lacks = [found.lack for found in (student([4.0]), student([4.0] * 3), student([4.0, 5.0]), exact(0.5))]
    assert lacks == ["one replicate", "no scatter seen in 3", "", ""]


def test_differences_are_paired_over_what_both_have():
    first, second = {0: 11.0, 1: 22.0, 2: 33.0, 5: 1e9}, {2: 30.0, 1: 20.0, 0: 10.0, 7: -1e9}
    found = difference(first, second)  # 1, 2, 3: the scatter of the pairs alone
    assert (found.mean, found.n) == (2, 3)
    assert found.high == pytest.approx(2 + T2 / math.sqrt(3))
    assert difference({0: 1.0}, {1: 1.0}) is None


def test_ratios_are_geometric_and_invert():
    first, second = {0: 2.0, 1: 40.0, 2: 800.0}, {0: 1.0, 1: 10.0, 2: 100.0}
    there, back = ratio(first, second), ratio(second, first)
    assert there.mean == pytest.approx(4)
    assert there.high == pytest.approx(4 * math.exp(T2 * math.log(2) / math.sqrt(3)))
    assert (back.mean, back.low, back.high) == pytest.approx((1 / 4, 1 / there.high, 1 / there.low))
    assert ratio({0: 1.0, 1: 0.0}, {0: 2.0, 1: 2.0}) == Interval(0.5, None, None, 1)


def test_independent_groups_have_welch_s_interval():
    generator = np.random.default_rng(3)
    first, second = generator.uniform(1, 2, 4), generator.uniform(1, 5, 7)
    found = ratio_of_groups(first.tolist(), second.tolist())
    theirs = stats.ttest_ind(np.log(first), np.log(second), equal_var=False).confidence_interval(0.95)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((theirs.low, theirs.high))
    assert found.n == 4
    assert ratio_of_groups([2.0], [1.0, 1.0]) == Interval(pytest.approx(2), None, None, 1)
    assert ratio_of_groups([], [1.0]) is None
