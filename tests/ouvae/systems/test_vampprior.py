"""The VampPrior: its prior is a mixture of its posteriors, and its weights average to the evidence."""

import math

import pytest
import torch
from torch import distributions

from ouvae.systems import Draws, vampprior
from ouvae.systems.vampprior import mixture_log_density
from ouvae.training.pack import initial_model
from ouvae.training.step.objectives import loss
from tests.ouvae.tensors import images

PIXELS = 12
TIGHT = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture
def case(make_cell):
    """Return a factory of cells of a small VampPrior model."""
    vamp = {"system": "vampprior", "latents": (3, 2), "smoothed_networks": (), "pseudo_inputs": 4}
    return lambda **changes: make_cell(**{**vamp, **changes})


def noise(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def gaussian(parameters):
    mean, log_scale = parameters.chunk(2, -1)
    return distributions.Independent(distributions.Normal(mean, log_scale.exp()), 1)


def spread(model, size=3.0):
    """Make the posteriors of the pseudo-inputs differ, as they do in a trained model."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        head = model.upper_posterior[-1]
        head.weight.copy_(size * torch.randn(head.weight.shape, generator=generator, dtype=torch.float64))
        head.weight[len(head.weight) // 2 :] *= 0.1
    return model


def test_the_pseudo_inputs_are_images_and_differ_between_seeds(case):
    first, again, other = (initial_model(case(), (PIXELS,), seed).pseudo_inputs() for seed in (0, 0, 1))
    assert first.shape == (4, PIXELS)
    assert ((first > 0) & (first < 1)).all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(row) for row in first.tolist()}) == 4


def test_with_one_pseudo_input_the_prior_is_its_posterior(case):
    model = spread(initial_model(case(pseudo_inputs=1), (PIXELS,), seed=0))
    z = noise(torch.Generator().manual_seed(1), 3, 6, 2)
    posterior = gaussian(model.upper_posterior(model.pseudo_inputs()))
    torch.testing.assert_close(model.upper_log_prior(z), posterior.log_prob(z), **TIGHT)


def test_with_one_pseudo_input_an_equal_image_has_no_top_kl(case, draw):
    case = case(pseudo_inputs=1)
    model = spread(initial_model(case, (PIXELS,), seed=0))
    learned = model.pseudo_inputs().detach().expand(5, -1)
    terms = model(learned, draw(case, 5))
    torch.testing.assert_close(terms.kl[1], torch.zeros(5, dtype=torch.float64), **TIGHT)
    assert (terms.kl[0].abs() > 1e-3).all()
    assert (model(images(5), draw(case, 5)).kl[1].abs() > 1e-3).all()


def test_without_pseudo_inputs_only_the_prior_changes_to_standard_normal(case, draw):
    plain, vamp = (initial_model(case(pseudo_inputs=count), (PIXELS,), seed=0) for count in (0, 4))
    z = noise(torch.Generator().manual_seed(1), 3, 6, 2)
    normal = distributions.Independent(distributions.Normal(torch.zeros_like(z), 1.0), 1)
    torch.testing.assert_close(plain.upper_log_prior(z), normal.log_prob(z), **TIGHT)
    assert vamp.state_dict().keys() - plain.state_dict().keys() == {"pseudo_logits"}
    vamp.load_state_dict(plain.state_dict(), strict=False)
    ours, theirs = (model(images(5), draw(case(), 5)) for model in (plain, vamp))
    torch.testing.assert_close(ours.log_likelihood, theirs.log_likelihood, **TIGHT)
    torch.testing.assert_close(ours.kl[0], theirs.kl[0], **TIGHT)
    assert not torch.allclose(ours.kl[1], theirs.kl[1])


def test_the_prior_integrates_to_one(case):
    model = spread(initial_model(case(latents=(2, 1), pseudo_inputs=7), (PIXELS,), seed=0))
    grid = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    with torch.no_grad():
        means, log_scales = model.upper_posterior(model.pseudo_inputs()).chunk(2, -1)
        assert means.std() > 0.1, "the components differ"
        assert (means.abs() + 9 * log_scales.exp() < 40).all(), "the grid holds them"
        density = model.upper_log_prior(grid[:, None]).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-9)


def test_the_prior_is_the_mixture_of_the_posteriors_in_any_blocks(case, monkeypatch):
    model = spread(initial_model(case(pseudo_inputs=6), (PIXELS,), seed=0))
    z = noise(torch.Generator().manual_seed(1), 3, 5, 2)
    components = gaussian(model.upper_posterior(model.pseudo_inputs()))
    even = distributions.Categorical(logits=torch.zeros(6, dtype=torch.float64))
    exact = distributions.MixtureSameFamily(even, components).log_prob(z)
    for numbers in (2**22, 4 * z.numel(), 1):
        monkeypatch.setattr(vampprior, "MIXTURE_NUMBERS", numbers)
        torch.testing.assert_close(model.upper_log_prior(z), exact, **TIGHT)


def test_the_density_far_from_every_component_is_finite():
    mean = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    actual = mixture_log_density(torch.tensor([[500.0]], dtype=torch.float64), mean, 0 * mean)
    nearest = distributions.Normal(1.0, 1.0).log_prob(torch.tensor(500.0, dtype=torch.float64))
    assert actual.item() == pytest.approx(nearest.item() - math.log(2), abs=1e-9)


def test_permuting_the_pseudo_inputs_changes_nothing(case, draw):
    case = case(pseudo_inputs=5)
    model = spread(initial_model(case, (PIXELS,), seed=0))
    before = model(images(6), draw(case, 6))
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        model.pseudo_logits.copy_(model.pseudo_logits[order])
    after = model(images(6), draw(case, 6))
    torch.testing.assert_close(before.kl, after.kl, **TIGHT)
    with torch.no_grad():
        model.pseudo_logits[0] += 1
    assert not torch.allclose(model(images(6), draw(case, 6)).kl[1], after.kl[1])


def test_the_gradient_reaches_every_pseudo_input_by_finite_differences(case, draw):
    case = case(latents=(2, 1), pseudo_inputs=3)
    model = spread(initial_model(case, (PIXELS,), seed=0))
    x, eps = images(4), draw(case, 4)
    loss(case, model(x, eps)).backward()
    gradient, step = model.pseudo_logits.grad.clone(), 1e-5
    assert (gradient.abs().sum(1) > 0).all()
    for index in [(0, 0), (1, 5), (2, 11)]:
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                model.pseudo_logits[index] += sign * step
                values.append(loss(case, model(x, eps)).item())
                model.pseudo_logits[index] -= sign * step
        assert gradient[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("samples", [(), (6,)])
def test_the_posteriors_of_the_pseudo_inputs_are_made_once(case, samples):
    case = case(pseudo_inputs=4)
    model, seen = initial_model(case, (PIXELS,), seed=0), []
    model.upper_posterior.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    generator = torch.Generator().manual_seed(1)
    bases = tuple(noise(generator, *samples, 5, size) for size in case.latents)
    terms = model(images(5), Draws(bases, (), (), ()), None, False)
    assert terms.kl.shape == (2, *samples, 5)
    assert sorted(map(tuple, seen)) == [(4, PIXELS), (5, PIXELS)]


def test_the_terms_are_those_of_the_factorisation(case, draw):
    """q(z_2|x) q(z_1|x, z_2) and p(x|z_1, z_2) p(z_1|z_2) p(z_2), by torch.distributions."""
    case = case()
    model, eps, x = spread(initial_model(case, (PIXELS,), seed=0)), draw(case, 7), images(7)
    upper_posterior = gaussian(model.upper_posterior(x))
    upper = upper_posterior.mean + upper_posterior.stddev * eps.base[1]
    lower_posterior = gaussian(model.lower_posterior(x, upper))
    lower = lower_posterior.mean + lower_posterior.stddev * eps.base[0]
    pixels = distributions.Independent(distributions.Bernoulli(logits=model.likelihood(lower, upper)), 1)
    lower_prior = gaussian(model.lower_prior(upper))
    for closed_form in (True, False):
        terms = model(x, eps, None, closed_form)
        torch.testing.assert_close(terms.log_likelihood, pixels.log_prob(x), **TIGHT)
        lower_kl = lower_posterior.log_prob(lower) - lower_prior.log_prob(lower)
        upper_kl = upper_posterior.log_prob(upper) - model.upper_log_prior(upper)
        torch.testing.assert_close(terms.kl, torch.stack([lower_kl, upper_kl]), **TIGHT)
        torch.testing.assert_close(terms.means[0], lower_posterior.mean, **TIGHT)
        torch.testing.assert_close(terms.means[1], upper_posterior.mean, **TIGHT)


def test_two_inputs_are_not_merely_added(case):
    """The second difference of p(x|z_1, z_2)'s outputs over both inputs is not zero; each input matters."""
    model = initial_model(case(), (PIXELS,), seed=0)
    generator = torch.Generator().manual_seed(1)
    lower, upper = noise(generator, 2, 40, 3), noise(generator, 2, 40, 2)
    value = {(i, j): model.likelihood(3 * lower[i], 3 * upper[j]) for i in (0, 1) for j in (0, 1)}
    assert (value[1, 0] - value[0, 0]).abs().max() > 1e-2
    assert (value[0, 1] - value[0, 0]).abs().max() > 1e-2
    assert (value[1, 1] - value[1, 0] - value[0, 1] + value[0, 0]).abs().max() > 1e-2


def test_the_importance_weights_average_to_the_evidence(case, gauss_hermite):
    """log p(x) by quadrature: over z_1 given z_2, and over z_2 in each component of its prior."""
    case = case(latents=(1, 1), pseudo_inputs=3)
    model, x = spread(initial_model(case, (PIXELS,), seed=1), size=1.0), images(3)
    with torch.no_grad():
        model.likelihood.head.weight.mul_(3)
        nodes, weights = gauss_hermite(100)
        means, log_scales = model.upper_posterior(model.pseudo_inputs()).chunk(2, -1)
        upper = (means + log_scales.exp() * nodes).reshape(-1, 1, 1)
        prior_mean, prior_log_scale = model.lower_prior(upper).chunk(2, -1)
        lower = prior_mean + prior_log_scale.exp() * nodes[None, :, None]
        outputs = model.likelihood(lower, upper)
        pixels = distributions.Independent(distributions.Bernoulli(logits=outputs), 1)
        products = (weights.repeat(3)[:, None] * weights / 3).flatten()
        evidence = [(products @ pixels.log_prob(image).exp().flatten()).log() for image in x]
        count, generator = 200_000, torch.Generator().manual_seed(1)
        bases = tuple(noise(generator, count, 3, 1) for _ in range(2))
        terms = model(x, Draws(bases, (), (), ()), None, False)
    ratios = (terms.log_likelihood - terms.kl.sum(0) - torch.stack(evidence)).exp()
    assert ratios.std(0).max() < 20, "the weights have a variance to speak of"
    assert ((ratios.mean(0) - 1).abs() < 5 * ratios.std(0) / math.sqrt(count)).all()
    assert (ratios.log().mean(0) < 0).all(), "the ELBO is a lower bound"
