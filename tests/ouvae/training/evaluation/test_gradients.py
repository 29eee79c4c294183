"""The variance of the gradient at the encoder's mean, against hand-made cases."""

import pytest
import torch

from ouvae.training.evaluation.gradients import gradient_variance
from ouvae.training.noise import single_draws
from ouvae.training.pack import PackTraining, initial_model
from tests.ouvae.packs import train


def noise(case, samples, images, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return single_draws(case, (samples, images), generator, torch.float64)


def weights(model):
    return dict(model.named_parameters())


def test_known_variance_of_a_linear_decoder(linear):
    """x ~ N(w z, 1): the loss's gradient in the mean m is w (w z - x) + m, whose variance is (w^2 s)^2."""
    case = linear()
    model = initial_model(case, (1,), 0)
    with torch.no_grad():
        model.likelihood.weight.fill_(1.7)
        model.inference[0].log_scale.fill_(-0.4)
    x = torch.randn(6, 1, dtype=torch.float64)
    draws = noise(case, 20_000, 6)
    exact = (1.7**2) ** 2 * torch.tensor(-0.8).exp().item()
    assert gradient_variance(model, weights(model), x, draws, None) == pytest.approx(exact, rel=0.03)


def test_smoothing_a_linear_decoder_lowers_it_to_the_retained_share(linear):
    """The smoothed z has noise of variance s^2 (rho^2 + (1 - rho^2)/K)."""
    case = linear(ou_samples=4)
    model = initial_model(case, (1,), 0)
    x = torch.randn(5, 1, dtype=torch.float64)
    draws = noise(case, 20_000, 5)
    rho = torch.tensor(0.6, dtype=torch.float64)
    plain = gradient_variance(model, weights(model), x, draws, None)
    smoothed = gradient_variance(model, weights(model), x, draws, rho)
    assert smoothed / plain == pytest.approx(0.36 + 0.64 / 4, rel=0.05)


def test_rho_one_is_no_smoothing(make_cell):
    case = make_cell()
    model = initial_model(case, (3, 4), 0)
    x = torch.rand(5, 12, dtype=torch.float64).round()
    draws = noise(case, 7, 5)
    actual = [
        gradient_variance(model, weights(model), x, draws, rho)
        for rho in (None, torch.ones((), dtype=torch.float64))
    ]
    assert actual[0] == pytest.approx(actual[1], rel=1e-12)
    assert actual[0] > 0


def test_a_pack_measures_it_at_every_evaluation_and_trains_as_without(make_cell, data):
    members = [(1.0, 0), (0.6, 1)]
    outcomes = []
    for keys in ({}, {"gradient_samples": 6, "gradient_rho": 0.8}):
        outcomes.append(train(PackTraining(make_cell(**keys), members, data)).outcomes())
    for without, measured in zip(*outcomes, strict=True):
        assert [metrics["elbo_nats"] for metrics in without.history] == [
            metrics["elbo_nats"] for metrics in measured.history
        ]
        assert all(metrics["gradient_variance"] is None for metrics in without.history)
        for metrics in measured.history:
            assert metrics["gradient_variance"] > 0
            assert metrics["gradient_variance_smoothed"] > 0
