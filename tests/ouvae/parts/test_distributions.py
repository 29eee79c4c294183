"""Log densities and divergences against torch.distributions and closed forms."""

import itertools
import math

import pytest
import torch
from torch import distributions
from torch.func import vmap

from ouvae.parts.distributions import (
    LOG_SCALE_LIMIT,
    GaussianDraw,
    bernoulli_log_density,
    gaussian_kl,
    gaussian_kl_sample,
    gaussian_kl_to_standard,
    gaussian_log_density,
    gaussian_parameters,
)

TIGHT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture
def gaussians():
    """Return means and log scales of two families of Gaussians, each [4, 3]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 4, 3, generator=generator, dtype=torch.float64)


def test_bernoulli_log_density_agrees_with_torch():
    logits = torch.linspace(-60, 60, 25, dtype=torch.float64).view(5, 5)
    x = (torch.arange(25).view(5, 5) % 3 == 0).double()
    expected = distributions.Bernoulli(logits=logits).log_prob(x).sum(-1)
    torch.testing.assert_close(bernoulli_log_density(x, logits), expected, **TIGHT)


@pytest.mark.parametrize("leading", [(), (2,), (3, 2)], ids=["one", "images", "samples of images"])
@pytest.mark.parametrize("own", ["both", "x", "logits"])
def test_bernoulli_gradients_in_packs_are_those_of_the_written_out_density(leading, own):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, *leading, 7, generator=generator, dtype=torch.float64)
    x = torch.randint(0, 2, (4, *leading[1:], 7), generator=generator).double()
    axes = (None if own == "logits" else 0, None if own == "x" else 0)
    x, logits = (values if axis == 0 else values[0] for values, axis in zip((x, logits), axes, strict=True))
    weights = torch.randn(4, *leading, generator=generator, dtype=torch.float64)

    def gradient(density):
        of = logits.clone().requires_grad_()
        (weights * vmap(density, in_dims=axes)(x, of)).sum().backward()
        return of.grad

    expected = gradient(lambda x, logits: distributions.Bernoulli(logits=logits).log_prob(x).sum(-1))
    torch.testing.assert_close(gradient(bernoulli_log_density), expected, **TIGHT)


def test_bernoulli_probabilities_sum_to_one():
    logits = torch.tensor([-2.0, 0.3, 1.7, 5.0], dtype=torch.float64)
    states = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)), dtype=torch.float64)
    total = bernoulli_log_density(states, logits).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-12)


def test_gaussian_log_density_agrees_with_torch(gaussians):
    x, mean, log_scale, _ = gaussians
    expected = distributions.Normal(mean, log_scale.exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(gaussian_log_density(x, mean, log_scale), expected, **TIGHT)
    expected = distributions.Normal(mean, math.exp(-0.7)).log_prob(x).sum(-1)
    torch.testing.assert_close(gaussian_log_density(x, mean, -0.7), expected, **TIGHT)


def test_kl_to_standard_agrees_with_torch_and_vanishes_at_the_prior(gaussians):
    mean, log_scale, _, _ = gaussians
    posterior = distributions.Normal(mean, log_scale.exp())
    prior = distributions.Normal(torch.zeros_like(mean), 1.0)
    expected = distributions.kl_divergence(posterior, prior).sum(-1)
    torch.testing.assert_close(gaussian_kl_to_standard(mean, log_scale), expected, **TIGHT)
    assert gaussian_kl_to_standard(torch.zeros(3), torch.zeros(3)).item() == 0


def test_kl_between_gaussians_agrees_with_torch(gaussians):
    mean, log_scale, prior_mean, prior_log_scale = gaussians
    posterior = distributions.Normal(mean, log_scale.exp())
    prior = distributions.Normal(prior_mean, prior_log_scale.exp())
    expected = distributions.kl_divergence(posterior, prior).sum(-1)
    torch.testing.assert_close(gaussian_kl(*gaussians), expected, **TIGHT)
    torch.testing.assert_close(
        gaussian_kl(mean, log_scale, torch.zeros(()), torch.zeros(())),
        gaussian_kl_to_standard(mean, log_scale),
        **TIGHT,
    )


def test_kl_between_gaussians_vanishes_where_they_agree_and_nowhere_else(gaussians):
    mean, log_scale, _, _ = gaussians
    assert (gaussian_kl(mean, log_scale, mean, log_scale) == 0).all()
    assert (gaussian_kl(mean, log_scale, mean + 1e-3, log_scale) > 0).all()
    near = gaussian_kl(mean.float(), log_scale.float(), mean.float(), log_scale.float() + 1e-3)
    torch.testing.assert_close(near, torch.full((4,), 3e-6), rtol=1e-2, atol=0)


def test_log_scales_are_clamped_far_out_and_untouched_between():
    outputs = torch.tensor([1e9, -1e9, 3.0, 1.5, 0.0, -6.9, 1e9, -1e9, 7.1, 6.9, 0.0, -6.9])
    mean, log_scale = gaussian_parameters(outputs)
    assert mean.tolist() == outputs[:6].tolist()
    assert log_scale.tolist() == [LOG_SCALE_LIMIT, -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT, *outputs[9:].tolist()]


def test_a_draw_has_its_moments_and_both_forms_of_the_kl(gaussians):
    mean, log_scale, prior_mean, prior_log_scale = gaussians
    eps = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    draw = GaussianDraw.of(mean, log_scale, eps)
    torch.testing.assert_close((draw.z - mean) / log_scale.exp(), eps, **TIGHT)
    exact = gaussian_kl(mean, log_scale, prior_mean, prior_log_scale)
    assert torch.equal(draw.kl(prior_mean, prior_log_scale, closed_form=True), exact.expand(5, 4))
    sampled = gaussian_kl_sample(draw.z, eps, log_scale, prior_mean, prior_log_scale)
    assert torch.equal(draw.kl(prior_mean, prior_log_scale, closed_form=False), sampled)


def test_kl_sample_is_the_log_ratio_of_the_densities(gaussians):
    mean, log_scale, prior_mean, prior_log_scale = gaussians
    eps = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = mean + log_scale.exp() * eps
    expected = gaussian_log_density(z, mean, log_scale) - gaussian_log_density(z, prior_mean, prior_log_scale)
    estimate = gaussian_kl_sample(z, eps, log_scale, prior_mean, prior_log_scale)
    torch.testing.assert_close(estimate, expected, rtol=1e-11, atol=1e-11)


def test_kl_sample_averages_to_the_divergence(gaussians, gauss_hermite):
    mean, log_scale, prior_mean, prior_log_scale = (part.reshape(-1, 1) for part in gaussians)
    nodes, weights = gauss_hermite(3)
    eps = nodes.view(-1, 1, 1)
    samples = gaussian_kl_sample(mean + log_scale.exp() * eps, eps, log_scale, prior_mean, prior_log_scale)
    posterior = distributions.Normal(mean, log_scale.exp())
    prior = distributions.Normal(prior_mean, prior_log_scale.exp())
    expected = distributions.kl_divergence(posterior, prior).sum(-1)
    torch.testing.assert_close((weights[:, None] * samples).sum(0), expected, **TIGHT)


def test_kl_sample_is_zero_where_posterior_and_prior_agree(gaussians):
    mean, log_scale, _, _ = gaussians
    eps = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    estimate = gaussian_kl_sample(mean + log_scale.exp() * eps, eps, log_scale, mean, log_scale)
    torch.testing.assert_close(estimate, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
