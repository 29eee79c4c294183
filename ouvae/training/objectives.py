"""Training objectives: what is made of a system's terms. All in nats, as a loss to be minimised."""

import math

from torch import Tensor

from ouvae.declared import Cell
from ouvae.systems.base import Terms


def loss(cell: Cell, terms: Terms, kl_weight: float = 1.0) -> Tensor:
    """Return the loss of a minibatch, a scalar: minus the objective of `cell`.

    Args:
        cell: names the objective.
        terms: of the minibatch; with `importance_samples` > 1 they have the axis I and no closed forms.
        kl_weight: of all layers' KL, below 1 during KL warm-up.
    """
    if cell.objective == "iwae":
        return importance_weighted(terms, kl_weight)
    if cell.objective == "free_bits":
        return free_bits(terms, cell.free_bits_nats, kl_weight)
    return elbo(terms, kl_weight)


def elbo(terms: Terms, kl_weight: float = 1.0) -> Tensor:
    """Return minus the ELBO."""
    return kl_weight * terms.kl.sum(0).mean(-1) - terms.log_likelihood.mean(-1)


def importance_weighted(terms: Terms, kl_weight: float = 1.0) -> Tensor:
    """Return minus the importance weighted bound over all layers, -log mean_I p(x, z)/q(z|x).

    Burda et al. 2016, equation 8. With one sample it is the ELBO.
    """
    if terms.log_likelihood.dim() == 1:
        return elbo(terms, kl_weight)
    log_weights = terms.log_likelihood - kl_weight * terms.kl.sum(0)
    return math.log(len(log_weights)) - log_weights.logsumexp(0).mean(-1)


def free_bits(terms: Terms, bits_nats: float, kl_weight: float = 1.0) -> Tensor:
    """Return minus the ELBO in which a layer's KL, averaged over the minibatch, costs at least `bits_nats`.

    Kingma et al. 2016, equation 15, with a layer as the group. Zero nats are the ELBO, also where one
    draw's estimate of a KL is negative.
    """
    kl = terms.kl.mean(-1)
    if bits_nats > 0:
        kl = kl.clamp_min(bits_nats)
    return kl_weight * kl.sum(0) - terms.log_likelihood.mean(-1)
