"""Active units and the share of signal: error rates, power and known answers."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from ouvae.training.evaluation import metrics
from ouvae.training.evaluation.metrics import (
    ACTIVE_IMAGES,
    ACTIVE_LEVEL,
    ACTIVE_VARIANCE,
    UnitMoments,
    active_units,
    active_units_one_draw,
    explained_variance,
    signal_share,
    unit_moments,
    values_of,
)

DRAWS = 16
UNITS = 3000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def binary(*shape: int) -> Tensor:
    return 2 * torch.randint(2, shape, generator=generator(), dtype=torch.float64) - 1


def heavy_tailed(*shape: int) -> Tensor:
    """Return Student's t with 3 degrees of freedom and variance 1."""
    normals = normal(4, *shape)
    return normals[0] / normals[1:].square().sum(0).sqrt()


def heteroscedastic(*shape: int) -> Tensor:
    """Return normal noise whose scale differs by image."""
    scale = normal(1, shape[-2], 1, seed=1).exp()
    return normal(*shape) * scale / scale.square().mean().sqrt()


def two_valued(*shape: int, share: float) -> Tensor:
    hit = (torch.rand(shape, generator=generator(), dtype=torch.float64) < share).double()
    return (hit - share) / math.sqrt(share * (1 - share))


NOISE = {"normal": normal, "binary": binary, "t3": heavy_tailed, "heteroscedastic": heteroscedastic}

SIGNAL = {
    "normal": normal,
    "of two values": binary,
    "of a rare value": lambda *shape: two_valued(*shape, share=0.12),
    "skewed": lambda *shape: torch.empty(shape, dtype=torch.float64).exponential_(generator=generator()) - 1,
}


def of_means(means: Tensor) -> UnitMoments:
    """Return the moments of one member's means, [D, N, d] or [N, d]."""
    mean, variance = unit_moments(means)
    return UnitMoments(mean[None], variance[None], DRAWS)


def allowed(units: int) -> int:
    """Return a number of units that an error of 1 % exceeds in one of 10,000 tests."""
    return int(stats.binom.ppf(0.9999, units, 0.01))


def of_variance(*variances: float, images: int = 20_000) -> Tensor:
    """Return means [N, d] with exactly these empirical variances."""
    values = normal(images, len(variances))
    values = (values - values.mean(0)) / values.std(0)
    return values * torch.tensor(variances, dtype=torch.float64).sqrt()


@pytest.mark.parametrize("images", [2, 5, 20, 200])
@pytest.mark.parametrize("variance", [0.04, 0.3, 4.0])
@pytest.mark.parametrize("noise", NOISE)
def test_units_of_pure_noise_are_not_active(noise, variance, images):
    units = UNITS if images < 200 else 800
    means = math.sqrt(variance) * NOISE[noise](DRAWS, images, units)
    assert active_units(of_means(means)).item() <= allowed(units)
    if images >= ACTIVE_IMAGES:  # the usual count takes most of them
        assert active_units_one_draw(means[:1]).item() > 0.8 * units


@pytest.mark.parametrize("images", [2, 5, 20, 30, 100, 200, 1000])
@pytest.mark.parametrize("signal", SIGNAL)
def test_units_at_the_limit_are_not_active(signal, images):
    """Without noise, as in a first layer."""
    means = math.sqrt(ACTIVE_VARIANCE) * SIGNAL[signal](images, UNITS)
    assert active_units(of_means(means)).item() <= allowed(UNITS)


@pytest.mark.parametrize("images", [20, 21, 25, 37, 60, 150, 1000])
def test_no_signal_of_two_values_at_the_limit_is_active_with_more_than_one_percent(images):
    """Exactly: the count of the rarer value is binomial."""
    counts = torch.arange(images + 1)
    values = (torch.arange(images)[:, None] < counts).double()  # a unit a count
    for share in torch.logspace(-3, math.log10(0.5), 60).tolist():
        means = values * math.sqrt(ACTIVE_VARIANCE / (share * (1 - share)))
        mean, variance = unit_moments(means)
        moments = UnitMoments(mean.T[..., None], variance.T[..., None], DRAWS)  # a member a unit
        active = active_units(moments).bool().numpy()
        assert stats.binom.pmf(counts.numpy(), images, share)[active].sum() <= 0.01


@pytest.mark.parametrize(("images", "variance"), [(200, 0.018), (500, 0.0141), (1000, 0.0126)])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_nine_of_ten_units_above_the_limit_are_found(images, variance, noise):
    units = 500
    means = math.sqrt(variance) * normal(images, units) + math.sqrt(noise) * normal(
        DRAWS, images, units, seed=1
    )
    assert active_units(of_means(means)).item() >= 0.88 * units


def test_units_are_counted_for_each_member():
    first = of_variance(0.012, 0.0099, 1.0, 0.0)
    second = of_variance(0.0101, 0.0099, 0.0099, 0.0)
    means = torch.stack([first, second]) + 7
    units = UnitMoments(means, torch.zeros_like(means), DRAWS)
    assert active_units(units).tolist() == [2, 0]
    moments = UnitMoments(means.float(), units.variance.float(), DRAWS)
    assert active_units(moments).tolist() == [2, 0]


def test_few_images_make_no_unit_active():
    means = 100 * binary(ACTIVE_IMAGES, 4)
    assert active_units(of_means(means)).item() == 4
    for images in (1, 2, ACTIVE_IMAGES - 1):
        assert active_units(of_means(means[:images])).item() == 0


@pytest.mark.parametrize("images", [2, 3, 50])
def test_the_estimate_of_the_explained_variance_is_unbiased(images):
    signal, noise = 0.7, 2.0
    means = math.sqrt(signal) * normal(images, 20_000) + math.sqrt(noise) * normal(
        DRAWS, images, 20_000, seed=1
    )
    estimates = explained_variance(of_means(means)).mean(-2).flatten()
    error = (estimates.std() / math.sqrt(len(estimates))).item()
    assert estimates.mean().item() == pytest.approx(signal, abs=4 * error)


def test_without_noise_the_explained_variance_is_the_variance_over_images():
    means = normal(30, 5)
    explained = explained_variance(of_means(means)).mean(-2)[0]
    torch.testing.assert_close(explained, means.var(0), rtol=1e-12, atol=0)


def test_one_draw_counts_by_the_plain_variance():
    means = of_variance(0.0101, 0.0099, 1.0, 0.0)[None]
    assert active_units_one_draw(means).tolist() == [2]
    assert active_units_one_draw(means[:, :1]).tolist() == [0]


def test_the_share_of_a_signal_in_noise():
    signal = 2 * normal(4000, 5)
    assert signal_share(of_means(signal + normal(DRAWS, 4000, 5, seed=1))).item() == pytest.approx(
        4 / 5, abs=0.02
    )
    assert signal_share(of_means(signal)).item() == pytest.approx(1)
    assert signal_share(of_means(normal(DRAWS, 4000, 5))).item() == pytest.approx(0, abs=0.01)


def test_the_share_is_undefined_if_no_unit_varies():
    for small in (0.009 * normal(DRAWS, 400, 5), 0.09 * of_variance(1.0, 0.5), 3 * normal(1, 5)):
        assert signal_share(of_means(small)).isnan().all()
    mixed = torch.cat([0.01 * normal(DRAWS, 400, 5), 0.2 * normal(DRAWS, 400, 1)], -1)
    assert signal_share(of_means(mixed)).isfinite().all()


def test_undefined_values_become_none_and_others_do_not():
    measured = {
        "signal_share": torch.tensor([[0.5, math.nan], [0.1, 0.2]]),
        "signal_share_top": torch.tensor([math.nan, 0.2]),
        "test_signal_share_top": torch.tensor([math.nan, 0.2]),
        "elbo_nats": torch.tensor([math.nan, 1.0]),
    }
    undefined, defined = (values_of(measured, row) for row in (0, 1))
    assert undefined["signal_share"] == [0.5, None]
    assert undefined["signal_share_top"] is undefined["test_signal_share_top"] is None
    assert math.isnan(undefined["elbo_nats"])
    assert defined["signal_share_top"] == pytest.approx(0.2)


@pytest.mark.parametrize("freedom", [19, 40, 200, 5000])
def test_the_quantiles_are_those_of_the_distributions(freedom):
    student = stats.t.isf(ACTIVE_LEVEL, freedom)
    assert metrics._student_quantile(ACTIVE_LEVEL, freedom) == pytest.approx(student, rel=1e-3)
    ratio = stats.chi2.isf(ACTIVE_LEVEL, freedom) / freedom
    assert metrics._chi_squared_ratio(ACTIVE_LEVEL, freedom) == pytest.approx(ratio, rel=3e-3)
