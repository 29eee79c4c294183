"""How much the top layer knows: nats of mutual information between the image x and its latent z.

The posterior of the top layer is Gaussian given the layers u that inference draws before it, and given x
alone a mixture over these draws, q(z|x) = E q(z|u). Its KL to the prior also counts what z says of u, the
noise of the layers below. The information counts what z says of x alone:

    I(x; z) = E log q(z|x) - E log q(z),   q(z) = E_x q(z|x).

Both densities are means of Gaussians: of N draws of u for the image of z, and of a draw of u for each of N
images. A mean that has the Gaussian from which z was drawn among its own is, in expectation, too large in
the logarithm, and one without it too small, whatever N is (for q(z|x), Yin and Zhou, "Semi-Implicit
Variational Inference", ICML 2018; for q(z), Poole et al., "On Variational Bounds of Mutual Information",
ICML 2019). So

    lower = log q(z|x) without - log q(z) with       upper = log q(z|x) with - log q(z) without

are, in expectation, bounds from both sides. Where Gaussians are so narrow that others miss z, a mean without
its own would be far too small: there the prior N(0, I) is one more component, with the weight that fits z
best. That is allowed, since any other density is too small in the same sense. The lower bound is at most
log N: layers that tell the images apart have more information than can be seen so. The mean of both bounds
is unbiased where z is independent of x, since own components and those of other images are then alike and
as many.

Shapes: P members, N images and as many draws, d the size of the layer.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ouvae.parts.distributions import gaussian_log_density

INFORMATION_IMAGES = 128
"""Most images, and draws for each, that information is estimated with."""

INFORMATION_SAMPLES = 2
"""Samples z of each image at which the densities are compared."""

_WEIGHT_ROUNDS = 20
"""Rounds of expectation maximisation for the weight of the prior."""


class Information(NamedTuple):
    """Nats of mutual information, [P] each.

    Attributes:
        estimate: the mean of the bounds.
        lower: a lower bound in expectation.
        upper: an upper bound in expectation.
    """

    estimate: Tensor
    lower: Tensor
    upper: Tensor


def information(mean: Tensor, log_scale: Tensor, z: Tensor) -> Information:
    """Return the information between N images and a layer of Gaussians: none on a single image.

    Args:
        mean: [P, N, N, d], the first N being draws, the second images.
        log_scale: logarithm of the standard deviation, of the same shape.
        z: a sample of each, of the same shape.
    """
    images = torch.arange(z.shape[2], device=z.device)
    if len(images) == 1:
        return Information(*(torch.zeros(3, len(z), dtype=z.dtype, device=z.device)))
    lower, upper = [], []
    for draw in range(min(INFORMATION_SAMPLES, z.shape[1])):
        at = z[:, draw]
        prior = gaussian_log_density(at, torch.zeros_like(at), 0.0)
        of_draws = gaussian_log_density(at[:, None], mean, log_scale).transpose(1, 2)
        of_images = gaussian_log_density(at[:, :, None], mean[:, draw, None], log_scale[:, draw, None])
        lower.append(_without(of_draws, torch.full_like(images, draw), prior) - _with(of_images))
        upper.append(_with(of_draws) - _without(of_images, images, prior))
    low, high = (torch.stack(side).mean((0, 2)) for side in (lower, upper))
    return Information((low + high) / 2, low, high)


def _with(log_densities: Tensor) -> Tensor:
    """Return the log mean of components [P, N, C] at each z, its own among them: [P, N]."""
    return log_densities.logsumexp(-1) - math.log(log_densities.shape[-1])


def _without(log_densities: Tensor, own: Tensor, prior: Tensor) -> Tensor:
    """Return the same without each z's own component, of index `own` [N], mixed with the prior [P, N]."""
    components = log_densities.shape[-1]
    hidden = torch.nn.functional.one_hot(own, components).bool()
    others = log_densities.masked_fill(hidden, -math.inf).logsumexp(-1) - math.log(components - 1)
    log_odds = torch.zeros_like(others[:, :1])
    for _ in range(_WEIGHT_ROUNDS):
        share = (prior - others + log_odds).sigmoid().mean(1, keepdim=True)
        log_odds = share.logit(eps=1e-6)
    return torch.logaddexp(others + (-log_odds).sigmoid().log(), prior + log_odds.sigmoid().log())
