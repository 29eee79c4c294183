"""The Ornstein-Uhlenbeck operator: spectrum, semigroup, estimate by K draws, and control."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.func import vmap

from ouvae.declared.retained_variance import retained_variance
from ouvae.parts.networks import Hidden
from ouvae.parts.smoothing import shrunk_input, smooth, smoothed_inputs
from tests.ouvae.tensors import are_alike

RHO = (0.0, 0.3, 0.8, 0.99, 1.0)
MEAN, SCALE = 0.7, 1.9
EXACT = {"rtol": 0.0, "atol": 1e-10}

FUNCTIONS = {
    "linear": lambda x: 2 * x + 1,
    "cubic": lambda x: x**3 - 2 * x,
    "quintic": lambda x: 0.1 * x**5 + x**2,
    "sin": lambda x: torch.sin(2 * x),
    "relu": torch.relu,
}


def scalar(rho):
    return torch.tensor(rho, dtype=torch.float64)


@pytest.fixture
def operator(gauss_hermite):
    """Return U_rho f as a function of its input x [B]: the expectation over omega is exact quadrature."""
    nodes, weights = gauss_hermite(80)

    def apply(form, rho, f):
        def smoothed(x):
            z = x.reshape(-1, 1)
            scale, eps = torch.full_like(z, SCALE), (z - MEAN) / SCALE
            omega = nodes.view(-1, 1, 1).expand(-1, *z.shape)
            inputs = smoothed_inputs(form, z, scale, eps, omega, scalar(rho))
            values = f(inputs.reshape(-1)).view(len(nodes), -1)
            return (weights[:, None] * values).sum(0)

        return smoothed

    return apply


@pytest.mark.parametrize("rho", RHO)
def test_smoothed_noise_correlates_rho_with_the_shared_eps(rho):
    draws, batch = 3, 200_000
    generator = torch.Generator().manual_seed(0)
    eps = torch.randn(batch, 1, generator=generator, dtype=torch.float64)
    omega = torch.randn(draws, batch, 1, generator=generator, dtype=torch.float64)
    scale = torch.full_like(eps, SCALE)
    inputs = smoothed_inputs("posterior", MEAN + SCALE * eps, scale, eps, omega, scalar(rho))
    noise = (inputs.squeeze(-1) - MEAN) / SCALE
    moments = torch.cat([eps.T, noise]) @ torch.cat([eps.T, noise]).T / batch
    expected = torch.full((draws + 1, draws + 1), rho**2, dtype=torch.float64)
    expected[0, :] = expected[:, 0] = rho
    expected.fill_diagonal_(1)
    torch.testing.assert_close(moments, expected, rtol=0, atol=5 * math.sqrt(2 / batch))
    fresh = noise - rho * eps.T
    torch.testing.assert_close(
        fresh @ fresh.T / batch,
        (1 - rho**2) * torch.eye(draws, dtype=torch.float64),
        rtol=0,
        atol=5 * math.sqrt(2 / batch),
    )


@pytest.mark.parametrize("rho", RHO)
@pytest.mark.parametrize("degree", range(8))
def test_posterior_form_multiplies_a_hermite_polynomial_of_eps_by_rho_to_its_degree(
    operator, hermite, degree, rho
):
    eps = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)
    smoothed = operator("posterior", rho, lambda x: hermite(degree, (x - MEAN) / SCALE))
    torch.testing.assert_close(smoothed(MEAN + SCALE * eps), rho**degree * hermite(degree, eps), **EXACT)


@pytest.mark.parametrize("rho", RHO)
@pytest.mark.parametrize("degree", range(8))
def test_ambient_form_multiplies_a_hermite_polynomial_of_z_by_rho_to_its_degree(
    operator, hermite, degree, rho
):
    z = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)
    smoothed = operator("ambient", rho, lambda x: hermite(degree, x))
    torch.testing.assert_close(smoothed(z), rho**degree * hermite(degree, z), **EXACT)


@pytest.mark.parametrize("form", ["posterior", "ambient"])
@pytest.mark.parametrize(("first", "second"), [(0.9, 0.5), (0.5, 0.9), (0.3, 1.0), (0.7, 0.7), (0.0, 0.6)])
@pytest.mark.parametrize("name", ["linear", "cubic", "quintic"])
def test_semigroup(operator, form, first, second, name):
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    f = FUNCTIONS[name]
    twice = operator(form, first, operator(form, second, f))
    torch.testing.assert_close(twice(x), operator(form, first * second, f)(x), **EXACT)


@pytest.mark.parametrize("rho", RHO)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("form", "mean", "scale"), [("posterior", MEAN, SCALE), ("ambient", 0.0, 1.0)])
def test_variance_shrinks_at_least_by_rho_squared(operator, gauss_hermite, form, mean, scale, name, rho):
    nodes, weights = gauss_hermite(60)

    def variance(values):
        return (weights * (values - (weights * values).sum()) ** 2).sum().item()

    x = mean + scale * nodes
    before = variance(FUNCTIONS[name](x))
    after = variance(operator(form, rho, FUNCTIONS[name])(x))
    assert after <= rho**2 * before + 1e-10 * before
    if name == "linear":
        assert after == pytest.approx(rho**2 * before, abs=1e-10)


@pytest.mark.parametrize("form", ["posterior", "ambient"])
def test_at_rho_one_the_inputs_are_z_to_the_bit(form):
    generator = torch.Generator().manual_seed(1)
    for dtype in (torch.float32, torch.float64):
        mean, log_scale, eps = torch.randn(3, 50, 4, generator=generator, dtype=dtype)
        scale = log_scale.exp()
        z = mean + scale * eps
        omega = 1e3 * torch.randn(6, 50, 4, generator=generator, dtype=dtype)
        inputs = smoothed_inputs(form, z, scale, eps, omega, torch.tensor(1, dtype=dtype))
        assert torch.equal(inputs, z.expand_as(inputs))


def test_rho_zero_forgets_eps_in_the_posterior_form_and_z_in_the_ambient_form():
    generator = torch.Generator().manual_seed(2)
    mean, scale, eps = torch.rand(3, 5, 2, generator=generator, dtype=torch.float64)
    omega = torch.randn(4, 5, 2, generator=generator, dtype=torch.float64)
    z = mean + scale * eps
    posterior = smoothed_inputs("posterior", z, scale, eps, omega, scalar(0.0))
    torch.testing.assert_close(posterior, mean + scale * omega, rtol=0, atol=1e-15)
    assert torch.equal(smoothed_inputs("ambient", z, scale, eps, omega, scalar(0.0)), omega)


@pytest.mark.parametrize("form", ["posterior", "ambient"])
@pytest.mark.parametrize("draws", [1, 2, 5])
@pytest.mark.parametrize("rho", RHO)
def test_smooth_is_the_mean_over_the_draws_alone_and_under_vmap(form, draws, rho):
    generator = torch.Generator().manual_seed(3)
    mean, scale, eps = torch.rand(3, 6, 2, generator=generator, dtype=torch.float64)
    omega = torch.randn(draws, 6, 2, generator=generator, dtype=torch.float64)
    z = mean + scale * eps

    def network(x):
        return torch.cat([x**2, x.sin()], -1)

    expected = network(smoothed_inputs(form, z, scale, eps, omega, scalar(rho))).mean(0)
    estimate = smooth(network, form, z, scale, eps, omega, scalar(rho))
    torch.testing.assert_close(estimate, expected, rtol=0, atol=1e-14)
    others = torch.tensor([0.5, rho, 1.0], dtype=torch.float64)
    stacked = vmap(lambda r: smooth(network, form, z, scale, eps, omega, r))(others)
    torch.testing.assert_close(stacked[1], expected, rtol=0, atol=1e-14)
    assert are_alike(stacked[2], network(z))


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("rho", [0.4, 0.9])
def test_the_estimate_converges_to_the_operator(hermite, degree, rho):
    draws = 200_000
    generator = torch.Generator().manual_seed(4)
    eps = torch.tensor([[-1.5], [0.2], [2.0]], dtype=torch.float64)
    omega = torch.randn(draws, 3, 1, generator=generator, dtype=torch.float64)
    scale = torch.full_like(eps, SCALE)
    values = []

    def network(x):
        values.append(hermite(degree, (x - MEAN) / SCALE))
        return values[-1]

    estimate = smooth(network, "posterior", MEAN + SCALE * eps, scale, eps, omega, scalar(rho))
    error = (estimate - rho**degree * hermite(degree, eps)).abs()
    assert (error < 5 * values[-1].std(0) / math.sqrt(draws)).all()


# The control that smooths nothing


@pytest.fixture
def posteriors():
    """Return means, scales, eps and z, [50, 4] each, of a type."""

    def make(dtype):
        generator = torch.Generator().manual_seed(6)
        mean, log_scale, eps = torch.randn(3, 50, 4, generator=generator, dtype=torch.float64).to(dtype)
        scale = log_scale.exp()
        return mean, scale, eps, mean + scale * eps

    return make


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rho", "draws"), [(1.0, 1), (1.0, 2), (1.0, 5), (0.0, 1), (0.3, 1), (0.77, 1)])
def test_at_g_one_the_shrunk_input_is_z_to_the_bit(posteriors, dtype, rho, draws):
    mean, scale, eps, _ = (tensor.requires_grad_() for tensor in posteriors(dtype))
    z = mean + scale * eps
    weights = torch.linspace(-3, 3, z.numel(), dtype=dtype).view_as(z)
    shrunk = shrunk_input(z, scale, eps, draws, torch.tensor(rho, dtype=dtype))
    assert torch.equal(shrunk, z)
    for actual, plain in zip(
        torch.autograd.grad((weights * shrunk).sum(), (mean, scale), retain_graph=True),
        torch.autograd.grad((weights * z).sum(), (mean, scale)),
        strict=True,
    ):
        assert torch.equal(actual, plain)


@pytest.mark.parametrize("draws", [1, 2, 5])
@pytest.mark.parametrize("rho", RHO)
def test_shrink_leaves_the_mean_and_discounts_the_noise_by_the_root_of_g(posteriors, draws, rho):
    mean, scale, eps, z = posteriors(torch.float64)
    expected = mean + math.sqrt(retained_variance(rho, draws)) * scale * eps
    torch.testing.assert_close(shrunk_input(z, scale, eps, draws, scalar(rho)), expected, **EXACT)


@pytest.mark.parametrize("rho", RHO)
def test_shrink_is_the_posterior_form_of_a_linear_network_where_k_is_large(operator, rho):
    """The mean over omega of an affine network is the network at mean + rho * scale * eps: g = rho^2."""
    eps = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)[:, None]
    z, f = MEAN + SCALE * eps, FUNCTIONS["linear"]
    shrunk = f(shrunk_input(z, torch.full_like(z, SCALE), eps, 10**15, scalar(rho))).flatten()
    atol = 1e-6 if rho == 0 else 1e-10  # there sqrt(g) is the root of 1/K
    torch.testing.assert_close(operator("posterior", rho, f)(z.flatten()), shrunk, rtol=0, atol=atol)


@pytest.mark.parametrize("draws", [1, 2, 5])
@pytest.mark.parametrize("rho", RHO)
def test_both_leave_a_linear_network_the_share_g_of_its_variance(draws, rho):
    """Signs of +1 and -1 in every combination give second moments exactly."""
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=1 + draws)), dtype=torch.float64)
    eps, omega = signs[:, :1], signs[:, 1:].T[..., None]
    z, scale = MEAN + SCALE * eps, torch.full_like(eps, SCALE)
    outputs = {
        "posterior": smooth(lambda x: 3 * x, "posterior", z, scale, eps, omega, scalar(rho)),
        "shrink": 3 * shrunk_input(z, scale, eps, draws, scalar(rho)),
    }
    for form, output in outputs.items():
        assert output.mean().item() == pytest.approx(3 * MEAN), form
        share = output.var(correction=0).item() / (3 * SCALE) ** 2
        assert share == pytest.approx(retained_variance(rho, draws)), form


def test_a_form_without_draws_is_refused(posteriors):
    _, scale, eps, z = posteriors(torch.float64)
    with pytest.raises(ValueError, match="'shrink' has no draws"):
        smoothed_inputs("shrink", z, scale, eps, z[None], scalar(0.5))


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_the_draws_are_averaged_before_an_affine_head(rho, make_cell):
    """The result is the mean of the outputs, with a fifth of the head's products."""
    network = nn.Sequential(Hidden(make_cell(hidden=(8, 6)), 3), nn.Linear(6, 4)).double()
    mean, scale, eps = torch.rand(3, 7, 3, dtype=torch.float64)
    omega = torch.randn(5, 7, 3, dtype=torch.float64)
    inputs = smoothed_inputs("posterior", mean + scale * eps, scale, eps, omega, scalar(rho))
    rows = []
    network[-1].register_forward_hook(lambda module, given, output: rows.append(given[0].shape))
    actual = smooth(network, "posterior", mean + scale * eps, scale, eps, omega, scalar(rho))
    assert rows == [(7, 6)]
    assert are_alike(actual, network(inputs).mean(0))
