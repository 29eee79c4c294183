"""Log densities and divergences, summed over the last axis, in nats."""

import math
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_SCALE_LIMIT = 7.0
"""Limit of latent log scales on both sides, which keeps standard deviations between 0.0009 and 1,100.
Without a limit the scales of a deep stack multiply to an overflow within tens of steps."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def gaussian_parameters(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Split a network's outputs into mean and log scale: [..., 2 d] -> two of [..., d]."""
    mean, log_scale = outputs.chunk(2, -1)
    return mean, log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)


def bernoulli_log_density(x: Tensor, logits: Tensor) -> Tensor:
    """Return log Bernoulli(x; sigmoid(logits)): [..., D] -> [...].

    The gradient is with respect to the logits only.
    """
    expanded = logits.expand(torch.broadcast_shapes(x.shape, logits.shape))  # type: ignore[no-untyped-call]
    return _Bernoulli.apply(x, expanded)  # type: ignore[no-untyped-call,no-any-return]


class _Bernoulli(torch.autograd.Function):
    """The log density and its gradient, x - sigmoid(logits), in few passes over memory.

    The pixels of a pack do not fit the cache, so that separate products and sums would take longer than the
    logarithms.
    """

    @staticmethod
    def forward(x: Tensor, logits: Tensor) -> Tensor:
        return F.softplus(logits).addcmul_(x, logits, value=-1).sum(-1).neg_()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        x, logits = ctx.saved_tensors
        return None, logits.sigmoid().sub_(x).mul_(gradient.neg().unsqueeze(-1))

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], x: Tensor, logits: Tensor
    ) -> tuple[Tensor, int]:
        x, logits = (
            values.expand(info.batch_size, *values.shape) if axis is None else values.movedim(axis, 0)
            for values, axis in zip((x, logits), in_dims, strict=True)
        )
        x = x.view(len(x), *[1] * (logits.dim() - x.dim()), *x.shape[1:])  # the same images for all samples
        return _Bernoulli.apply(x, logits), 0  # type: ignore[no-untyped-call]


def gaussian_log_density(x: Tensor, mean: Tensor, log_scale: Tensor | float) -> Tensor:
    """Return log N(x; mean, exp(log_scale)^2), diagonal: [..., d] -> [...]."""
    scale = log_scale.exp() if isinstance(log_scale, Tensor) else math.exp(log_scale)
    standardised = (x - mean) / scale
    return (-0.5 * standardised * standardised - log_scale - _HALF_LOG_2PI).sum(-1)


def gaussian_kl_to_standard(mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_scale)^2) || N(0, I)), exactly: [..., d] -> [...]."""
    return (0.5 * (mean * mean + (2 * log_scale).exp() - 1) - log_scale).sum(-1)


def gaussian_kl(mean: Tensor, log_scale: Tensor, prior_mean: Tensor, prior_log_scale: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_scale)^2) || N(prior_mean, exp(prior_log_scale)^2)): [..., d] -> [...].

    It is a layer's expected log ratio if the posterior is drawn given the variables that the prior depends
    on.
    """
    ratio = log_scale - prior_log_scale
    standardised = (mean - prior_mean) * (-prior_log_scale).exp()
    return (0.5 * (standardised * standardised + (2 * ratio).expm1()) - ratio).sum(-1)


def gaussian_kl_sample(
    z: Tensor, eps: Tensor, log_scale: Tensor, prior_mean: Tensor, prior_log_scale: Tensor
) -> Tensor:
    """Return log q(z) - log p(z) at z = mean + exp(log_scale) * eps, a KL estimate: [..., d] -> [...].

    If the layers above are inferred from z, the prior depends on z, and the KL has no closed form.
    """
    standardised = (z - prior_mean) * (-prior_log_scale).exp()
    return (0.5 * (standardised * standardised - eps * eps) + prior_log_scale - log_scale).sum(-1)


class GaussianDraw(NamedTuple):
    """A draw of a diagonal Gaussian, z = mean + exp(log_scale) * eps, [..., d] each.

    Mean and scales may lack leading axes of the base noise eps.
    """

    mean: Tensor
    log_scale: Tensor
    scale: Tensor
    eps: Tensor
    z: Tensor

    @classmethod
    def of(cls, mean: Tensor, log_scale: Tensor, eps: Tensor) -> Self:
        """Return the draw with this noise."""
        scale = log_scale.exp()
        return cls(mean, log_scale, scale, eps, mean + scale * eps)

    @classmethod
    def of_outputs(cls, outputs: Tensor, eps: Tensor) -> Self:
        """Return the draw of the Gaussian with a network's outputs [..., 2 d] as parameters."""
        return cls.of(*gaussian_parameters(outputs), eps)

    def kl(self, prior_mean: Tensor, prior_log_scale: Tensor, closed_form: bool) -> Tensor:
        """Return the KL to a Gaussian prior, exactly or estimated from this draw: [..., d] -> [...]."""
        if closed_form:
            exact = gaussian_kl(self.mean, self.log_scale, prior_mean, prior_log_scale)
            return exact.expand(self.z.shape[:-1])
        return gaussian_kl_sample(self.z, self.eps, self.log_scale, prior_mean, prior_log_scale)
