"""Laws and known values of the objectives."""

import math

import pytest
import torch

from ouvae.systems import Terms
from ouvae.training.step.objectives import elbo, free_bits, importance_weighted, loss


@pytest.fixture
def terms():
    """Return terms of importance samples (None: without the axis) of 4 images and 3 layers."""

    def make(*samples: int) -> Terms:
        generator = torch.Generator().manual_seed(4)
        shape = (*samples, 4)
        log_likelihood = -torch.rand(shape, generator=generator, dtype=torch.float64)
        kl = torch.randn((3, *shape), generator=generator, dtype=torch.float64)
        return Terms(log_likelihood, kl, ())

    return make


def test_known_formulas_to_the_bit(terms):
    flat, many = terms(), terms(6)
    plain = 0.7 * flat.kl.sum(0).mean(-1) - flat.log_likelihood.mean(-1)
    assert torch.equal(elbo(flat, 0.7), plain)
    assert torch.equal(elbo(flat, 0.7, 1.0), plain)
    log_weights = many.log_likelihood - 0.7 * many.kl.sum(0)
    assert torch.equal(importance_weighted(many, 0.7, 1.0), math.log(6) - log_weights.logsumexp(0).mean(-1))
    least = flat.kl.mean(-1).clamp_min(0.2)
    assert torch.equal(free_bits(flat, 0.2, 0.7, 1.0), 0.7 * least.sum(0) - flat.log_likelihood.mean(-1))


@pytest.mark.parametrize("top", [0.0, 0.4, 2.0])
def test_the_top_layers_kl_has_both_weights(terms, top):
    """As the KLs [3, …] of another model whose last KL is larger by the weight."""
    flat, many = terms(), terms(6)
    weights = torch.tensor([1.0, 1.0, top], dtype=torch.float64)
    weighed = [some._replace(kl=torch.einsum("l,l...->l...", weights, some.kl)) for some in (flat, many)]
    close = {"rtol": 0, "atol": 1e-14}
    torch.testing.assert_close(elbo(flat, 0.7, top), elbo(weighed[0], 0.7), **close)
    torch.testing.assert_close(
        importance_weighted(many, 0.7, top), importance_weighted(weighed[1], 0.7), **close
    )
    changed = free_bits(flat, 0.2, 0.7, top) - free_bits(flat, 0.2, 0.7)
    torch.testing.assert_close(changed, 0.7 * (top - 1) * flat.kl[-1].mean().clamp_min(0.2), **close)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_with_one_sample_the_importance_weighted_bound_is_the_elbo(terms, weight):
    single = terms(1)
    flat = Terms(single.log_likelihood[0], single.kl[:, 0], ())
    assert torch.equal(importance_weighted(flat, weight, 0.4), elbo(flat, weight, 0.4))
    expected = elbo(flat, weight, 0.4)
    torch.testing.assert_close(importance_weighted(single, weight, 0.4), expected, rtol=0, atol=1e-14)


def test_the_importance_weighted_bound_is_the_log_of_the_mean_weight(terms):
    many = terms(6)
    weights = (many.log_likelihood - many.kl.sum(0)).exp()
    torch.testing.assert_close(-importance_weighted(many), weights.mean(0).log().mean())


def test_the_bound_is_above_the_mean_of_its_samples_elbos(terms):
    many = terms(6)
    singles = [Terms(many.log_likelihood[i], many.kl[:, i], ()) for i in range(6)]
    assert -importance_weighted(many) > -torch.stack([elbo(single) for single in singles]).mean()


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_zero_free_bits_give_the_elbo_even_for_negative_estimates(terms, weight):
    some = terms()
    assert (some.kl.mean(-1) < 0).any()
    torch.testing.assert_close(free_bits(some, 0.0, weight), elbo(some, weight), rtol=0, atol=1e-14)


def test_free_bits_stop_the_gradient_of_the_layers_below_them():
    kl = torch.tensor([[0.4, 0.2], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    log_likelihood = torch.tensor([-7.0, -9.0], dtype=torch.float64)
    value = free_bits(Terms(log_likelihood, kl, ()), 1.0)
    assert value.item() == pytest.approx(8.0 + 1.0 + 3.0)
    value.backward()
    assert kl.grad.tolist() == [[0.0, 0.0], [0.5, 0.5]]


@pytest.mark.parametrize(("weight", "top"), [(1.0, 1.0), (1.0, 0.3), (4.0, 0.3)])
def test_the_cell_names_the_objective_and_the_weights(make_cell, terms, weight, top):
    """`kl_weight` times the factor of warm-up is the weight of every layer."""
    flat, many = terms(), terms(5)
    weights = {"kl_weight": weight, "top_kl_weight": top}
    plain = make_cell(**weights)
    assert torch.equal(loss(plain, flat, 0.7), elbo(flat, 0.7 * weight, top))
    iwae = make_cell(objective="iwae", importance_samples=5, **weights)
    assert torch.equal(loss(iwae, many, 0.7), importance_weighted(many, 0.7 * weight, top))
    free = make_cell(objective="free_bits", free_bits_nats=2.0, **weights)
    assert torch.equal(loss(free, flat, 0.7), free_bits(flat, 2.0, 0.7 * weight, top))


@pytest.mark.parametrize("bits", [0.0, 0.2])
def test_values_of_a_member_replace_those_of_the_cell(make_cell, terms, bits):
    """Zero free bits give the ELBO here too."""
    some = terms()
    weights = {"kl_weight": 0.5, "top_kl_weight": 3.0, "free_bits_nats": bits}
    values = {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    expected = loss(make_cell(objective="free_bits", **weights), some, 0.7)
    actual = loss(make_cell(objective="free_bits"), some, 0.7, values)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-14)


def test_the_bound_of_equal_weights_is_the_weight():
    terms = Terms(torch.full((7, 2), -3.0), torch.full((2, 7, 2), 0.5), ())
    assert importance_weighted(terms).item() == pytest.approx(4.0)
    assert math.isfinite(importance_weighted(Terms(torch.full((3, 2), -4e4), terms.kl[:, :3], ())))
