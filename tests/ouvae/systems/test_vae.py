"""The hierarchical VAE: its bound against exact evidence, and rho = 1 against the plain model."""

import itertools
import math

import pytest
import torch
from torch import distributions

from ouvae.systems import Draws, draw_shapes
from ouvae.training.pack import initial_model
from tests.ouvae.packs import rho_one_is_plain
from tests.ouvae.tensors import are_alike, images

NETWORKS = ("generative", "inference", "likelihood")
SUBSETS = [chosen for size in range(4) for chosen in itertools.combinations(NETWORKS, size)]
SIZES = (4, 3, 2, 3)
PIXELS = 12
TIGHT = {"rtol": 1e-11, "atol": 1e-11}


def loss_of(terms):
    return (terms.kl.sum(0) - terms.log_likelihood).mean()


def everything(model, x, draws, rho):
    """Return log likelihood, KLs, means, loss and gradients of one forward pass."""
    terms = model(x, draws, rho)
    loss = loss_of(terms)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return [terms.log_likelihood, terms.kl, *terms.means, loss, *gradients]


def test_scales_that_multiply_up_a_deep_stack_stay_finite(make_cell, draw):
    """Scales of exp(30) at each of five layers: finite bounds and gradients in float32, single draws too."""
    case = make_cell(latents=(4, 4, 4, 4, 4), precision="float32")
    model = initial_model(case, (PIXELS,), seed=0)
    with torch.no_grad():
        for network in model.inference:
            network[-1].bias[4:] = 30
    terms = model(images(7, dtype=torch.float32), draw(case, 7), None, False)
    gradients = torch.autograd.grad(loss_of(terms), list(model.parameters()))
    assert all(tensor.isfinite().all() for tensor in [terms.kl, terms.log_likelihood, *gradients])


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_rho_one_is_the_plain_vae(make_cell, draw, precision, depth):
    dtype = getattr(torch, precision)
    for form, subset, (draws, batch, architecture) in itertools.product(
        ("posterior", "ambient", "shrink"), SUBSETS, [(1, 7, "mlp"), (5, 7, "mlp"), (5, 100, "affine")]
    ):
        case = make_cell(
            architecture=architecture,
            latents=SIZES[:depth],
            smoothing=form,
            smoothed_networks=subset,
            ou_samples=draws,
            precision=precision,
        )
        model = initial_model(case, (PIXELS,), seed=0)
        x, noise = images(batch, dtype=dtype), draw(case, batch)
        plain = everything(model, x, noise, None)
        smoothed = everything(model, x, noise, torch.tensor(1, dtype=dtype))
        assert all(map(are_alike, plain, smoothed)), (case, batch)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("form", ["posterior", "ambient", "shrink"])
def test_rho_one_is_the_plain_vae_in_a_pack_of_mixed_rho(make_cell, draw, form, precision):
    dtype = getattr(torch, precision)
    for subset, depth, (draws, batch) in itertools.product(SUBSETS, (1, 3), [(1, 7), (5, 40)]):
        case = make_cell(
            latents=SIZES[:depth],
            smoothing=form,
            smoothed_networks=subset,
            ou_samples=draws,
            precision=precision,
        )
        x, noise = images(batch, dtype=dtype), draw(case, batch)
        agree, others_agree = rho_one_is_plain(case, (PIXELS,), x, noise)
        assert agree, case
        acts = draw_shapes(case.model_copy(update={"smoothing": "posterior"}), (batch,))[1:]
        if any(acts) and (form != "shrink" or draws > 1):
            assert not others_agree, "smoothing changes the others"


def test_smoothing_acts_only_on_the_chosen_networks(make_cell, draw):
    plain_case = make_cell(latents=SIZES[:3], smoothed_networks=NETWORKS)
    model = initial_model(plain_case, (PIXELS,), seed=0)
    noise, x, rho = draw(plain_case, 7), images(7), torch.tensor(0.5, dtype=torch.float64)
    plain = model(x, noise)

    def changed(**kept):
        emptied = {name: () for name in NETWORKS if name not in kept}
        terms = model(x, noise._replace(**emptied), rho)
        pairs = {
            "log_likelihood": (plain.log_likelihood, terms.log_likelihood),
            "lower_kl": (plain.kl[:-1], terms.kl[:-1]),
            "top_kl": (plain.kl[-1], terms.kl[-1]),
            "upper_means": (torch.cat(plain.means[1:], 1), torch.cat(terms.means[1:], 1)),
        }
        return {name for name, (before, after) in pairs.items() if not torch.equal(before, after)}

    assert changed() == set()
    assert changed(likelihood=True) == {"log_likelihood"}
    assert changed(generative=True) == {"lower_kl"}
    assert changed(inference=True) == {"lower_kl", "top_kl", "upper_means"}


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_the_networks_read_noise_with_correlation_rho_to_the_layers_noise(make_cell, draw, rho):
    """Each smoothed network reads its layer's posterior with the noise rho eps + sqrt(1 - rho^2) omega."""
    case = make_cell(latents=SIZES[:3], smoothed_networks=NETWORKS)
    model, noise = initial_model(case, (PIXELS,), seed=0), draw(case, 7)
    seen, parameters_of = {}, {}

    def record(name, network):
        network[0].register_forward_hook(lambda module, inputs, output: seen.update({name: inputs[0]}))
        network[-1].register_forward_hook(lambda module, inputs, output: parameters_of.update({name: output}))

    for index, module in enumerate(model.inference):
        record(f"inference {index}", module)
    for index, module in enumerate(model.generative):
        record(f"generative {index}", module)
    record("likelihood", model.likelihood)
    model(images(7), noise, torch.tensor(rho, dtype=torch.float64))

    layers = []
    for index in range(3):
        mean, log_scale = parameters_of[f"inference {index}"].chunk(2, -1)
        layers.append((mean, log_scale.exp()))
    fed = {
        "likelihood": (0, noise.likelihood[0]),
        "inference 1": (0, noise.inference[0]),
        "inference 2": (1, noise.inference[1]),
        "generative 0": (1, noise.generative[0]),
        "generative 1": (2, noise.generative[1]),
    }
    for name, (layer, omega) in fed.items():
        mean, scale = layers[layer]
        standardised = (seen[name] - mean) / scale
        expected = rho * noise.base[layer] + math.sqrt(1 - rho**2) * omega
        torch.testing.assert_close(standardised, expected, **TIGHT)


@pytest.mark.parametrize("rho", [0.0, 0.7])
@pytest.mark.parametrize("subset", SUBSETS)
def test_shrink_scales_the_noise_of_the_chosen_networks_only(make_cell, draw, subset, rho):
    """Each network is evaluated once, at its layer's mean + sqrt(share) * scale * eps; nothing is drawn."""
    case = make_cell(latents=SIZES[:3], smoothed_networks=subset, smoothing="shrink", ou_samples=4)
    shapes = draw_shapes(case, (7,))
    assert (shapes.generative, shapes.likelihood, shapes.inference) == ((), (), ())
    model, noise = initial_model(case, (PIXELS,), seed=0), draw(case, 7)
    calls = []
    for network in [*model.inference, *model.generative, model.likelihood]:
        network.register_forward_hook(lambda module, inputs, output: calls.append((module, *inputs, output)))
    model(images(7), noise, torch.tensor(rho, dtype=torch.float64))
    seen = {module: inputs for module, inputs, _ in calls}
    assert len(seen) == len(calls) == 6
    parameters_of = {module: output.chunk(2, -1) for module, _, output in calls}
    layers = [(mean, log_scale.exp()) for mean, log_scale in map(parameters_of.get, model.inference)]
    above = {
        "likelihood": [(model.likelihood, 0)],
        "inference": [(model.inference[1], 0), (model.inference[2], 1)],
        "generative": [(model.generative[0], 1), (model.generative[1], 2)],
    }
    for name, networks in above.items():
        share = rho**2 + (1 - rho**2) / 4 if name in subset else 1
        for network, layer in networks:
            mean, scale = layers[layer]
            expected = mean + math.sqrt(share) * scale * noise.base[layer]
            torch.testing.assert_close(seen[network], expected, **TIGHT)


def test_the_terms_are_those_of_the_factorisation(make_cell, draw):
    """log p(x, z) - log q(z|x), written out with torch.distributions layer by layer."""
    case = make_cell(latents=SIZES[:3])
    model, noise, x = initial_model(case, (PIXELS,), seed=0), draw(case, 7), images(7)

    def gaussian(parameters):
        mean, log_scale = parameters.chunk(2, -1)
        return distributions.Independent(distributions.Normal(mean, log_scale.exp()), 1)

    below, z, q = x, [], []
    for network, eps in zip(model.inference, noise.base, strict=True):
        q.append(gaussian(network(below)))
        below = q[-1].mean + q[-1].base_dist.scale * eps
        z.append(below)
    terms = model(x, noise)
    pixels = distributions.Independent(distributions.Bernoulli(logits=model.likelihood(z[0])), 1)
    torch.testing.assert_close(terms.log_likelihood, pixels.log_prob(x), **TIGHT)
    for layer in range(2):
        prior = gaussian(model.generative[layer](z[layer + 1]))
        ratio = q[layer].log_prob(z[layer]) - prior.log_prob(z[layer])
        torch.testing.assert_close(terms.kl[layer], ratio, **TIGHT)
    standard = distributions.Normal(torch.zeros(SIZES[2], dtype=torch.float64), 1.0)
    exact = distributions.kl_divergence(q[2].base_dist, standard).sum(-1)
    torch.testing.assert_close(terms.kl[2], exact, **TIGHT)
    for mean, posterior in zip(terms.means, q, strict=True):
        torch.testing.assert_close(mean, posterior.mean, **TIGHT)


def elbo(model, x, base, weights):
    """Return E_q of the bound for x [N, D] by quadrature over base noise, [Q, d_l] per layer."""
    points = len(weights)
    repeated = x.repeat_interleave(points, 0)
    terms = model(repeated, Draws(tuple(eps.repeat(len(x), 1) for eps in base), (), (), ()))
    bound = (terms.log_likelihood - terms.kl.sum(0)).view(len(x), points)
    return bound @ weights


def grid(gauss_hermite, dimensions, count=4):
    """Return nodes [Q, dimensions] and weights [Q] of the product rule."""
    nodes, weights = gauss_hermite(count)
    points = torch.cartesian_prod(*[nodes] * dimensions).view(-1, dimensions)
    products = torch.cartesian_prod(*[weights] * dimensions).view(-1, dimensions)
    return points, products.prod(1)


def set_affine(network, weight, bias, variance):
    """Set N(weight input + bias, diag(variance)) by hand."""
    with torch.no_grad():
        network.mean.weight.copy_(weight)
        network.mean.bias.copy_(bias)
        network.log_scale.copy_(0.5 * variance.log())


def test_linear_model_with_its_exact_posterior_attains_the_log_evidence(linear, gauss_hermite):
    """x = W z + b + noise with orthogonal columns of W, so that the posterior is diagonal."""
    variance = 0.4
    weight = torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.3, 0.0]], dtype=torch.float64)
    bias = torch.tensor([0.2, -1.0, 0.5], dtype=torch.float64)
    model = initial_model(linear(latents=(2,), observation_variance=variance), (3,), seed=0)
    with torch.no_grad():
        model.likelihood.weight.copy_(weight)
        model.likelihood.bias.copy_(bias)
    posterior_variance = 1 / (1 + (weight**2).sum(0) / variance)
    encoder = posterior_variance[:, None] * weight.T / variance
    set_affine(model.inference[0], encoder, -encoder @ bias, posterior_variance)

    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    covariance = weight @ weight.T + variance * torch.eye(3, dtype=torch.float64)
    evidence = distributions.MultivariateNormal(bias, covariance).log_prob(x)
    points, weights = grid(gauss_hermite, 2)
    torch.testing.assert_close(elbo(model, x, [points], weights), evidence, **TIGHT)

    with torch.no_grad():
        model.inference[0].log_scale += 0.3
    assert (elbo(model, x, [points], weights) < evidence - 1e-3).all()


def test_two_linear_layers_with_their_exact_posterior_attain_the_log_evidence(linear, gauss_hermite):
    """z_2 -> z_1 -> x: q(z_1|x) and q(z_2|z_1) are the exact conditionals, since z_2 meets x by z_1."""
    slope, offset, inner = 1.3, 0.4, 0.6
    loading, shift, outer = torch.tensor([[0.8], [-1.1]], dtype=torch.float64), 0.3, 0.5
    case = linear(latents=(1, 1), observation_variance=outer)
    model = initial_model(case, (2,), seed=0)

    def tensor(*values):
        return torch.tensor(values, dtype=torch.float64)

    with torch.no_grad():
        model.likelihood.weight.copy_(loading)
        model.likelihood.bias.fill_(shift)
    set_affine(model.generative[0], tensor(slope), tensor(offset), tensor(inner))
    marginal = inner + slope**2
    variance = 1 / (1 / marginal + (loading**2).sum() / outer)
    encoder = variance * loading.T / outer
    set_affine(model.inference[0], encoder, variance * offset / marginal - (encoder * shift).sum(1), variance)
    upper = 1 / (1 + slope**2 / inner)
    set_affine(
        model.inference[1],
        tensor(upper * slope / inner),
        tensor(-upper * slope / inner * offset),
        tensor(upper),
    )

    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean = loading[:, 0] * offset + shift
    covariance = marginal * loading @ loading.T + outer * torch.eye(2, dtype=torch.float64)
    evidence = distributions.MultivariateNormal(mean, covariance).log_prob(x)
    points, weights = grid(gauss_hermite, 2)
    base = [points[:, :1], points[:, 1:]]
    torch.testing.assert_close(elbo(model, x, base, weights), evidence, **TIGHT)


def test_bernoulli_bound_stays_below_the_exact_log_evidence(make_cell, gauss_hermite):
    """The evidence of a one-latent model by quadrature over its prior."""
    model = initial_model(make_cell(latents=(1,)), (PIXELS,), seed=0)
    with torch.no_grad():
        model.likelihood[-1].weight.mul_(3)
    x = images(6)
    nodes, weights = gauss_hermite(60)
    logits = model.likelihood(nodes[:, None]).detach()
    pixels = distributions.Independent(distributions.Bernoulli(logits=logits), 1)
    evidence = torch.logsumexp(weights.log()[:, None] + pixels.log_prob(x[:, None]).T, 0)
    bound = elbo(model, x, [nodes[:, None]], weights)
    assert (bound < evidence).all()
    assert (bound > evidence - 5).all()
