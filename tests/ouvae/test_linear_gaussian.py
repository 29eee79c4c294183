"""The exact threshold of the linear Gaussian VAE, against the curvature of its smoothed objective."""

import itertools
import math

import pytest
import torch
from torch.autograd.functional import hessian
from torch.func import functional_call

from ouvae.declared.retained_variance import retained_variance
from ouvae.linear_gaussian import critical_rho
from ouvae.systems import Draws, draw_shapes
from ouvae.training.pack import initial_model
from ouvae.training.step.objectives import loss as objective


def test_known_values():
    assert critical_rho([0.8], 1.0, 5) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([1.6], 2.0, 5) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([0.75], 1.0, 2) == pytest.approx(math.sqrt(0.5))
    assert critical_rho([1.25], 1.0, 4, "ambient") == pytest.approx(math.sqrt(0.5))
    assert critical_rho([2.0], 1.0, 3, "ambient") == pytest.approx(0.5)
    assert critical_rho([1.6], 1.0, 5, "posterior", 2.0) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([0.4], 1.0, 5, "shrink", 0.5) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([0.8], 1.0, 5, "posterior", 0.0) is None


@pytest.mark.parametrize(
    ("variance", "draws", "form"),
    [
        (1.0, 5, "posterior"),
        (1.2, 5, "posterior"),
        (0.2, 5, "posterior"),
        (0.1, 5, "posterior"),
        (0.8, 1, "posterior"),
        (1.0, 5, "shrink"),
        (0.2, 5, "shrink"),
        (0.8, 1, "shrink"),
        (1.0, 5, "ambient"),
        (0.8, 5, "ambient"),
    ],
)
def test_no_threshold_outside_the_range(variance, draws, form):
    assert critical_rho([variance], 1.0, draws, form) is None


@pytest.mark.parametrize("form", ["posterior", "shrink"])
def test_at_the_threshold_the_retained_variance_is_the_datas(form):
    for ratio in (0.25, 0.5, 0.95):
        rho = critical_rho([ratio * 3.0], 3.0, 6, form)
        assert retained_variance(rho, 6) == pytest.approx(ratio)


def test_the_largest_variance_decides():
    for form, variances in (("posterior", [0.5, 0.8, 0.3]), ("ambient", [0.5, 1.4, 1.2])):
        largest = critical_rho([max(variances)], 1.0, 5, form)
        assert critical_rho(variances, 1.0, 5, form) == largest
    assert critical_rho([0.5, 1.1], 1.0, 5) is None


@pytest.fixture
def curvature(linear):
    """Return the gradient's size and the smallest eigenvalue of the Hessian at the collapsed point.

    The objective of the model is quadratic in x, eps and omega, so that signs ±1 in every combination
    give its expectation exactly.
    """

    def at_collapse(variances, observation_variance, draws, form, rho, weight=1.0):
        size = len(variances)
        case = linear(
            latents=(1,),
            observation_variance=observation_variance,
            ou_samples=draws,
            smoothing=form,
            top_kl_weight=weight,
        )
        model = initial_model(case, (size,), seed=0)
        point = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
        names = list(point)
        flat = torch.cat([point[name].flatten() for name in names])

        omegas = draws if draw_shapes(case, (1,)).likelihood else 0
        signs = torch.tensor(
            list(itertools.product((-1.0, 1.0), repeat=size + 1 + omegas)), dtype=torch.float64
        )
        x = signs[:, :size] * torch.tensor(variances, dtype=torch.float64).sqrt()
        eps, omega = signs[:, size : size + 1], signs[:, size + 1 :].T[..., None]
        noise = Draws((eps,), (), (omega,) if omegas else (), ())

        def loss(values):
            parts = torch.split(values, [point[name].numel() for name in names])
            shaped = {name: part.view_as(point[name]) for name, part in zip(names, parts, strict=True)}
            terms = functional_call(model, shaped, (x, noise, torch.tensor(rho, dtype=torch.float64)))
            return objective(case, terms)

        slope = torch.func.grad(loss)(flat).abs().max().item()
        return slope, torch.linalg.eigvalsh(hessian(loss, flat)).min().item()

    return at_collapse


@pytest.mark.parametrize("form", ["posterior", "shrink"])
@pytest.mark.parametrize(
    ("variances", "observation_variance", "draws"),
    [([0.8], 1.0, 5), ([0.9], 1.5, 3), ([0.75], 1.0, 2), ([0.5, 0.8], 1.0, 4)],
)
def test_two_forms_are_collapsed_above_the_threshold(curvature, variances, observation_variance, draws, form):
    critical_value = critical_rho(variances, observation_variance, draws, form)
    for rho, collapsed in (
        (critical_value - 1e-3, False),
        (critical_value + 1e-3, True),
        (0.0, False),
        (1.0, True),
    ):
        slope, least = curvature(variances, observation_variance, draws, form, rho)
        assert slope < 1e-12
        assert (least > 0) == collapsed, rho
    assert curvature(variances, observation_variance, draws, form, critical_value)[1] == pytest.approx(
        0, abs=1e-9
    )


@pytest.mark.parametrize(("variances", "draws"), [([1.25], 4), ([1.1], 5), ([0.5, 1.5], 2)])
def test_ambient_form_is_collapsed_below_the_threshold(curvature, variances, draws):
    critical_value = critical_rho(variances, 1.0, draws, "ambient")
    for rho, collapsed in (
        (critical_value - 1e-3, True),
        (critical_value + 1e-3, False),
        (0.0, True),
        (1.0, False),
    ):
        slope, least = curvature(variances, 1.0, draws, "ambient", rho)
        assert slope < 1e-12
        assert (least > 0) == collapsed, rho
    assert curvature(variances, 1.0, draws, "ambient", critical_value)[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("form", ["posterior", "shrink", "ambient"])
@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_without_a_threshold_the_sign_is_constant(curvature, form, rho):
    if form != "ambient":
        assert curvature([1.2], 1.0, 5, form, rho)[1] < 0
        assert curvature([0.1], 1.0, 5, form, rho)[1] > 0
        assert curvature([0.8], 1.0, 1, form, rho)[1] > 0
    else:
        assert curvature([0.9], 1.0, 5, form, max(rho, 1e-3))[1] > 0


@pytest.mark.parametrize("weight", [0.5, 0.8, 1.0, 1.5])
def test_the_plain_model_is_collapsed_for_a_data_variance_up_to_the_kls_weight(curvature, weight):
    for ratio, collapsed in ((weight - 1e-3, True), (weight + 1e-3, False)):
        slope, least = curvature([2 * ratio], 2.0, 5, "posterior", 1.0, weight)
        assert slope < 1e-12
        assert (least > 0) == collapsed
    assert curvature([2 * weight], 2.0, 5, "posterior", 1.0, weight)[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("form", ["posterior", "shrink", "ambient"])
@pytest.mark.parametrize(("variance", "weight"), [(0.5, 0.7), (1.2, 1.5), (1.2, 0.9)])
def test_the_threshold_of_a_weighted_kl(curvature, form, variance, weight):
    critical_value = critical_rho([variance], 1.0, 4, form, weight)
    assert (critical_value is not None) == ((variance > weight) == (form == "ambient"))
    if critical_value is not None:
        for rho, above in ((critical_value - 1e-3, False), (critical_value + 1e-3, True)):
            least = curvature([variance], 1.0, 4, form, rho, weight)[1]
            assert (least > 0) == (above != (form == "ambient")), rho
        assert curvature([variance], 1.0, 4, form, critical_value, weight)[1] == pytest.approx(0, abs=1e-9)


def test_without_any_weight_nothing_collapses(curvature):
    assert curvature([1e-3], 1.0, 5, "posterior", 0.5, 0.0)[1] < 0
