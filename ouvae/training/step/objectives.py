"""Training objectives: from a system's terms to a loss in nats.

Each objective multiplies the layers' KLs by `kl_weight`, and the top layer's KL by `top_weight` as well.
"""

import math
from typing import TypeAlias

from torch import Tensor

from ouvae.declared import Cell
from ouvae.systems.base import Terms

Weight: TypeAlias = float | Tensor
"""The weight of a KL: a number, or a scalar tensor."""


def loss(cell: Cell, terms: Terms, kl_weight: Weight = 1.0) -> Tensor:
    """Return the loss of a minibatch, a scalar: minus the cell's objective.

    With `importance_samples` > 1 the terms have the axis I and no closed forms.
    """
    weights = kl_weight, cell.top_kl_weight
    if cell.objective == "iwae":
        return importance_weighted(terms, *weights)
    if cell.objective == "free_bits":
        return free_bits(terms, cell.free_bits_nats, *weights)
    return elbo(terms, *weights)


def elbo(terms: Terms, kl_weight: Weight = 1.0, top_weight: float = 1.0) -> Tensor:
    """Return minus the ELBO."""
    return kl_weight * _summed(terms.kl, top_weight).mean(-1) - terms.log_likelihood.mean(-1)


def importance_weighted(terms: Terms, kl_weight: Weight = 1.0, top_weight: float = 1.0) -> Tensor:
    """Return minus the importance weighted bound over all layers, -log mean_I p(x, z)/q(z|x).

    Burda et al. 2016, equation 8, with the weights in the logarithm of p(x, z)/q(z|x). One sample gives the
    ELBO.
    """
    if terms.log_likelihood.dim() == 1:
        return elbo(terms, kl_weight, top_weight)
    log_weights = terms.log_likelihood - kl_weight * _summed(terms.kl, top_weight)
    return math.log(len(log_weights)) - log_weights.logsumexp(0).mean(-1)


def free_bits(terms: Terms, bits_nats: float, kl_weight: Weight = 1.0, top_weight: float = 1.0) -> Tensor:
    """Return minus the ELBO in which a layer's KL, averaged over the minibatch, costs at least `bits_nats`.

    Kingma et al. 2016, equation 15, with a layer as the group. Zero nats give the ELBO, even if one draw's
    estimate of a KL is negative. The weights apply to a layer's cost, not to its free nats.
    """
    kl = terms.kl.mean(-1)
    if bits_nats > 0:
        kl = kl.clamp_min(bits_nats)
    return kl_weight * _summed(kl, top_weight) - terms.log_likelihood.mean(-1)


def _summed(kl: Tensor, top_weight: float) -> Tensor:
    """Return the sum of KLs [L, …] over layers, the last times `top_weight`; 1 is the sum to the bit."""
    return kl.sum(0) if top_weight == 1 else kl[:-1].sum(0) + top_weight * kl[-1]
