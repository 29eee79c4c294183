"""The bound L_k: it rises with k to the log likelihood, and chunks change nothing but rounding."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from ouvae.data import Dataset
from ouvae.training.counts import importance_sample_bytes
from ouvae.training.evaluation.evaluator import BOUND_IMAGES, BOUND_SAMPLES
from ouvae.training.pack import PackTraining
from tests.ouvae.packs import train

MEMBERS = [(0.9, 1), (1.0, 1), (1.0, 4)]
VARIANCE = 0.4


@pytest.fixture(scope="module")
def points():
    """Return 600 / 30 / 130 points of a Gaussian in three dimensions."""
    spread = np.array([1.5, 1.0, 0.6])
    draws = (spread * np.random.default_rng(1).standard_normal((760, 3))).astype(np.float32)
    return Dataset("points", draws[:600], draws[600:630], draws[630:], (3,), "none")


@pytest.fixture
def trained(linear, points):
    """Return linear Gaussian VAEs of two latents after some steps."""
    case = linear(latents=(2,), observation_variance=VARIANCE, steps=40, batch_size=50)
    return train(PackTraining(case, MEMBERS, points))


def bound(pack, points, samples, rows=10**6):
    with torch.no_grad():
        return pack._evaluator.bound(torch.from_numpy(points.test).double(), samples, rows)


def exact(pack, points, row):
    """Return log p(x) of the test points: z ~ N(0, I), x = W z + b + noise is Gaussian."""
    weight = pack._parameters["likelihood.weight"][row].detach().numpy()
    bias = pack._parameters["likelihood.bias"][row].detach().numpy()
    covariance = weight @ weight.T + VARIANCE * np.eye(3)
    return multivariate_normal(bias, covariance).logpdf(points.test.astype(np.float64))


def test_the_bound_rises_with_k_to_the_exact_log_likelihood(trained, points):
    """Its error falls with k; the mean error over images is within four standard errors."""
    pack = trained
    bounds = {k: bound(pack, points, k).numpy() for k in (1, 10, 100, 5000)}
    for row in range(len(MEMBERS)):
        truth = exact(pack, points, row)
        means = [bounds[k][row].mean() for k in sorted(bounds)]
        assert means == sorted(means)
        assert means[0] < truth.mean() - 0.05, "a trained posterior that is exact would test nothing"
        errors = bounds[5000][row] - truth
        assert np.abs(errors).max() < 1
        assert abs(errors.mean()) < 4 * errors.std(ddof=1) / math.sqrt(len(errors))
        assert errors.std() < 0.3 * (bounds[100][row] - truth).std(), "the error falls with k"


@pytest.mark.parametrize("samples", [1, 7, 10, 25])
def test_chunks_change_nothing_but_rounding(trained, points, samples):
    pack = trained
    whole = bound(pack, points, samples)
    assert whole.shape == (len(MEMBERS), 130)
    for rows in (1, BOUND_SAMPLES * 3, BOUND_SAMPLES * BOUND_IMAGES, 2 * BOUND_SAMPLES * BOUND_IMAGES):
        torch.testing.assert_close(bound(pack, points, samples, rows), whole, rtol=0, atol=1e-10)
    assert torch.equal(bound(pack, points, samples), whole), "the same again, to the bit"


def test_the_given_memory_bounds_a_chunk(make_cell, data, monkeypatch):
    """A chunk of members, images and samples takes at most the given bytes, or is a block of one image."""
    case = make_cell(steps=1, bound_samples=35)
    sample_bytes = importance_sample_bytes(case, data.image_shape)
    bounds = {}
    for memory in (1, 500 * sample_bytes, 2**30):
        pack = PackTraining(case, MEMBERS, data, evaluation_bytes=memory)
        run, sizes = pack._evaluator.run, []

        def watched(x, draws, *, smoothed, closed_form, run=run, sizes=sizes):
            if not closed_form:
                sizes.append(len(MEMBERS) * draws.base[0].shape[1] * len(x))
            return run(x, draws, smoothed=smoothed, closed_form=closed_form)

        monkeypatch.setattr(pack, "_evaluator", dataclasses.replace(pack._evaluator, run=watched))
        pack.train_step()
        bounds[memory] = [outcome.test["test_bound_nats"] for outcome in pack.outcomes()]
        assert max(sizes) * sample_bytes <= max(memory, len(MEMBERS) * BOUND_SAMPLES * sample_bytes)
        assert bounds[memory] == pytest.approx(bounds[1], abs=1e-10)


def test_the_standard_deviation_of_the_top_kl_is_over_images(make_cell, data):
    """Each image is evaluated alone with the same two draws."""
    pack = PackTraining(make_cell(latents=(3,), smoothed_networks=("likelihood",)), MEMBERS, data)
    for _ in range(15):
        pack.train_step()
    measured = pack._evaluator.measure(pack._validation)
    single = [pack._evaluator.measure(image[None])["kl_top_nats"] for image in pack._validation]
    expected = torch.stack(single, dim=1)
    torch.testing.assert_close(measured["kl_top_nats"], expected.mean(1))
    torch.testing.assert_close(measured["kl_top_nats_sd"], expected.std(1, correction=0))
    assert (expected.std(1) > 1e-3).all()


def test_units_of_the_top_layer_share_its_kl(trained, points):
    """In a model of one layer, each unit has the closed form of its Gaussian."""
    images = torch.from_numpy(points.validation).double()
    weights = {name: value.detach() for name, value in trained._parameters.items()}
    for row, outcome in enumerate(trained.outcomes()):
        mean = images @ weights["inference.0.mean.weight"][row].T + weights["inference.0.mean.bias"][row]
        log_scale = weights["inference.0.log_scale"][row]
        units = (0.5 * (mean**2 + (2 * log_scale).exp() - 1) - log_scale).mean(0)
        last = outcome.history[-1]
        assert last["kl_units_top_nats"] == pytest.approx(sorted(units.tolist(), reverse=True), abs=1e-9)
        assert sum(last["kl_units_top_nats"]) == pytest.approx(last["kl_top_nats"], abs=1e-9)


def test_bytes_of_a_sample_are_counted_with_gradients_on_or_off(make_cell):
    case = make_cell(latents=(3, 2))
    with torch.no_grad():
        without = importance_sample_bytes(case, (12,))
    assert without == importance_sample_bytes(case, (12,)) > 8 * 12
