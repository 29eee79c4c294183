"""Thresholds of curves whose answer is known, and the coverage of the interval."""

import numpy as np
import pytest

from analysis.statistics.curves import mean_curve
from analysis.statistics.estimate import cell_threshold, collapsed_side, seed_threshold
from analysis.statistics.rule import Rule
from ouvae.declared import ORDER_PARAMETERS

GRID = np.linspace(0, 1, 11)


def onset(rho, critical_value, slope=10.0):
    """KL that is zero above the critical value and linear below."""
    return np.maximum(0.0, slope * (critical_value - np.asarray(rho)))


def step(rho, critical_value, height=1.0):
    """KL that jumps from zero to `height` below the critical value."""
    return np.where(np.asarray(rho) < critical_value, height, 0.0)


def test_sharp_step_is_bracketed_by_its_neighbours_on_the_grid():
    found = seed_threshold(7, GRID, step(GRID, 0.73), 0.1)
    assert (found.seed, found.status) == (7, "transition")
    assert found.low == pytest.approx(0.7)
    assert found.high == pytest.approx(0.8)
    assert (found.n_members, found.jump) == (11, 1.0)
    assert found.critical_value == pytest.approx(0.75), "the middle: nothing says where in the bracket"


def test_what_a_member_s_value_is_beyond_its_phase_does_not_matter():
    rho = [0.5, 0.7, 0.76, 0.9]
    found = seed_threshold(0, rho, onset(rho, 0.77), 0.3)
    assert found.interval == (0.7, 0.76)
    assert found.jump == pytest.approx(0.6)
    assert seed_threshold(0, rho, onset(rho, 0.77) ** 2 * 9, 0.3).interval == found.interval


def test_nothing_is_assumed_beyond_the_first_active_member():
    rho = [0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9]
    dips = [2.0, 0.0, 0.0, 3.0, 1.0, 0.0, 0.0]
    found = seed_threshold(0, rho, dips, 0.5)
    assert (found.low, found.high, found.critical_value) == (0.7, 0.8, pytest.approx(0.75))
    from_below = seed_threshold(0, [*rho[1:]], dips[1:], 0.5, "low")
    assert (from_below.low, from_below.high) == (0.3, 0.5)


def test_collapse_on_the_low_side_is_the_mirror_image():
    rho = np.array([0.0, 0.15, 0.4, 0.55, 0.8, 1.0])
    high = seed_threshold(0, rho, onset(rho, 0.7), 0.1)
    low = seed_threshold(0, 1 - rho, onset(rho, 0.7), 0.1, "low")
    assert low.critical_value == pytest.approx(1 - high.critical_value)
    assert low.low == pytest.approx(1 - high.high)
    assert low.high == pytest.approx(1 - high.low)
    assert low.jump == pytest.approx(high.jump)


@pytest.mark.parametrize(
    ("rho", "kl", "status", "ends"),
    [
        (GRID, np.full(11, 0.4), "always_active", (1.0, None)),
        (GRID, np.where(GRID == 0.5, 0.0, 0.4), "always_active", (1.0, None)),
        (GRID, np.full(11, 0.05), "always_collapsed", (None, 0.0)),
        ([0.5], [2.0], "always_active", (0.5, None)),
        ([0.5], [0.0], "always_collapsed", (None, 0.5)),
        ([], [], "unresolved", (None, None)),
    ],
)
def test_a_seed_without_a_bracket_says_on_which_side_its_threshold_lies(rho, kl, status, ends):
    found = seed_threshold(3, rho, kl, 0.1)
    assert (found.status, found.n_members) == (status, len(rho))
    assert (found.low, found.high) == ends
    assert (found.critical_value, found.jump) == (None, None)
    mirrored = seed_threshold(3, 1 - np.asarray(rho), kl, 0.1, "low")
    swapped = tuple(None if end is None else 1 - end for end in reversed(ends))
    assert (mirrored.status, (mirrored.low, mirrored.high)) == (status, swapped)


def test_a_member_exactly_at_the_threshold_is_active():
    found = seed_threshold(0, [0.6, 0.7, 0.8], [2.0, 0.1, 0.0], 0.1)
    assert (found.low, found.high) == (0.7, 0.8)


def test_the_order_of_the_members_does_not_matter():
    rng = np.random.default_rng(5)
    kl = onset(GRID, 0.62) * rng.uniform(0.5, 2, GRID.size)
    sorted_answer = seed_threshold(0, GRID, kl, 0.1)
    for _ in range(5):
        order = rng.permutation(GRID.size)
        assert seed_threshold(0, GRID[order], kl[order], 0.1) == sorted_answer


@pytest.mark.parametrize(
    ("rho", "kl", "nats", "side", "message"),
    [
        ([0.5, 0.7, 0.5], [1, 0, 1], 0.1, "high", "repeated: 0.5"),
        ([0.5, 0.7], [1, np.nan], 0.1, "high", "leave members that diverged or failed out"),
        ([0.5, np.inf], [1, 0], 0.1, "high", "must be finite"),
        ([0.5, 0.7], [1], 0.1, "high", "of one length"),
        ([0.5, 0.7], [1, 0], 0.0, "high", "positive and finite, not 0.0"),
        ([0.5, 0.7], [1, 0], 0.1, "top", "'high' or 'low', not 'top'"),
    ],
)
def test_input_that_is_no_curve_is_refused(rho, kl, nats, side, message):
    with pytest.raises(ValueError, match=message):
        seed_threshold(0, rho, kl, nats, side)


def as_curves(*kls, rho=GRID):
    """Curves of seeds 0, 1, ... on one grid."""
    return {seed: (np.asarray(rho), np.asarray(kl)) for seed, kl in enumerate(kls)}


def test_the_collapsed_side_is_low_only_if_the_seeds_as_a_whole_say_so():
    high, low = onset(GRID, 0.7), onset(1 - GRID, 0.7)
    flat_active, flat_collapsed = np.ones(11), np.zeros(11)
    assert collapsed_side(as_curves(high, high), 0.1) == "high"
    assert collapsed_side(as_curves(low, low), 0.1) == "low"
    assert collapsed_side(as_curves(low, low, high), 0.1) == "low"
    assert collapsed_side(as_curves(low, high, high), 0.1) == "high"
    assert collapsed_side(as_curves(flat_active), 0.1) == "high"
    assert collapsed_side(as_curves(flat_collapsed), 0.1) == "high"
    assert collapsed_side({}, 0.1) == "high"
    found = cell_threshold(as_curves(low, low), 0.1)
    assert (found.collapsed_side, found.critical_value) == ("low", pytest.approx(0.35, abs=0.01))


def test_the_threshold_is_the_median_and_not_the_mean():
    """Of five seeds on a fine grid, of which one has its threshold far below the others'."""
    fine = np.linspace(0, 1, 201)
    found = cell_threshold(as_curves(*(step(fine, c) for c in (0.3, 0.8, 0.81, 0.82, 0.83)), rho=fine), 0.1)
    assert found.status == "transition"
    assert found.critical_value == pytest.approx(0.81, abs=0.015)
    assert found.critical_low < 0.81 < found.critical_high
    assert found.spread_left > found.spread_right, "there is more room for seeds below than above"
    for name in ("spread_left", "spread_right"):
        value = getattr(found, name)
        assert getattr(found, f"{name}_low") < value < getattr(found, f"{name}_high")
    assert found.jump == 1.0


def test_single_members_of_many_seeds_locate_as_well_as_curves_do():
    """400 probes at and beside the median of a normal distribution of thresholds, of scale 0.05."""
    rng = np.random.default_rng(3)
    curves = {}
    for seed in range(400):
        rho = np.array([(0.66, 0.7, 0.74)[seed % 3]])
        curves[seed] = (rho, step(rho, rng.normal(0.7, 0.05)))
    found = cell_threshold(curves, 0.1)
    assert found.critical_low < 0.7 < found.critical_high
    assert found.half_width < 0.015
    assert 0.03 < found.spread_left < 0.08
    assert [seed.status for seed in found.seeds].count("transition") == 0
    assert found.jump is None


def test_a_higher_confidence_widens_the_interval():
    seeds = as_curves(onset(GRID, 0.7), onset(GRID, 0.72), onset(GRID, 0.69))
    widths = [
        t.critical_high - t.critical_low
        for t in (cell_threshold(seeds, 0.1, confidence) for confidence in (0.5, 0.9, 0.95))
    ]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3
    with pytest.raises(ValueError, match="between 0 and 1, not 1"):
        cell_threshold(seeds, 0.1, 1.0)


def test_an_end_that_may_lie_beyond_what_was_trained_is_open():
    found = cell_threshold(as_curves(onset(GRID, 0.97), onset(GRID, 0.07)), 0.1)
    assert found.status == "transition"
    assert (found.critical_low, found.critical_high, found.half_width) == (None, None, None)
    near = cell_threshold(as_curves(*[onset(GRID, 0.97)] * 3, *[np.ones(11)] * 2), 0.1)
    assert near.critical_high is None
    assert 0.8 < near.critical_low < near.critical_value < 1.0


def test_probes_of_one_seed_are_no_curve():
    """Whatever many seeds say at two values next to one another, the plateau is that of whole curves."""
    curves = as_curves(*[5 * onset(GRID, 0.7)] * 2)
    probes = {seed: (np.array([0.69, 0.695]), np.array([0.3, 0.2])) for seed in range(5, 20)}
    rule = Rule(ORDER_PARAMETERS["kl_top"], "half_plateau", 0.95)
    assert rule.level(curves | probes) == rule.level(curves)
    turned = {seed: (np.array([0.69, 0.695]), np.array([0.0, 2.0])) for seed in range(5, 20)}
    assert collapsed_side(curves | turned, 0.1) == "high"
    assert np.array_equal(mean_curve(curves | probes)[0], GRID)


@pytest.mark.parametrize(
    ("kls", "status", "bound"),
    [
        ([np.ones(11)] * 6, "always_active", "critical_low"),
        ([np.zeros(11)] * 6, "always_collapsed", "critical_high"),
    ],
)
def test_a_median_beyond_what_was_trained_has_a_one_sided_bound(kls, status, bound):
    few, many = (cell_threshold(as_curves(*kls[:n]), 0.1) for n in (1, 6))
    ends = {"critical_low", "critical_high"}
    for found in (few, many):
        assert found.status == status
        assert (found.critical_value, found.half_width, found.spread_left) == (None, None, None)
        assert [name for name in ends if getattr(found, name) is not None] == [bound]
    edge = 1.0 if bound == "critical_low" else 0.0
    assert abs(getattr(many, bound) - edge) < abs(getattr(few, bound) - edge), "more seeds bound it closer"


def test_every_seed_counts_whether_it_has_a_transition_or_not():
    """Of seeds that never wake, or always, no selection is made: they pull the median to their side."""
    some = [onset(GRID, rho) for rho in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)]
    alone = cell_threshold(as_curves(*some), 0.1)
    with_sleepers = cell_threshold(as_curves(*some, *[np.zeros(11)] * 2), 0.1)
    with_wakers = cell_threshold(as_curves(*some, *[np.ones(11)] * 2), 0.1)
    assert with_sleepers.critical_value < alone.critical_value < with_wakers.critical_value
    assert with_sleepers.critical_low < alone.critical_low
    assert with_wakers.critical_high > alone.critical_high


def test_a_cell_without_a_member_that_counts_is_unresolved():
    nothing = (np.empty(0), np.empty(0))
    found = cell_threshold(as_curves(onset(GRID, 0.7), onset(GRID, 0.6)) | {5: nothing}, 0.1)
    assert [s.seed for s in found.seeds] == [0, 1, 5]
    assert [s.status for s in found.seeds] == ["transition", "transition", "unresolved"]
    assert found.status == "transition"
    for curves in ({}, {5: nothing}):
        lost = cell_threshold(curves, 0.1)
        assert (lost.status, lost.critical_low, lost.critical_high, lost.population) == (
            "unresolved",
            *[None] * 3,
        )


def test_the_mean_curve_covers_each_seed_within_its_own_range():
    curves = {
        0: (np.array([1.0, 0.0, 0.5]), np.array([0.0, 2.0, 1.0])),
        1: (np.array([0.25, 0.75]), np.array([1.0, 0.0])),
        2: (np.empty(0), np.empty(0)),
        3: (np.array([0.3]), np.array([50.0])),  # a probe, which is no curve
    }
    rho, kl = mean_curve(curves)
    assert rho.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert kl == pytest.approx([2.0, 1.25, 0.75, 0.25, 0.0])
    assert [part.size for part in mean_curve({})] == [0, 0]
    rho, kl = mean_curve({3: curves[3], 4: (np.array([0.3]), np.array([30.0]))})
    assert (rho.tolist(), kl.tolist()) == ([0.3], [40.0]), "probes alone are all that there is"


def test_the_mean_of_equal_grids_is_the_plain_mean():
    kls = np.random.default_rng(1).uniform(0, 3, (4, 11))
    rho, kl = mean_curve(as_curves(*kls))
    assert rho.tolist() == GRID.tolist()
    assert kl == pytest.approx(kls.mean(axis=0))


def coverage(n, sigma, repetitions=400):
    """Share of made cells of n seeds whose interval covers the median of their thresholds.

    The thresholds of the seeds are normal, and seen on random grids of 22 rho, 0.05 apart.
    """
    rng = np.random.default_rng([n, round(1e4 * sigma)])
    covered = 0
    for _ in range(repetitions):
        median = rng.uniform(0.4, 0.6)
        grid = np.concatenate([[0], np.arange(20) * 0.05 + rng.uniform(0, 0.05), [1]])
        found = cell_threshold(
            as_curves(*(step(grid, rng.normal(median, sigma)) for _ in range(n)), rho=grid), 0.1
        )
        covered += found.critical_low <= median <= found.critical_high
    return covered / repetitions


MONTE_CARLO = 3 * np.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize("sigma", [0.005, 0.03, 0.08])
@pytest.mark.parametrize("n", [3, 10])
def test_the_interval_covers_the_median_threshold_as_often_as_it_says(n, sigma):
    assert coverage(n, sigma) >= 0.95 - MONTE_CARLO
