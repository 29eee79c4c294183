"""Active units: known counts, and noise that is not taken for activity."""

import pytest
import torch

from ouvae.training.metrics import ACTIVE_VARIANCE, active_units

IMAGES = 20_000


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_variance(*variances):
    """Return means [1, N, d] whose empirical variances are exactly those."""
    values = normal(IMAGES, len(variances))
    values = (values - values.mean(0)) / values.std(0)
    return (values * torch.tensor(variances, dtype=torch.float64).sqrt())[None]


def test_units_above_the_threshold_are_counted_for_each_member():
    assert ACTIVE_VARIANCE == 0.01
    first = of_variance(0.0101, 0.0099, 1.0, 0.0)
    second = of_variance(0.0099, 0.0099, 0.0099, 0.0)
    means = torch.cat([first, second]) + 7
    assert active_units(means, means).tolist() == [2, 0]


def test_the_variance_is_the_unbiased_one():
    spread = torch.tensor([0.0, 2 * ACTIVE_VARIANCE]).sqrt()
    three = torch.stack([-spread, 0 * spread, spread])[None]  # variance: 0, and 2 x threshold
    assert active_units(three, three).tolist() == [1]
    assert active_units(three * 0.7, three * 0.7).tolist() == [0]
    assert active_units(three * 0.72, three * 0.72).tolist() == [1]


@pytest.mark.parametrize(("signal", "expected"), [(0.0, 0), (0.007, 0), (0.013, 3)])
def test_noise_of_the_layers_below_is_not_activity(signal, expected):
    """Noise of variance 0.04 would pass for activity if the variance of one evaluation were taken."""
    means = of_variance(signal, signal, signal)
    first, second = (means + 0.2 * normal(1, IMAGES, 3, seed=seed) for seed in (1, 2))
    assert active_units(first, first).tolist() == [3]
    assert active_units(first, second).tolist() == [expected]


def test_means_that_disagree_in_sign_are_not_active():
    means = of_variance(1.0)
    assert active_units(means, -means).tolist() == [0]
