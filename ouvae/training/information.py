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
its own would be far too small: there the Gaussian of the others' moments, and the prior N(0, I), are two
more components, with the weights that fit z best. That is allowed, since any other density is too small in
the same sense. The lower bound is at most log N: layers that tell the images apart have more information
than can be seen so, and where z says more than log N nats of u the bounds are far apart. The estimate is

    log q(z|x) without - log q(z) without.

It is unbiased where z is independent of x, whatever z says of u, since own components and those of other
images are then alike and as many; and nearly so for linear models, where the Gaussians of moments are the
densities.

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
"""Rounds of expectation maximisation for the weights of the three components."""


class Information(NamedTuple):
    """Nats of mutual information, [P] each.

    Attributes:
        estimate: between the bounds.
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
    found = []
    for draw in range(min(INFORMATION_SAMPLES, z.shape[1])):
        at = z[:, draw]
        own = torch.full_like(images, draw)
        given_x = _densities(at, mean.transpose(1, 2), log_scale.transpose(1, 2), own)
        marginal = _densities(at, mean[:, draw, None], log_scale[:, draw, None], images)
        without, with_own = (one - other for one, other in zip(given_x, marginal[::-1], strict=True))
        found.append((given_x[0] - marginal[0], without, with_own))
    return Information(*(torch.stack(one).mean((0, 2)) for one in zip(*found, strict=True)))


def _densities(z: Tensor, mean: Tensor, log_scale: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms of two estimates of a density at z, without z's own component and with it.

    Args:
        z: [P, N, d].
        mean: of C components for each z, [P, N, C, d], or [P, 1, C, d] where all z have the same.
        log_scale: logarithm of the standard deviation, of the same shape.
        own: index [N] of the component from which each z was drawn.

    Returns:
        [P, N] twice.
    """
    count = mean.shape[2]
    components = gaussian_log_density(z[:, :, None], mean, log_scale)
    with_own = components.logsumexp(-1) - math.log(count)
    hidden = torch.nn.functional.one_hot(own, count).to(torch.bool)
    others = components.masked_fill(hidden, -math.inf).logsumexp(-1) - math.log(count - 1)
    weights = ((~hidden) / (count - 1)).to(z.dtype)  # [N, C]
    first = _weighted(weights, mean)
    second = _weighted(weights, mean * mean + (2 * log_scale).exp())
    log_deviation = 0.5 * (second - first * first).clamp_min(torch.finfo(z.dtype).tiny).log()
    moments = gaussian_log_density(z, first, log_deviation)
    prior = gaussian_log_density(z, torch.zeros_like(z), 0.0)
    return _mixture(torch.stack([others, moments, prior], -1)), with_own


def _weighted(weights: Tensor, values: Tensor) -> Tensor:
    """Return the means [P, N, d] of values [P, N or 1, C, d] by the weights [N, C] of each z."""
    return torch.einsum("nc,pncd->pnd", weights, values.expand(-1, len(weights), -1, -1))


def _mixture(log_densities: Tensor) -> Tensor:
    """Return the logarithm of the mixture of densities [P, N, 3] with the weights that fit best: [P, N]."""
    log_weights = torch.full_like(log_densities[:, :1], -math.log(log_densities.shape[-1]))
    for _ in range(_WEIGHT_ROUNDS):
        shares = (log_densities + log_weights).log_softmax(-1)
        log_weights = shares.logsumexp(1, keepdim=True) - math.log(log_densities.shape[1])
    return (log_densities + log_weights).logsumexp(-1)
