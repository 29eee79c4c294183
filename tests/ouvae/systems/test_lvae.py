"""The ladder VAE: its merge, its terms against exact evidence, and the dependences between layers."""

import pytest
import torch
from torch import distributions

from ouvae.parts.distributions import LOG_SCALE_LIMIT
from ouvae.systems import Draws
from ouvae.systems.lvae import merge
from ouvae.training.pack import initial_model
from tests.ouvae.tensors import gaussian, images

PIXELS = 12
TIGHT = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture
def ladder(make_cell):
    """Return a factory of a model and its cell."""

    def build(latents, **changes):
        case = make_cell(system="lvae", smoothed_networks=(), latents=latents, **changes)
        return initial_model(case, (PIXELS,), seed=0), case

    return build


@pytest.mark.parametrize(
    ("first", "second"), [((0.0, 0.0), (0.0, 0.0)), ((1.0, -0.5), (-0.4, 0.3)), ((-2.0, 1.2), (0.3, -1.0))]
)
def test_the_merge_is_the_normalised_product_of_the_densities(first, second):
    """Pointwise on a grid that is wide and fine enough for the sum to be the integral."""
    parameters = [torch.tensor(value, dtype=torch.float64) for value in (*first, *second)]
    z = torch.linspace(-15, 15, 6001, dtype=torch.float64)

    def density(mean, log_scale):
        return distributions.Normal(mean, log_scale.exp()).log_prob(z).exp()

    product = density(*parameters[:2]) * density(*parameters[2:])
    product = product / (product.sum() * (z[1] - z[0]))
    torch.testing.assert_close(density(*merge(*parameters)), product, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("log_scale", [60.0, 1e4, float("inf")])
def test_a_gaussian_without_precision_leaves_the_other_unchanged(log_scale):
    wide = torch.tensor(7.0), torch.tensor(log_scale)
    other = torch.tensor(-0.3), torch.tensor(0.4)
    assert torch.equal(torch.stack(merge(*wide, *other)), torch.stack(other))
    torch.testing.assert_close(torch.stack(merge(*other, *wide)), torch.stack(other), rtol=1e-6, atol=1e-6)


def test_the_merge_is_symmetric_and_finite_with_finite_gradients_far_out():
    """In float32, where exp(-2 log_scale) would overflow or vanish."""
    log_scales = torch.tensor([-80.0, -50.0, 0.0, 50.0, 80.0])
    first, second = (
        part.flatten().requires_grad_() for part in torch.meshgrid(log_scales, log_scales, indexing="ij")
    )
    means = torch.full_like(first, 2.0), torch.full_like(first, -1.0)
    merged = merge(means[0], first, means[1], second)
    swapped = merge(means[1], second, means[0], first)
    torch.testing.assert_close(merged, swapped)
    assert all(part.isfinite().all() for part in merged)
    assert (merged[1] <= torch.minimum(first, second)).all()
    for gradient in torch.autograd.grad(sum(part.sum() for part in merged), (first, second)):
        assert gradient.isfinite().all()


def test_the_generative_model_is_the_vaes(ladder, make_cell):
    model, _ = ladder((4, 3, 2))
    vae = initial_model(make_cell(latents=(4, 3, 2)), (PIXELS,), seed=0)

    def shapes(part):
        return [parameter.shape for parameter in part.parameters()]

    assert shapes(model.generative) == shapes(vae.generative)
    assert shapes(model.likelihood) == shapes(vae.likelihood)


def test_the_kl_vanishes_without_information_in_the_features(ladder, draw):
    """As the bottom-up precision of z_1 goes to zero, its posterior becomes its prior; z_2 is unchanged."""
    model, case = ladder((3, 2))
    noise, x = draw(case, 7), images(7)
    before = model(x, noise).kl
    actual = []
    for log_scale in (0.0, 2.0, 4.0, LOG_SCALE_LIMIT):
        with torch.no_grad():
            model.heads[0].bias[3:] = log_scale
        terms = model(x, noise)
        assert torch.equal(terms.kl[1], before[1])
        actual.append(terms.kl[0].mean().item())
        sampled = model(x, noise, None, False)
    assert actual == sorted(actual, reverse=True)
    assert actual[0] > 0.1
    assert abs(actual[-1]) < 1e-10
    assert sampled.kl[0].abs().max() < 1e-5


def test_the_terms_are_those_of_the_factorisation(ladder, draw):
    """Layer by layer with torch.distributions, the product of densities by its precisions."""
    model, case = ladder((4, 3, 2))
    noise, x = draw(case, 7), images(7)
    features, likelihoods = x, []
    for network, head in zip(model.features, model.heads, strict=True):
        features = network(features)
        likelihoods.append(gaussian(head(features)))
    closed, sampled = model(x, noise), model(x, noise, None, False)
    prior = distributions.Normal(torch.zeros(2, dtype=torch.float64), 1.0)
    posterior, z = likelihoods[2], None
    for level in (2, 1, 0):
        if level < 2:
            prior = gaussian(model.generative[level](z))
            precision = likelihoods[level].variance.reciprocal() + prior.variance.reciprocal()
            weighted = likelihoods[level].mean / likelihoods[level].variance + prior.mean / prior.variance
            posterior = distributions.Normal(weighted / precision, precision.rsqrt())
        z = posterior.mean + posterior.stddev * noise.base[level]
        ratio = (posterior.log_prob(z) - prior.log_prob(z)).sum(-1)
        exact = distributions.kl_divergence(posterior, prior).sum(-1)
        torch.testing.assert_close(sampled.kl[level], ratio, **TIGHT)
        torch.testing.assert_close(closed.kl[level], exact, **TIGHT)
        torch.testing.assert_close(closed.means[level], posterior.mean, **TIGHT)
    pixels = distributions.Independent(distributions.Bernoulli(logits=model.likelihood(z)), 1)
    torch.testing.assert_close(closed.log_likelihood, pixels.log_prob(x), **TIGHT)


def test_importance_weights_average_to_the_exact_evidence(ladder):
    """E_q[p(x, z)/q(z|x)] is p(x), the likelihood averaged over draws of the generative model."""
    model = ladder((1, 1), activation="tanh")[0]
    nodes = torch.linspace(-12, 12, 121, dtype=torch.float64)
    weights = distributions.Normal(0.0, 1.0).log_prob(nodes)
    weights = weights - weights.logsumexp(0)
    pairs = torch.cartesian_prod(nodes, nodes)
    log_weights = (weights[:, None] + weights).flatten()
    x = images(4)
    with torch.no_grad():
        model.likelihood[-1].weight.mul_(3)
        for network in model.generative:
            network[-1].weight.mul_(3)
        base = tuple(eps.view(-1, 1, 1).expand(-1, len(x), -1) for eps in (pairs[:, :1], pairs[:, 1:]))
        terms = model(x, Draws(base, (), (), ()), None, False)
        bound = terms.log_likelihood - terms.kl.sum(0)
        prior = gaussian(model.generative[0](pairs[:, 1:]))
        logits = model.likelihood(prior.mean + prior.stddev * pairs[:, :1])
        densities = distributions.Bernoulli(logits=logits).log_prob(x[:, None]).sum(-1)
    evidence = (densities + log_weights).logsumexp(-1)
    torch.testing.assert_close((bound.T + log_weights).logsumexp(-1), evidence, rtol=0, atol=1e-6)
    elbo = bound.T @ log_weights.exp()
    assert (elbo < evidence - 1e-2).all()


def test_noise_flows_only_downwards(ladder, draw):
    """A layer's noise changes the layers below, which are drawn given this layer, and none above."""
    model, case = ladder((4, 3, 3, 2))
    noise, x = draw(case, 7), images(7)
    before = model(x, noise)
    for level in range(4):
        base = tuple(eps + (index == level) for index, eps in enumerate(noise.base))
        after = model(x, noise._replace(base=base))
        assert not torch.equal(after.log_likelihood, before.log_likelihood)
        changed = [not torch.equal(*pair) for pair in zip(after.means, before.means, strict=True)]
        assert changed == [index < level for index in range(4)]


def test_bottom_up_work_is_done_once_for_all_importance_samples(ladder, draw):
    model, case = ladder((3, 2))
    rows = []
    for network in model.features:
        network.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[:-1]))
    noise = draw(case, 7)
    many = Draws(tuple(eps.expand(5, 7, -1) for eps in noise.base), (), (), ())
    terms = model(images(7), many, None, False)
    assert rows == [(7,), (7,)]
    alone = model(images(7), noise, None, False)
    torch.testing.assert_close(terms.kl, alone.kl[:, None].expand(2, 5, 7), **TIGHT)
