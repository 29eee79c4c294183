"""The median of thresholds that are known to intervals: laws of the posterior, and its closed forms."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from analysis.statistics.censored import Marginal, difference, population

INF = np.inf
PROBES = {(-INF, 0.72): 7, (0.72, INF): 5, (-INF, 0.65): 2, (0.65, INF): 9, (0.55, 0.7): 2, (0.7, 0.85): 1}


def test_the_posterior_is_that_of_its_definition():
    """Against a plain sum over a grid of its own, member by member."""
    medians = np.linspace(0.25, 1.15, 1801)
    scales = np.geomspace(0.001, 0.4, 16)
    density = np.zeros(medians.size)
    for left in scales:
        for right in scales:
            log = np.full(medians.size, -(np.log(left / right) ** 2) / (2 * 0.8**2))
            for (low, high), count in PROBES.items():
                ends = []
                for end in (low, high):
                    offset = end - medians
                    scale = np.where(offset < 0, left, right)
                    stray = np.clip((offset + 1) / 2, 0, 1)
                    ends.append(0.98 * ndtr(offset / scale) + 0.02 * stray)
                log += count * np.log(np.maximum(ends[1] - ends[0], 1e-300))
            density += np.exp(log)
    cumulative = np.cumsum(density) / density.sum()
    found = population(PROBES).median
    for share in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert found.quantile(share) == pytest.approx(np.interp(share, cumulative, medians), abs=2e-3)


def test_it_does_not_depend_on_the_order_or_on_how_seeds_are_counted():
    found = population(PROBES)
    turned = population(dict(reversed(PROBES.items())))
    doubled = population(Counter([pair for pair, count in PROBES.items() for _ in range(count)]))
    for other in (turned, doubled):
        assert other.median.quantile(0.1) == pytest.approx(found.median.quantile(0.1), abs=1e-12)


def test_a_mirror_image_has_the_mirrored_posterior():
    found = population(PROBES)
    mirror = population({(1 - high, 1 - low): count for (low, high), count in PROBES.items()})
    assert mirror.median.median == pytest.approx(1 - found.median.median, abs=1e-3)
    assert mirror.left.median == pytest.approx(found.right.median, rel=0.02)


@pytest.mark.parametrize("scale", [0.005, 0.05])
def test_ever_more_seeds_narrow_it_like_the_root_of_their_number(scale):
    rng = np.random.default_rng(11)
    widths = []
    for n in (50, 800):
        thresholds = rng.normal(0.7, scale, n)
        grid = 0.7 + scale * np.linspace(-3, 3, 25)
        places = np.searchsorted(grid, thresholds)
        ends = np.concatenate([[-INF], grid, [INF]])
        low, high = population(Counter((ends[i], ends[i + 1]) for i in places)).median.interval(0.95)
        assert low < 0.7 < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.4)


def test_a_few_seeds_on_the_wrong_side_hardly_move_it():
    clean = {
        (-INF, 0.8): 30,
        (0.8, INF): 30,
        (-INF, 0.84): 25,
        (0.84, INF): 5,
        (-INF, 0.76): 5,
        (0.76, INF): 25,
    }
    found = population(clean).median
    stray = population(clean | {(-INF, 0.3): 1, (0.99, INF): 1}).median
    assert stray.median == pytest.approx(found.median, abs=0.002)
    assert np.ptp(stray.interval(0.95)) < 1.5 * np.ptp(found.interval(0.95))


def test_what_says_nothing_is_refused():
    with pytest.raises(ValueError, match="no interval has a finite end"):
        population({(-INF, INF): 3})
    with pytest.raises(ValueError, match="no interval has a finite end"):
        population({})
    with pytest.raises(ValueError, match="its lower end below its upper one"):
        population({(0.5, 0.5): 1})


def normal(mean, scale):
    values = mean + scale * np.linspace(-5, 5, 401)
    return Marginal(values, ndtr((values - mean) / scale))


def test_a_number_out_of_reach_may_lie_anywhere_there():
    """Half of its probability lies above 0.8, where nothing was seen, and 0.6 is known to within 0.01."""
    known, half = normal(0.6, 0.01), replace(normal(0.8, 0.05), reach=(0.4, 0.8))
    found, plain = difference(half, known), difference(normal(0.8, 0.05), known)
    least, most = found.least, found.most
    for value in (0.05, 0.1, 0.15):
        assert least.below(value) == pytest.approx(plain.below(value), abs=0.01)
    assert least.below(0.25) == pytest.approx(1, abs=1e-6), "at least it lies at 0.8"
    assert most.below(9.0) == pytest.approx(0.5, abs=0.01), "at most it lies at infinity"
    assert most.quantile(0.9) == INF
    assert most.quantile(0.3) == pytest.approx(least.quantile(0.3), abs=1e-3)
    assert (found.below(0.25), found.above(9.0)) == (least.below(0.25), 1 - most.below(9.0))
    turned = difference(known, half)
    assert turned.least.quantile(0.1) == -INF
    assert turned.most.quantile(0.5) == pytest.approx(-least.quantile(0.5), abs=2e-3)


def test_of_two_numbers_out_of_reach_on_one_side_nothing_is_known():
    beyond = replace(normal(0.9, 0.01), reach=(0.4, 0.8))
    far = replace(normal(0.3, 0.01), reach=(0.1, 0.2))
    nothing = difference(beyond, far)
    assert (nothing.least.quantile(0.5), nothing.most.quantile(0.5)) == (-INF, INF)
    assert (nothing.below(0.0), nothing.above(0.0)) == (1.0, 1.0)
    assert (nothing.median, *nothing.interval(0.95)) == (None, None, None)
    low = replace(normal(0.3, 0.01), reach=(0.4, 0.8))
    apart = difference(beyond, low)
    assert apart.least.quantile(0.5) == pytest.approx(0.4)
    assert apart.most.quantile(0.5) == INF
    assert apart.interval(0.95) == (pytest.approx(0.4), None)


def test_the_difference_of_two_normal_numbers_is_normal():
    apart = difference(normal(0.8, 0.03), normal(0.7, 0.04))
    found = apart.least
    assert apart.most is found
    assert found.median == pytest.approx(0.1, abs=1e-3)
    low, high = found.interval(0.95)
    assert (low, high) == pytest.approx((0.1 - 1.96 * 0.05, 0.1 + 1.96 * 0.05), abs=1e-3)
    assert found.below(0.0) == pytest.approx(ndtr(-2), abs=1e-3)
    assert found.below(-9) == pytest.approx(0, abs=1e-12)
    assert found.below(9) == pytest.approx(1, abs=1e-12)
