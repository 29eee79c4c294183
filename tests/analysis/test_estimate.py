"""Thresholds of curves whose answer is known, and the coverage of the interval."""

import numpy as np
import pytest

from analysis.estimate import cell_threshold, collapsed_side, mean_curve, seed_threshold

GRID = np.linspace(0, 1, 11)


def onset(rho, rho_c, slope=10.0):
    """KL that is zero above rho_c and linear below."""
    return np.maximum(0.0, slope * (rho_c - np.asarray(rho)))


def step(rho, rho_c, height=1.0):
    """KL that jumps from zero to `height` below rho_c."""
    return np.where(np.asarray(rho) < rho_c, height, 0.0)


def test_sharp_step_is_bracketed_by_its_neighbours_on_the_grid():
    found = seed_threshold(7, GRID, step(GRID, 0.73), 0.1)
    assert (found.seed, found.status) == (7, "transition")
    assert found.rho_low == pytest.approx(0.7)
    assert found.rho_high == pytest.approx(0.8)
    assert found.jump == 1.0
    # from 0 nats at 0.8 to 1 nat at 0.7: 0.1 nats are reached a tenth of the way
    assert found.rho_c == pytest.approx(0.79)


def test_linear_onset_is_crossed_exactly_where_its_line_is():
    # 10 (0.77 - rho) = 0.3 at rho = 0.74, and the segment from 0.7 to 0.76 lies on that line
    rho = [0.5, 0.7, 0.76, 0.9]
    found = seed_threshold(0, rho, onset(rho, 0.77), 0.3)
    assert found.rho_c == pytest.approx(0.74)
    assert (found.rho_low, found.rho_high) == (0.7, 0.76)
    assert found.jump == pytest.approx(0.6)


def test_nothing_is_assumed_beyond_the_first_active_member():
    rho = [0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9]
    dips = [2.0, 0.0, 0.0, 3.0, 1.0, 0.0, 0.0]
    found = seed_threshold(0, rho, dips, 0.5)
    assert (found.rho_low, found.rho_high, found.rho_c) == (0.7, 0.8, pytest.approx(0.75))
    from_below = seed_threshold(0, [*rho[1:]], dips[1:], 0.5, "low")
    assert (from_below.rho_low, from_below.rho_high) == (0.3, 0.5)


def test_collapse_on_the_low_side_is_the_mirror_image():
    rho = np.array([0.0, 0.15, 0.4, 0.55, 0.8, 1.0])
    high = seed_threshold(0, rho, onset(rho, 0.7), 0.1)
    low = seed_threshold(0, 1 - rho, onset(rho, 0.7), 0.1, "low")
    assert low.rho_c == pytest.approx(1 - high.rho_c)
    assert low.rho_low == pytest.approx(1 - high.rho_high)
    assert low.rho_high == pytest.approx(1 - high.rho_low)
    assert low.jump == pytest.approx(high.jump)


@pytest.mark.parametrize(
    ("rho", "kl", "status"),
    [
        (GRID, np.full(11, 0.4), "always_active"),
        (GRID, np.where(GRID == 0.5, 0.0, 0.4), "always_active"),
        (GRID, np.full(11, 0.05), "always_collapsed"),
        ([0.5], [2.0], "unresolved"),
        ([], [], "unresolved"),
    ],
)
def test_curves_without_a_transition_say_so(rho, kl, status):
    found = seed_threshold(3, rho, kl, 0.1)
    assert found.status == status
    assert (found.rho_c, found.rho_low, found.rho_high, found.jump) == (None,) * 4


def test_a_member_exactly_at_the_threshold_is_active():
    found = seed_threshold(0, [0.6, 0.7, 0.8], [2.0, 0.1, 0.0], 0.1)
    assert (found.rho_low, found.rho_high) == (0.7, 0.8)
    assert found.rho_c == pytest.approx(0.7)


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
    assert (found.collapsed_side, found.rho_c) == ("low", pytest.approx(0.31))


def test_the_interval_of_three_seeds_is_brackets_plus_students_t():
    rho_c = np.array([0.78, 0.64, 0.71])  # of crossings at 1 nat; 0.1 nats lie 0.01 above
    found = cell_threshold(as_curves(*(onset(GRID, c + 0.01) for c in rho_c)), 0.1)
    assert found.status == "transition"
    assert found.rho_c == pytest.approx(np.mean([s.rho_c for s in found.seeds]))
    low, high = np.mean([0.7, 0.6, 0.7]), np.mean([0.8, 0.7, 0.8])
    assert (found.bracket_low, found.bracket_high) == (pytest.approx(low), pytest.approx(high))
    assert found.width == pytest.approx(0.1)
    spread = np.sqrt(np.var([s.rho_c for s in found.seeds], ddof=1) + 0.1**2 / 12)
    margin = 4.302652729911275 * spread / np.sqrt(3)  # 0.975 quantile, 2 degrees of freedom
    assert found.rho_c_low == pytest.approx(low - margin)
    assert found.rho_c_high == pytest.approx(high + margin)
    assert found.confidence == 0.95
    assert found.jump == pytest.approx(np.mean([s.jump for s in found.seeds]))


def test_a_higher_confidence_widens_the_interval():
    seeds = as_curves(onset(GRID, 0.7), onset(GRID, 0.72), onset(GRID, 0.69))
    widths = [
        t.rho_c_high - t.rho_c_low
        for t in (cell_threshold(seeds, 0.1, confidence) for confidence in (0.5, 0.9, 0.95))
    ]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3
    with pytest.raises(ValueError, match="between 0 and 1, not 1"):
        cell_threshold(seeds, 0.1, 1.0)


def test_the_interval_is_clipped_to_the_range_of_rho():
    found = cell_threshold(as_curves(onset(GRID, 0.95), onset(GRID, 0.15)), 0.1)
    assert (found.rho_c_low, found.rho_c_high) == (0.0, 1.0)


def test_one_seed_has_its_bracket_for_an_interval():
    found = cell_threshold(as_curves(onset(GRID, 0.73)), 0.1)
    assert (found.rho_c_low, found.rho_c_high) == (found.bracket_low, found.bracket_high)
    assert (found.rho_c_low, found.rho_c_high) == (pytest.approx(0.7), pytest.approx(0.8))
    assert found.confidence is None


def test_seeds_that_agree_are_known_up_to_their_bracket_each():
    found = cell_threshold(as_curves(*[step(GRID, 0.73)] * 4), 0.1)
    margin = 3.182446305284263 * (0.1 / np.sqrt(12)) / 2  # 0.975 quantile, 3 degrees of freedom
    assert found.rho_c_low == pytest.approx(0.7 - margin)
    assert found.rho_c_high == pytest.approx(0.8 + margin)
    assert found.confidence == 0.95


@pytest.mark.parametrize(
    ("kls", "status"),
    [
        ((np.ones(11), np.full(11, 2.0)), "always_active"),
        ((np.zeros(11), np.zeros(11)), "always_collapsed"),
        ((onset(GRID, 0.7), np.zeros(11)), "unresolved"),
        ((onset(GRID, 0.7), np.ones(11)), "unresolved"),
        ((np.zeros(11), np.ones(11)), "unresolved"),
    ],
)
def test_a_cell_has_a_status_only_if_all_its_seeds_share_it(kls, status):
    found = cell_threshold(as_curves(*kls), 0.1)
    assert found.status == status
    assert (found.rho_c, found.rho_c_low, found.rho_c_high, found.confidence) == (None,) * 4


def test_an_unresolved_cell_keeps_the_thresholds_of_its_seeds():
    curves = as_curves(onset(GRID, 0.7), onset(GRID, 0.6)) | {5: (np.empty(0), np.empty(0))}
    found = cell_threshold(curves, 0.1)
    assert found.status == "unresolved"
    assert [s.seed for s in found.seeds] == [0, 1, 5]
    assert [s.status for s in found.seeds] == ["transition", "transition", "unresolved"]
    assert found.seeds[0].rho_c == pytest.approx(0.69)
    assert cell_threshold({}, 0.1).status == "unresolved"


def test_the_mean_curve_covers_each_seed_within_its_own_range():
    curves = {
        0: (np.array([1.0, 0.0, 0.5]), np.array([0.0, 2.0, 1.0])),
        1: (np.array([0.25, 0.75]), np.array([1.0, 0.0])),
        2: (np.empty(0), np.empty(0)),
    }
    rho, kl = mean_curve(curves)
    assert rho.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert kl == pytest.approx([2.0, 1.25, 0.75, 0.25, 0.0])
    assert [part.size for part in mean_curve({})] == [0, 0]


def test_the_mean_of_equal_grids_is_the_plain_mean():
    kls = np.random.default_rng(1).uniform(0, 3, (4, 11))
    rho, kl = mean_curve(as_curves(*kls))
    assert rho.tolist() == GRID.tolist()
    assert kl == pytest.approx(kls.mean(axis=0))


def coverage(n, sigma, shape, repetitions=600, shared_grid=True):
    """Share of made cells of n seeds whose interval covers the mean of their thresholds.

    The thresholds of the seeds are normal, and seen on random grids of 22 rho, 0.05 apart.
    """
    rng = np.random.default_rng([n, round(1e4 * sigma)])
    covered = 0
    for _ in range(repetitions):
        mean = rng.uniform(0.4, 0.6)
        grid = np.concatenate([[0], np.arange(20) * 0.05 + rng.uniform(0, 0.05), [1]])
        curves = {}
        for seed in range(n):
            if not shared_grid:
                grid = np.concatenate([[0], np.sort(rng.uniform(0, 1, 20)), [1]])
            # 0.1 nats are reached exactly at the threshold of the seed
            threshold = rng.normal(mean, sigma)
            kl = step(grid, threshold) if shape == "step" else onset(grid, threshold + 0.01)
            curves[seed] = (grid, kl)
        found = cell_threshold(curves, 0.1)
        covered += found.rho_c_low <= mean <= found.rho_c_high
    return covered / repetitions


MONTE_CARLO = 3 * np.sqrt(0.95 * 0.05 / 600)


@pytest.mark.parametrize("shape", ["step", "onset"])
@pytest.mark.parametrize("sigma", [0.005, 0.03, 0.08])
@pytest.mark.parametrize("n", [3, 10])
def test_the_interval_covers_the_mean_threshold_as_often_as_it_says(n, sigma, shape):
    assert coverage(n, sigma, shape) >= 0.95 - MONTE_CARLO


@pytest.mark.parametrize("n", [2, 3, 5])
def test_it_does_so_on_a_random_grid_for_each_seed_too(n):
    assert coverage(n, 0.03, "step", shared_grid=False) >= 0.95 - MONTE_CARLO


def test_two_seeds_that_may_share_a_bracket_do_not_hide_their_scatter():
    assert coverage(2, 0.04, "step") >= 0.95 - MONTE_CARLO


@pytest.mark.parametrize("sigma", [0.0, 1e-9, 1e-4])
def test_without_scatter_the_interval_still_contains_the_bracket(sigma):
    rng = np.random.default_rng(2)
    curves = as_curves(*(step(GRID, 0.75 + sigma * rng.standard_normal()) for _ in range(5)))
    found = cell_threshold(curves, 0.1)
    assert found.rho_c_low <= found.bracket_low < 0.75 < found.bracket_high <= found.rho_c_high
    assert found.rho_c_high - found.rho_c_low >= found.width
