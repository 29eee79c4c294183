"""Training objectives: from a system's terms to a loss in nats.

Each objective multiplies the layers' KLs by `kl_weight`, and the top layer's KL by `top_weight` as well.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

from ouvae.declared import Cell
from ouvae.systems.base import Terms

Number: TypeAlias = float | Tensor
"""A number, or a scalar tensor."""

Values: TypeAlias = Mapping[str, Tensor]
"""A member's values of control parameters, scalar tensors by the name of the key."""

NO_VALUES: Values = MappingProxyType({})


def loss(cell: Cell, terms: Terms, warmup: Number = 1.0, values: Values = NO_VALUES) -> Tensor:
    """Return the loss of a minibatch, a scalar: minus the cell's objective.

    Args:
        cell: gives the objective, and the parameters that `values` lacks.
        terms: with the axis I and without closed forms if `importance_samples` > 1.
        warmup: factor of all KLs' weights.
        values: of the control parameters in which members differ.
    """

    def value(name: str) -> Number:
        return values[name] if name in values else getattr(cell, name)

    weights = _product(warmup, value("kl_weight")), value("top_kl_weight")
    if cell.objective == "iwae":
        return importance_weighted(terms, *weights)
    if cell.objective == "free_bits":
        return free_bits(terms, value("free_bits_nats"), *weights)
    return elbo(terms, *weights)


def elbo(terms: Terms, kl_weight: Number = 1.0, top_weight: Number = 1.0) -> Tensor:
    """Return minus the ELBO."""
    return kl_weight * _summed(terms.kl, top_weight).mean(-1) - terms.log_likelihood.mean(-1)


def importance_weighted(terms: Terms, kl_weight: Number = 1.0, top_weight: Number = 1.0) -> Tensor:
    """Return minus the importance weighted bound over all layers, -log mean_I p(x, z)/q(z|x).

    Burda et al. 2016, equation 8, with the weights in the logarithm of p(x, z)/q(z|x). One sample gives the
    ELBO.
    """
    if terms.log_likelihood.dim() == 1:
        return elbo(terms, kl_weight, top_weight)
    log_weights = terms.log_likelihood - kl_weight * _summed(terms.kl, top_weight)
    return math.log(len(log_weights)) - log_weights.logsumexp(0).mean(-1)


def free_bits(terms: Terms, bits_nats: Number, kl_weight: Number = 1.0, top_weight: Number = 1.0) -> Tensor:
    """Return minus the ELBO in which a layer's KL, averaged over the minibatch, costs at least `bits_nats`.

    Kingma et al. 2016, equation 15, with a layer as the group. Zero nats give the ELBO, even if one draw's
    estimate of a KL is negative. The weights apply to a layer's cost, not to its free nats.
    """
    kl = terms.kl.mean(-1)
    if isinstance(bits_nats, Tensor):
        kl = torch.where(bits_nats > 0, kl.clamp_min(bits_nats), kl)
    elif bits_nats > 0:
        kl = kl.clamp_min(bits_nats)
    return kl_weight * _summed(kl, top_weight) - terms.log_likelihood.mean(-1)


def _summed(kl: Tensor, top_weight: Number) -> Tensor:
    """Return the sum of KLs [L, …] over layers, the last times `top_weight`; 1 is the sum to the bit."""
    return kl.sum(0) if _is_one(top_weight) else kl[:-1].sum(0) + top_weight * kl[-1]


def _product(first: Number, second: Number) -> Number:
    """Return a product, without an operation if the second factor is the number 1."""
    return first if _is_one(second) else first * second


def _is_one(value: Number) -> bool:
    return not isinstance(value, Tensor) and value == 1
