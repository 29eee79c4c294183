"""The Hermite VAE: series against integration, operator against U_rho, rho = 1 against the plain VAE."""

import math
from types import SimpleNamespace

import pytest
import torch
from scipy import integrate
from torch import distributions, nn
from torch.func import functional_call

from ouvae.parts.hermite_series import (
    damped_series,
    hermite_polynomials,
    quadrature_coefficients,
    relu_coefficients,
)
from ouvae.parts.smoothing import smooth
from ouvae.systems.hermite import smoothed_units
from ouvae.training.pack import initial_model
from ouvae.training.step.objectives import loss
from tests.ouvae.packs import rho_one_is_plain
from tests.ouvae.tensors import are_alike, images

RHO = (0.0, 0.3, 0.8, 0.99, 1.0)
UNITS = [(0.7, 1.9), (-0.4, 0.5), (0.0, 1.0), (3.0, 0.8), (-2.5, 1.1)]
"""(m, s) of pre-activations."""

PIXELS = 12
EXACT = {"rtol": 0.0, "atol": 1e-10}

POLYNOMIALS = {
    "linear": lambda a: 2 * a + 1,
    "cubic": lambda a: a**3 - 2 * a,
    "quintic": lambda a: 0.1 * a**5 + a**2,
}


def scalar(value, dtype=torch.float64):
    return torch.tensor(value, dtype=dtype)


def unit(mean, scale):
    return scalar([mean]), scalar([scale])


def smoothed_relu(mean, scale, rho, xi):
    """U_rho of the whole ReLU: the expectation of the ReLU of a Gaussian."""
    centre, spread = mean + scale * rho * xi, scale * math.sqrt(1 - rho**2)
    normal = distributions.Normal(scalar(0.0), scalar(1.0))
    ratio = centre / spread
    return centre * normal.cdf(ratio) + spread * normal.log_prob(ratio).exp()


def relu_variance(mean, scale):
    """Var max(0, m + s xi), from its first two moments."""
    normal = distributions.Normal(0.0, 1.0)
    t = scalar(mean / scale)
    above, density = normal.cdf(t), normal.log_prob(t).exp()
    first = mean * above + scale * density
    second = (mean**2 + scale**2) * above + mean * scale * density
    return (second - first**2).item()


@pytest.fixture
def case(make_cell):
    """Return a factory of cells of a small Hermite VAE."""
    hermite = {
        "system": "hermite",
        "latents": (3,),
        "smoothed_networks": ("likelihood",),
        "hermite_degree": 8,
    }
    return lambda **changes: make_cell(**{**hermite, **changes})


def test_the_polynomials_are_he_n_over_the_root_of_n_factorial(hermite):
    x = torch.linspace(-4, 4, 17, dtype=torch.float64)
    for degree, values in enumerate(hermite_polynomials(12, x)):
        expected = hermite(degree, x) / math.sqrt(math.factorial(degree))
        torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


def test_the_polynomials_are_orthonormal(gauss_hermite):
    nodes, weights = gauss_hermite(40)
    values = torch.stack(hermite_polynomials(20, nodes))
    torch.testing.assert_close((weights * values) @ values.T, torch.eye(21, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize(("mean", "scale"), [*UNITS, (0.3, 1e-3), (1e-4, 2.0)])
def test_the_coefficients_of_a_relu_are_its_integrals(mean, scale):
    """Adaptive integration, from the kink on, of max(0, m + s xi) h_n(xi) under the normal density."""
    coefficients = relu_coefficients(12, *unit(mean, scale))
    assert len(coefficients) == 13

    def integrand(xi, degree):
        polynomial = hermite_polynomials(degree, scalar(xi))[degree].item()
        return (mean + scale * xi) * polynomial * math.exp(-0.5 * xi * xi) / math.sqrt(2 * math.pi)

    kink = max(-mean / scale, -14.0)
    for degree, coefficient in enumerate(coefficients):
        points = [point for point in (-3.0, 0.0, 3.0) if kink < point]
        tight = {"epsabs": 1e-13, "epsrel": 1e-12, "limit": 400, "points": points}
        exact, _ = integrate.quad(integrand, kink, 14.0 if kink < 14 else kink, args=(degree,), **tight)
        assert coefficient.item() == pytest.approx(exact, abs=1e-10), degree


@pytest.mark.parametrize("degree", [1, 2, 3, 9])
def test_a_lower_degree_keeps_the_first_coefficients(degree):
    mean, scale = torch.tensor(UNITS, dtype=torch.float64).T
    pairs = list(zip(relu_coefficients(degree, mean, scale), relu_coefficients(9, mean, scale), strict=False))
    assert len(pairs) == degree + 1
    assert all(torch.equal(short, long) for short, long in pairs)


def test_quadrature_gives_the_known_coefficients_of_a_sine():
    mean, scale = torch.tensor(UNITS, dtype=torch.float64).T
    for degree, actual in enumerate(quadrature_coefficients(torch.sin, 10, mean, scale)):
        size = scale**degree * torch.exp(-0.5 * scale**2) / math.sqrt(math.factorial(degree))
        torch.testing.assert_close(actual, size * torch.sin(mean + degree * math.pi / 2), **EXACT)


@pytest.mark.parametrize("rho", RHO)
@pytest.mark.parametrize("name", POLYNOMIALS)
@pytest.mark.parametrize(("mean", "scale"), UNITS)
def test_the_damped_series_is_u_rho_of_a_polynomial(gauss_hermite, name, mean, scale, rho):
    """U_rho by exact quadrature over omega."""
    f, (nodes, weights) = POLYNOMIALS[name], gauss_hermite(20)
    xi = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)
    noise = rho * xi + math.sqrt(1 - rho**2) * nodes[:, None]
    expected = (weights[:, None] * f(mean + scale * noise)).sum(0)
    series = quadrature_coefficients(f, 5, *unit(mean, scale), nodes=20)
    scaled = {"rtol": 1e-12, "atol": 1e-10}
    torch.testing.assert_close(damped_series(series, xi, scalar(rho)), expected, **scaled)


@pytest.mark.parametrize(("first", "second"), [(0.9, 0.5), (0.5, 0.9), (0.3, 1.0), (0.7, 0.7), (0.0, 0.6)])
@pytest.mark.parametrize(("mean", "scale"), UNITS)
def test_semigroup(mean, scale, first, second):
    """The smoothed unit is expanded and smoothed once more."""
    series = relu_coefficients(7, *unit(mean, scale))
    again = quadrature_coefficients(
        lambda xi: damped_series(series, xi, scalar(second)), 7, *unit(0.0, 1.0), nodes=20
    )
    xi = torch.linspace(-2, 2, 9, dtype=torch.float64)
    twice = damped_series(again, xi, scalar(first))
    torch.testing.assert_close(twice, damped_series(series, xi, scalar(first * second)), **EXACT)


@pytest.mark.parametrize("degree", [1, 4, 15])
@pytest.mark.parametrize("rho", RHO)
@pytest.mark.parametrize(("mean", "scale"), UNITS)
def test_variance_shrinks_at_least_by_rho_squared(gauss_hermite, mean, scale, rho, degree):
    nodes, weights = gauss_hermite(40)
    smoothed = damped_series(relu_coefficients(degree, *unit(mean, scale)), nodes, scalar(rho))
    average = (weights * smoothed).sum()
    variance = (weights * (smoothed - average) ** 2).sum().item()
    before = relu_variance(mean, scale)
    assert variance <= rho**2 * before + 1e-10 * before
    linear = relu_coefficients(1, *unit(mean, scale))[1].item()
    assert variance >= rho**2 * linear**2 - 1e-10 * before, "the linear part keeps rho^2 of its variance"
    mean_before = relu_coefficients(1, *unit(mean, scale))[0].item()
    assert average.item() == pytest.approx(mean_before, abs=1e-10), "the mean is kept"


@pytest.mark.parametrize("rho", [0.4, 0.9])
@pytest.mark.parametrize(("mean", "scale"), UNITS)
def test_the_truncated_variance_is_the_series_tail_and_shrinks(mean, scale, rho):
    """Against U_rho of the whole ReLU, over a fine grid under the normal density."""
    xi = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    weight = distributions.Normal(0.0, 1.0).log_prob(xi).exp()
    weight = weight / weight.sum()
    series = relu_coefficients(200, *unit(mean, scale))
    errors = []
    for degree in (1, 2, 4, 8, 16):
        difference = damped_series(series[: degree + 1], xi, scalar(rho)) - smoothed_relu(
            mean, scale, rho, xi
        )
        errors.append((weight * difference**2).sum().item())
        tail = sum((rho**n * series[n].item()) ** 2 for n in range(degree + 1, 201))
        assert errors[-1] == pytest.approx(tail, rel=1e-6, abs=1e-16)
    assert all(later < earlier for earlier, later in zip(errors[:-1], errors[1:], strict=True))


def test_degree_eight_leaves_out_half_a_percent_of_a_centred_relu():
    kept = sum(c.item() ** 2 for c in relu_coefficients(8, *unit(0.0, 1.0))[1:])
    assert 1 - kept / relu_variance(0.0, 1.0) == pytest.approx(0.005, abs=5e-4)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_first_layer_agrees_with_the_operator_of_many_draws(rho):
    draws, batch, size, width = 100_000, 3, 4, 5
    generator = torch.Generator().manual_seed(2)
    affine = nn.Linear(size, width, dtype=torch.float64)
    with torch.no_grad():
        for parameter in affine.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        mean, log_scale, eps = torch.randn(3, batch, size, generator=generator, dtype=torch.float64)
        scale = log_scale.exp()
        omega = torch.randn(draws, batch, size, generator=generator, dtype=torch.float64)
        values = []

        def first_layer(z):
            values.append(torch.relu(affine(z)))
            return values[-1]

        z = mean + scale * eps
        estimate = smooth(first_layer, "posterior", z, scale, eps, omega, scalar(rho))
        series = smoothed_units(affine, mean, scale, eps, scalar(rho), 60)
    error = values[-1].std(0) / math.sqrt(draws)
    assert ((estimate - series).abs() < 5 * error + 1e-5).all()
    if rho:
        plain = torch.relu(affine(z))
        assert ((estimate - plain).abs() > 20 * error).any(), "the draws can tell U_rho from no smoothing"


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_gradients_of_the_units_are_finite_differences(rho):
    generator = torch.Generator().manual_seed(4)

    def value(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    eps = value(2, 5, 3).detach()

    def units(weight, bias, mean, log_scale):
        affine = SimpleNamespace(weight=weight, bias=bias)
        return smoothed_units(affine, mean, log_scale.exp(), eps, scalar(rho), 7)

    assert torch.autograd.gradcheck(units, (value(4, 3), value(4), value(5, 3), value(5, 3)))


@pytest.mark.parametrize("rho", [None, 0.5, 1.0])
def test_gradients_of_the_loss_are_finite_differences(case, draw, rho):
    case = case(latents=(2,), hidden=(4, 3))
    model = initial_model(case, (PIXELS,), seed=1)
    x, noise = images(3), draw(case, 3)
    strength = None if rho is None else scalar(rho)
    names, values = zip(*model.named_parameters(), strict=True)

    def value(*parameters):
        stated = dict(zip(names, parameters, strict=True))
        return loss(case, functional_call(model, stated, (x, noise, strength)))

    assert torch.autograd.gradcheck(value, values)


@pytest.mark.parametrize("degree", [1, 8])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_rho_one_is_the_plain_vae_of_one_layer(case, draw, precision, degree):
    dtype = getattr(torch, precision)
    hermite = case(precision=precision, hermite_degree=degree, hidden=(8, 6))
    plain = hermite.model_copy(update={"system": "vae", "smoothed_networks": (), "hermite_degree": None})
    x, noise = images(7, dtype=dtype), draw(hermite, 7)
    actual = []
    for which, rho in ((plain, None), (hermite, None), (hermite, scalar(1.0, dtype))):
        model = initial_model(which, (PIXELS,), seed=0)
        terms = model(x, noise, rho)
        gradients = torch.autograd.grad(loss(which, terms), list(model.parameters()))
        actual.append([*model.parameters(), *terms[:2], *terms.means, *gradients])
    for other in actual[1:]:
        assert all(map(are_alike, actual[0], other))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_rho_one_is_plain_in_a_pack_of_mixed_rho(case, draw, precision):
    case = case(precision=precision)
    x, noise = images(7, dtype=getattr(torch, precision)), draw(case, 7)
    assert rho_one_is_plain(case, (PIXELS,), x, noise) == (True, False)


@pytest.mark.parametrize("rho", RHO)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_units_without_noise_are_plain_and_have_finite_gradients(precision, rho):
    """Rows of zero weights, zero scales, and scales whose squares or quotients overflow or vanish."""
    dtype = getattr(torch, precision)
    affine = nn.Linear(3, 4, dtype=dtype)
    with torch.no_grad():
        affine.weight[1:3] = 0
        affine.bias.copy_(torch.tensor([0.3, 0.0, 2.0, -1.0]))
    mean = torch.tensor([[0.2, -3.0, 50.0], [0.0, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    tiny = torch.finfo(dtype).tiny
    for size in (0.0, tiny, 2 * tiny**0.5, 20 * tiny**0.5, 3 * tiny**0.25, 1.0):
        scale = torch.full((2, 3), size, dtype=dtype, requires_grad=True)
        eps = torch.tensor([[1.5, -0.5, 2.0], [-3.0, 0.0, 1.0]], dtype=dtype)
        units = smoothed_units(affine, mean, scale, eps, scalar(rho, dtype), 12)
        plain = torch.relu(affine(mean))
        still = slice(1, 3) if size == 1 else slice(0, 4)
        torch.testing.assert_close(units[:, still], plain[:, still], rtol=1e-6, atol=1e-7)
        for gradient in torch.autograd.grad(units.sum(), (mean, scale, *affine.parameters())):
            assert gradient.isfinite().all()


def test_the_only_noise_is_the_latents_and_ou_samples_have_no_effect(case, draw):
    few, many = (case(ou_samples=count) for count in (1, 9))
    noise = draw(few, 5)
    assert [tuple(eps.shape) for eps in noise.base] == [(5, 3)]
    assert noise[1:] == ((), (), ())
    values = [initial_model(c, (PIXELS,), 0)(images(5), draw(c, 5), scalar(0.5)) for c in (few, many)]
    assert torch.equal(values[0].log_likelihood, values[1].log_likelihood)


def test_rho_zero_forgets_the_noise_only_in_the_likelihood(case, draw):
    model, noise = initial_model(case(), (PIXELS,), seed=0), draw(case(), 7)
    other = noise._replace(base=(-2 * noise.base[0],))
    pairs = [[model(images(7), n, scalar(rho), False) for n in (noise, other)] for rho in (0.0, 0.5)]
    (forgets, forgets_too), (keeps, keeps_not) = pairs
    assert torch.equal(forgets.log_likelihood, forgets_too.log_likelihood)
    assert not torch.equal(keeps.log_likelihood, keeps_not.log_likelihood)
    assert torch.equal(forgets.kl, keeps.kl)
    assert not torch.equal(forgets.kl, forgets_too.kl)


def test_with_one_hidden_layer_the_smoothed_network_is_u_rho_of_the_network(case, draw):
    """The head is affine, so U_rho of the units is U_rho of the network, as many draws confirm."""
    case = case(latents=(2,), hidden=(6,), hermite_degree=60)
    model, rho = initial_model(case, (PIXELS,), seed=0), 0.7
    noise, x, seen = draw(case, 4), images(4), []
    model.likelihood[-1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model(x, noise, scalar(rho))
        mean, log_scale = model.inference[0](x).chunk(2, -1)
        scale, eps = log_scale.exp(), noise.base[0]
        draws = 100_000
        generator = torch.Generator().manual_seed(6)
        omega = torch.randn(draws, 4, 2, generator=generator, dtype=torch.float64)
        network, exact = model.likelihood, seen[0]
        estimate = smooth(network, "posterior", mean + scale * eps, scale, eps, omega, scalar(rho))
        error = seen[-1].std(0) / math.sqrt(draws)
    assert ((estimate - exact).abs() < 5 * error + 1e-9).all()
