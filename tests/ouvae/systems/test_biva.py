"""BIVA: its terms against exact evidence, and the dependences between its variables."""

import math

import pytest
import torch
from torch import distributions

from ouvae.systems import Draws, draw_shapes
from ouvae.systems.biva import BIVA
from ouvae.training.pack import initial_model
from tests.ouvae.tensors import gaussian, images

PIXELS = 12
SIZES = (4, 3, 2)
TIGHT = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture
def biva(make_cell):
    """Return a factory of a model and its cell."""

    def build(latents=SIZES, image_shape=(PIXELS,), **changes):
        case = make_cell(system="biva", smoothed_networks=(), latents=latents, **changes)
        return initial_model(case, image_shape, seed=1), case

    return build


def test_a_layer_has_two_variables_and_the_top_one(biva):
    _, case = biva()
    assert BIVA.unit_counts(case) == (8, 6, 2)
    assert draw_shapes(case, (5, 7)).base == ((5, 7, 8), (5, 7, 6), (5, 7, 2))


def test_the_terms_are_those_of_the_factorisation(biva, draw):
    """Variable by variable with torch.distributions: inference first, the generative model at its draws."""
    model, case = biva()
    noise, x = draw(case, 7), images(7)
    closed, sampled = model(x, noise), model(x, noise, None, False)
    weight = 1 / 3

    up, q_b, b = [model.image(x)], [], []
    for index, level in enumerate(model.levels):
        q_b.append(gaussian(level.bottom_up(up[-1])))
        b.append(q_b[-1].mean + q_b[-1].stddev * noise.base[index].chunk(2, -1)[0])
        up.append(up[-1] + weight * level.up(up[-1] + level.up_latent(b[-1])))
    q_top = gaussian(model.top(up[-1]))
    standard = distributions.Normal(torch.zeros(2, dtype=torch.float64), 1.0)
    top = q_top.mean + q_top.stddev * noise.base[-1]
    exact = distributions.kl_divergence(q_top, standard).sum(-1)
    torch.testing.assert_close(closed.kl[2], exact, **TIGHT)
    torch.testing.assert_close(sampled.kl[2], (q_top.log_prob(top) - standard.log_prob(top)).sum(-1), **TIGHT)

    down = model.top_latent(top)
    for index in (1, 0):
        level = model.levels[index]
        prior = gaussian(level.prior(down))
        p_b, p_t = (
            distributions.Normal(mean, scale)
            for mean, scale in zip(prior.mean.chunk(2, -1), prior.stddev.chunk(2, -1), strict=True)
        )
        q_t = gaussian(level.top_down(level.merged(up[index] + down)))
        t = q_t.mean + q_t.stddev * noise.base[index].chunk(2, -1)[1]
        part_b = (q_b[index].log_prob(b[index]) - p_b.log_prob(b[index])).sum(-1)
        part_t = (q_t.log_prob(t) - p_t.log_prob(t)).sum(-1)
        torch.testing.assert_close(sampled.kl[index], part_b + part_t, **TIGHT)
        exact = distributions.kl_divergence(q_t, p_t).sum(-1)
        torch.testing.assert_close(closed.kl[index], part_b + exact, **TIGHT)
        torch.testing.assert_close(closed.means[index], torch.cat([q_b[index].mean, q_t.mean], -1), **TIGHT)
        down = down + weight * level.down(down + level.down_latent(torch.cat([b[index], t], -1)))
    pixels = distributions.Independent(distributions.Bernoulli(logits=model.likelihood(down)), 1)
    torch.testing.assert_close(closed.log_likelihood, pixels.log_prob(x), **TIGHT)


def test_importance_weights_average_to_the_exact_evidence(biva):
    """E_q[p(x, z)/q(z|x)] is p(x), the likelihood averaged over draws of the generative model."""
    model = biva((1, 1), activation="tanh")[0]
    nodes = torch.linspace(-9, 9, 61, dtype=torch.float64)
    weights = distributions.Normal(0.0, 1.0).log_prob(nodes)
    weights = weights - weights.logsumexp(0)
    points = torch.cartesian_prod(nodes, nodes, nodes)
    log_weights = torch.cartesian_prod(weights, weights, weights).sum(-1)
    lower, upper = points[:, :2], points[:, 2:]
    level = model.levels[0]
    x = images(3)
    with torch.no_grad():
        for head in (level.bottom_up, level.top_down, level.prior, model.likelihood):
            head.weight.mul_(2 if head is model.likelihood else 15)
        base = tuple(eps[:, None].expand(-1, len(x), -1) for eps in (lower, upper))
        terms = model(x, Draws(base, (), (), ()), None, False)
        bound = terms.log_likelihood - terms.kl.sum(0)
        down = model.top_latent(upper)
        prior = gaussian(level.prior(down))
        z = prior.mean + prior.stddev * lower
        logits = model.likelihood(down + 0.5 * level.down(down + level.down_latent(z)))
        densities = distributions.Bernoulli(logits=logits).log_prob(x[:, None]).sum(-1)
    evidence = (densities + log_weights).logsumexp(-1)
    torch.testing.assert_close((bound.T + log_weights).logsumexp(-1), evidence, rtol=0, atol=1e-5)
    elbo = bound.T @ log_weights.exp()
    assert (elbo < evidence - 1e-2).all()


def shifted(noise, level, part, sizes=SIZES):
    """Return the noise with one variable's noise moved: `part` 0 is bottom-up, 1 is top-down."""
    base = list(noise.base)
    move = torch.zeros_like(base[level])
    move[..., part * sizes[level] : (part + 1) * sizes[level]] = 1
    base[level] = base[level] + move
    return noise._replace(base=tuple(base))


@pytest.mark.parametrize("level", [0, 1])
def test_noise_of_a_top_down_variable_reaches_the_pixels_and_no_upper_layer(biva, draw, level):
    model, case = biva()
    noise, x = draw(case, 7), images(7)
    before, after = model(x, noise), model(x, shifted(noise, level, 1))
    assert not torch.equal(before.log_likelihood, after.log_likelihood)
    assert torch.equal(before.kl[level:], after.kl[level:])
    assert all(torch.equal(*pair) for pair in zip(before.means[level:], after.means[level:], strict=True))
    sizes = SIZES[:level]
    for size, low, high in zip(sizes, before.means, after.means, strict=False):
        assert torch.equal(low[:, :size], high[:, :size]), "a bottom-up posterior is given before"
        assert not torch.equal(low[:, size:], high[:, size:]), "a top-down posterior is given all above"
    assert not any(torch.equal(*pair) for pair in zip(before.kl[:level], after.kl[:level], strict=True))


@pytest.mark.parametrize("level", [0, 1])
def test_noise_of_a_bottom_up_variable_reaches_every_layer_above_and_the_pixels(biva, draw, level):
    model, case = biva()
    noise, x = draw(case, 7), images(7)
    before, after = model(x, noise), model(x, shifted(noise, level, 0))
    assert not torch.equal(before.log_likelihood, after.log_likelihood)
    for index in range(3):
        size = SIZES[index]
        same = torch.equal(before.means[index][:, :size], after.means[index][:, :size])
        assert same == (index <= level)


def test_a_prior_depends_only_on_the_layers_above(biva, draw):
    """The input of a layer's prior head, as the noise of each top-down variable moves."""
    model, case = biva((4, 3, 3, 2))
    noise, x = draw(case, 7), images(7)
    seen = {}
    for index, level in enumerate(model.levels):
        level.prior.register_forward_hook(
            lambda module, inputs, output, index=index: seen.update({index: inputs[0]})
        )

    def inputs(of):
        model(x, of)
        return dict(seen)

    before = inputs(noise)
    for moved in range(3):
        after = inputs(shifted(noise, moved, 1, (4, 3, 3)))
        changed = [index for index in range(3) if not torch.equal(before[index], after[index])]
        assert changed == [index for index in range(3) if index < moved]
    base = (*noise.base[:-1], noise.base[-1] + 1)
    after = inputs(noise._replace(base=base))
    assert not any(torch.equal(before[index], after[index]) for index in range(3))


def test_closed_forms_average_to_the_estimates_though_bottom_up_parts_have_none(biva):
    """In the total over many draws. A closed form for the bottom-up parts would be biased."""
    model, case = biva((2, 2))
    with torch.no_grad():
        for head in (model.levels[0].prior, model.levels[0].bottom_up, model.top):
            head.weight.mul_(4 if head is model.top else 15)
    count = 100_000
    generator = torch.Generator().manual_seed(1)
    base = tuple(
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in draw_shapes(case, (count, 1)).base
    )
    with torch.no_grad():
        closed, sampled = (
            (terms.log_likelihood - terms.kl.sum(0)).flatten()
            for terms in (model(images(1), Draws(base, (), (), ()), None, form) for form in (True, False))
        )
    difference = closed - sampled
    error = difference.std() / count**0.5
    assert difference.std() > 0.1
    assert difference.mean().abs() < 4 * error
    assert error < 0.01


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
@pytest.mark.parametrize("hidden", [(8,), (16, 16)])
def test_variables_of_a_new_deep_model_keep_their_size(biva, draw, architecture, hidden):
    """With 20 layers, whose top still depends on the image."""
    model, case = biva((2,) * 20, architecture=architecture, hidden=hidden, image_shape=(8, 8))
    noise, x = draw(case, 30), images(30, 64)
    terms = model(x, noise)
    assert terms.kl.mean(-1).abs().max() < 3
    assert (terms.log_likelihood.mean() + 64 * math.log(2)).abs() < 5
    others = model(1 - x, noise)
    assert (terms.means[-1] - others.means[-1]).abs().mean() > 1e-2


def test_the_lowest_bottom_up_features_are_made_once_for_all_importance_samples(biva, draw):
    model, case = biva((3, 2))
    rows = []
    model.image.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[:-1]))
    noise = draw(case, 7)
    many = Draws(tuple(eps.expand(5, 7, -1) for eps in noise.base), (), (), ())
    terms = model(images(7), many, None, False)
    assert rows == [(7,)]
    alone = model(images(7), noise, None, False)
    torch.testing.assert_close(terms.kl, alone.kl[:, None].expand(2, 5, 7), **TIGHT)
