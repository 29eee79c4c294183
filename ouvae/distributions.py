"""Log densities and divergences, summed over the last axis, in nats."""

import math

import torch.nn.functional as F
from torch import Tensor

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def bernoulli_log_density(x: Tensor, logits: Tensor) -> Tensor:
    """Return log Bernoulli(x; sigmoid(logits)): [..., D] -> [...]."""
    return (x * logits - F.softplus(logits)).sum(-1)


def gaussian_log_density(x: Tensor, mean: Tensor, log_scale: Tensor | float) -> Tensor:
    """Return log N(x; mean, exp(log_scale)^2), diagonal: [..., d] -> [...]."""
    scale = log_scale.exp() if isinstance(log_scale, Tensor) else math.exp(log_scale)
    standardised = (x - mean) / scale
    return (-0.5 * standardised * standardised - log_scale - _HALF_LOG_2PI).sum(-1)


def gaussian_kl_to_standard(mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_scale)^2) || N(0, I)), exactly: [..., d] -> [...]."""
    return (0.5 * (mean * mean + (2 * log_scale).exp() - 1) - log_scale).sum(-1)


def gaussian_kl_sample(
    z: Tensor, eps: Tensor, log_scale: Tensor, prior_mean: Tensor, prior_log_scale: Tensor
) -> Tensor:
    """Return log q(z) - log p(z) at z = mean + exp(log_scale) * eps, one draw's estimate of the KL.

    The prior of a layer depends on z itself (through the layers above), so that the closed form does not
    apply below the top: [..., d] -> [...].
    """
    standardised = (z - prior_mean) * (-prior_log_scale).exp()
    return (0.5 * (standardised * standardised - eps * eps) + prior_log_scale - log_scale).sum(-1)
