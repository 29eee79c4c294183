"""The mutual information I(x; z) of an image x and its top latent z, in nats: an estimate and two bounds.

    I(x; z) = E log q(z|x) - E log q(z),   q(z|x) = E_e q(z|x, e),   q(z) = E_x q(z|x)

e ~ N(0, I) is the noise of the layers below, and q(z|x, e) is the top layer's diagonal Gaussian. The KL of
the top layer to its prior also counts what z says of e, often many nats more than what z says of x, so that
neither density is well estimated by a mean over draws of e. Here both rest on a linear model of each image,

    z = c + A e + noise,   noise ~ N(0, S)   so that   g(z) = N(z; c, A A' + S),

A and c fitted by least squares to the mean of q(z|x, e) at probes e ("statistical linearisation", Gelb,
"Applied Optimal Estimation", 1974), S the covariance of the residuals plus the mean variance of q(z|x, e).
The model also gives the posterior of e, which is the proposal of an importance sample: by Bayes' rule its
weight, an unbiased estimate of q(z|x), is

    w(e) = g(z) q(z|x, e) / N(z; c + A e, S).

If q(z|x, e) is linear in e with a constant scale, w = g(z) = q(z|x) exactly, however much z says of e.

Bounds, each valid in expectation for any A, c and S that do not depend on z:

- E log q(z|x) <= E log of the mean weight of several proposals and of the e from which z was drawn (Sobolev
  and Vetrov, "Importance Weighted Hierarchical Variational Inference", NeurIPS 2019).
- E log q(z) >= E log m(z) for any normalised density m of the other images: a mixture of the mean of their
  g, the Gaussians of the moments of that mean, full and diagonal, and the prior N(0, I).
- I(x; z) >= E log g_i(z_i) - E log 1/N sum_j g_j(z_i), which is InfoNCE for N images with g as the critic
  (Poole et al., "On Variational Bounds of Mutual Information", ICML 2019). It is at most log N.

The upper bound is the first minus the second. The estimate replaces the first by the same mixture as m, made
of the image itself. All images share their probes. A layer that does not depend on x has the same g for all
images, and its estimate and lower bound are exactly 0; the upper bound exceeds 0 by the error of g.

The weights of a mixture are those that fit the z of the other half of the images best.

Shapes: P members, N images, Q draws of z for each, M proposals for each z, d the size of the top layer, D
the numbers in e.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from ouvae.parts.distributions import gaussian_log_density

INFORMATION_IMAGES = 128
"""Maximum number of images that information is estimated from."""

INFORMATION_SAMPLES = 4
"""Draws of z for each image."""

INFORMATION_PROPOSALS = 4
"""Importance samples for each z."""

PROBES_AT_ONCE = 16
"""Probes run at once, to bound memory."""

_SPARE_PROBES = 32
"""Probes beyond two for each of the D + 1 coefficients."""

_ROUNDING = 1e-12
"""Variance of the noise of a linear model, by that of the mean: float32 rounds the mean, float64 the squares."""

_WEIGHT_ROUNDS = 20
"""Rounds of expectation maximisation for the weights of a mixture."""

Top: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Mean and log scale [P, I, N, d] of q(z|x, e) at noise e [P, I, N, D]."""


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


class LinearModel(NamedTuple):
    """z = intercept + slope e + noise of each image, in float64.

    Attributes:
        intercept: [P, N, d].
        slope: [P, N, d, D].
        noise: covariance S of the noise, [P, N, d, d].
        total: covariance A A' + S of z, [P, N, d, d].
    """

    intercept: Tensor
    slope: Tensor
    noise: Tensor
    total: Tensor


def probe_count(numbers: int) -> int:
    """Return the number of probes for noise of D numbers."""
    return 2 * (numbers + 1) + _SPARE_PROBES


def information(
    top: Top, probes: Tensor, e: Tensor, z: Tensor, proposed: Tensor, proposed_noise: Tensor
) -> Information:
    """Return the information between N images and the top layer: zero for a single image.

    All noise is standard normal and independent, except that z was drawn from q(z|x, e).

    Args:
        top: gives q(z|x, e).
        probes: noise [P, R, D] for the linear models, with R > D + 1.
        e: noise [P, Q, N, D] of the layers below.
        z: [P, Q, N, d] draws of the top layer.
        proposed: noise [P, M, Q, N, D] for the proposals of e.
        proposed_noise: noise [P, M, Q, N, d] for the same.
    """
    members, _, images, _ = z.shape
    if images == 1:
        return Information(*torch.zeros(3, members, dtype=z.dtype, device=z.device))
    model = fit_linear_model(top, probes, images)
    z_double = z.double()
    g_of_all = torch.stack([_of_all(model, one) for one in z_double.unbind(1)], 1)  # [P, Q, N, N]
    g = g_of_all.diagonal(dim1=-2, dim2=-1)
    contrast = g - g_of_all.logsumexp(-1) + math.log(images)
    with_own = _importance_bound(top, model, g, e, z, proposed, proposed_noise)
    own = torch.eye(images, dtype=torch.bool, device=z.device)
    given_x = _density(model, own, g_of_all, z_double)
    marginal = _density(model, ~own, g_of_all, z_double)
    nats = given_x - marginal, contrast, with_own - marginal
    return Information(*(values.mean((1, 2)).to(z.dtype) for values in nats))


def fit_linear_model(top: Top, probes: Tensor, images: int) -> LinearModel:
    """Return the linear model of each image by least squares.

    Args:
        top: gives q(z|x, e).
        probes: noise [P, R, D], the same for all images, with R > D + 1.
        images: N.
    """
    members, count, numbers = probes.shape
    inputs = torch.cat([probes.new_ones(members, count, 1), probes], -1).double()
    cross = squares = variance = torch.zeros((), dtype=torch.float64, device=probes.device)
    offset: Tensor | None = None
    for some, some_inputs in zip(
        probes.split(PROBES_AT_ONCE, 1), inputs.split(PROBES_AT_ONCE, 1), strict=True
    ):
        mean, log_scale = top(some[:, :, None].expand(-1, -1, images, -1))
        outputs = mean.double()
        if offset is None:
            offset = outputs[:, :1]
        outputs = outputs - offset
        cross = cross + some_inputs.mT @ outputs.flatten(2)  # [P, 1 + D, N d]
        outputs = outputs.transpose(1, 2)
        squares = squares + outputs.mT @ outputs  # [P, N, d, d]
        variance = variance + (2 * log_scale.double()).exp().sum(1)
    assert offset is not None
    solved = torch.linalg.solve(inputs.mT @ inputs, cross)
    coefficients, explained = (
        values.unflatten(-1, (images, -1)).transpose(1, 2) for values in (solved, cross)
    )  # [P, N, 1 + D, d]
    residual = (squares - coefficients.mT @ explained) / (count - numbers - 1)
    rounding = _ROUNDING * squares.diagonal(dim1=-2, dim2=-1)
    noise = residual + torch.diag_embed((variance + rounding) / count)
    slope = coefficients[:, :, 1:].mT
    intercept = offset.squeeze(1) + coefficients[:, :, 0]
    return LinearModel(intercept, slope, noise, slope @ slope.mT + noise)


def _importance_bound(
    top: Top, model: LinearModel, g: Tensor, e: Tensor, z: Tensor, proposed: Tensor, proposed_noise: Tensor
) -> Tensor:
    """Return the logarithm of the mean weight of the proposals and of z's own e: [P, Q, N]."""
    count = proposed.shape[1]
    noise_factor = _factor(model.noise)
    total_factor = _factor(model.total)

    def times(matrices: Tensor, vectors: Tensor) -> Tensor:
        """Return the products of [P, N, a, b] and [P, ..., N, b]."""
        return torch.einsum("pnab,pknb->pkna", matrices, vectors.flatten(1, -3)).view(
            *vectors.shape[:-1], matrices.shape[-2]
        )

    # A draw from the prior, moved by the regression of e on z, is one of the posterior.
    prior = proposed.double()
    surprise = z[:, None].double() - (
        model.intercept[:, None, None] + times(model.slope, prior) + times(noise_factor, proposed_noise.double())
    )
    gain = torch.cholesky_solve(model.slope, total_factor).mT
    posterior = (prior + times(gain, surprise)).to(e.dtype)
    both = torch.cat([posterior, e[:, None]], 1)  # [P, M + 1, Q, N, D]
    mean, log_scale = top(both.flatten(1, 2))
    shape = *both.shape[:-1], z.shape[-1]
    exact = gaussian_log_density(z[:, None].double(), mean.double().view(shape), log_scale.double().view(shape))
    predicted = model.intercept[:, None, None] + times(model.slope, both.double())
    linear = _log_density(z[:, None] - predicted, noise_factor)
    return g + (exact - linear).logsumexp(1) - math.log(count + 1)


def _factor(covariance: Tensor) -> Tensor:
    """Return Cholesky factors [..., d, d]; NaN where there is none, as of a member that has diverged."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    return factor.masked_fill((failed > 0)[..., None, None], math.nan)


def _of_all(model: LinearModel, z: Tensor) -> Tensor:
    """Return log g of each image at each z [P, N, d]: [P, N, N], images last."""
    factor = _factor(model.total)
    return _log_density((z[:, None] - model.intercept[:, :, None]).transpose(1, 2), factor)


def _density(model: LinearModel, among: Tensor, g_of_all: Tensor, z: Tensor) -> Tensor:
    """Return a log density at z that rests on some images for each z, [P, Q, N].

    Args:
        model: of all images.
        among: images [N, N] that the density rests on, by the image of z.
        g_of_all: [P, Q, N, N] log g of each image, last, at each z.
        z: [P, Q, N, d].
    """
    count = int(among[0].sum())
    mixture = g_of_all.masked_fill(~among, -math.inf).logsumexp(-1) - math.log(count)
    shares = among.double() / count
    centre = model.intercept.mean(1, keepdim=True)
    deviation = model.intercept - centre
    squares = model.total + deviation[..., None] * deviation[..., None, :]
    mean = shares @ deviation
    covariance = (shares @ squares.flatten(2)).view_as(squares) - mean[..., None] * mean[..., None, :]
    centred = z - (centre + mean)[:, None]
    moments = _log_density(centred, _factor(covariance))
    scale = covariance.diagonal(dim1=-2, dim2=-1)[:, None].log() / 2
    diagonal = gaussian_log_density(centred, torch.zeros_like(centred), scale)
    prior = gaussian_log_density(z, torch.zeros_like(z), 0.0)
    return _mixture(torch.stack([mixture, moments, diagonal, prior], -1))


def _log_density(centred: Tensor, factor: Tensor) -> Tensor:
    """Return log N(centred; 0, factor factor') of each image: [P, ..., N, d] and [P, N, d, d] -> [P, ..., N]."""
    columns = centred.flatten(1, -3).permute(0, 2, 3, 1)  # [P, N, d, ...]
    standardised = torch.linalg.solve_triangular(factor, columns, upper=False)
    log_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    constant = 0.5 * centred.shape[-1] * math.log(2 * math.pi)
    squares = standardised.square().sum(2).mT  # [P, ..., N]
    return (-0.5 * squares - log_determinant[:, None] - constant).view(centred.shape[:-1])


def _mixture(log_densities: Tensor) -> Tensor:
    """Return the log mixture of densities [P, Q, N, C], with weights that fit the other half of N best: [P, Q, N]."""
    first, second = (log_densities[:, :, half::2] for half in range(2))
    mixed = torch.empty_like(log_densities[..., 0])
    for half, (used, other) in enumerate(((first, second), (second, first))):
        mixed[:, :, half::2] = (used + _log_weights(other)).logsumexp(-1)
    return mixed


def _log_weights(log_densities: Tensor) -> Tensor:
    """Return the log weights [P, 1, 1, C] that maximise the likelihood of a mixture of [P, Q, N, C]."""
    _, samples, images, components = log_densities.shape
    log_weights = torch.full_like(log_densities[:, :1, :1], -math.log(components))
    for _ in range(_WEIGHT_ROUNDS):
        shares = (log_densities + log_weights).log_softmax(-1)
        log_weights = shares.logsumexp((1, 2), keepdim=True) - math.log(samples * images)
    return log_weights
