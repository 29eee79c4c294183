"""The mutual information I(x; z) of an image x and its top latent z: an estimate and two bounds, in nats.

    I(x; z) = E log q(z|x) - E log q(z),   q(z|x) = E_e q(z|x, e),   q(z) = E_x q(z|x)

e ~ N(0, I) is the noise of the layers below; q(z|x, e) is the top layer's diagonal Gaussian. The top layer's
KL also counts the information of z about e. That can be 20 nats, too much for a mean over draws of e to
estimate either density. Instead, each image gets a linear model of its top layer,

    z = c + A e + noise,   noise ~ N(0, S),   so that z has the density g(z) = N(z; c, A A' + S).

Least squares fit A and c to the mean of q(z|x, e) at random probes e (statistical linearisation; Gelb,
"Applied Optimal Estimation", 1974). S is the covariance of the residuals plus the mean variance of q(z|x, e).
Proposals of e come from the model's posterior. By Bayes' rule their importance weight,

    w(e) = g(z) q(z|x, e) / N(z; c + A e, S),

is an unbiased estimate of q(z|x). If the mean is linear in e and the scale constant, w = g(z) = q(z|x) for
every e, and all of the following is exact in e.

Three inequalities hold in expectation, for any A, c and S that are independent of z:

1. E log q(z|x) <= E log (mean weight of M proposals and of the e from which z was drawn). Sobolev and Vetrov,
   "Importance Weighted Hierarchical Variational Inference", NeurIPS 2019.
2. E log q(z) >= E log m(z) for a density m of the other images only. Here m mixes the mean of their g, the
   Gaussians with that mean's moments (full and diagonal), and the prior N(0, I).
3. I(x; z) >= E log g_i(z_i) - E log (1/N) sum_j g_j(z_i) for images i, j of N. This is InfoNCE with critic g;
   it is at most log N. Poole et al., "On Variational Bounds of Mutual Information", ICML 2019.

The upper bound is 1 minus 2, the lower bound is 3. The estimate is E log m'(z) - E log m(z), where m' is the
same mixture of the image itself. All images share their probes: if z does not depend on x, every g is the
same, and estimate and lower bound are 0 up to rounding. The weights of a mixture fit the z of the other half
of the images.

The difference of the bounds shows how far the linear models are off, and how near the lower bound is to its
limit. It does not show the sampling error, since estimate and bounds use the same images and draws.

Shapes: P members, N images, Q draws of z per image, M proposals per z, d the size of the top layer, D the
size of e.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from ouvae.parts.distributions import gaussian_log_density

INFORMATION_IMAGES = 128
"""Maximum number of images."""

INFORMATION_SAMPLES = 4
"""Draws of z per image."""

INFORMATION_PROPOSALS = 4
"""Proposals of e per z."""

PROBES_AT_ONCE = 16
"""Probes evaluated at once, to bound memory."""

_SPARE_PROBES = 32
"""Probes in addition to two per coefficient of a linear model."""

_ROUNDING = 1e-12
"""Variance added to a linear model's noise, relative to the mean's, to keep the covariance positive."""

_WEIGHT_ROUNDS = 20
"""Rounds of expectation maximisation for the weights of a mixture."""

Top: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps noise e [P, I, N, D] to mean and log scale of q(z|x, e), [P, I, N, d] each."""


class Information(NamedTuple):
    """Nats of mutual information, [P] each.

    Attributes:
        estimate: between the bounds, up to sampling error.
        lower: a lower bound in expectation.
        upper: an upper bound in expectation.
    """

    estimate: Tensor
    lower: Tensor
    upper: Tensor


class LinearModel(NamedTuple):
    """z = intercept + slope e + noise for each image, in float64.

    Attributes:
        intercept: [P, N, d].
        slope: [P, N, d, D].
        noise: covariance of the noise, [P, N, d, d].
        total: covariance of z, [P, N, d, d].
    """

    intercept: Tensor
    slope: Tensor
    noise: Tensor
    total: Tensor


def probe_count(size: int) -> int:
    """Return the number of probes for noise of D dimensions."""
    return 2 * (size + 1) + _SPARE_PROBES


def information(
    top: Top, probes: Tensor, e: Tensor, z: Tensor, prior_e: Tensor, prior_noise: Tensor
) -> Information:
    """Return the information between N images and the top layer; zero for a single image.

    Args:
        top: q(z|x, e).
        probes: standard normal noise [P, R, D], R > D + 1.
        e: standard normal noise [P, Q, N, D].
        z: draws of q(z|x, e), [P, Q, N, d].
        prior_e: standard normal noise [P, M, Q, N, D] for the proposals.
        prior_noise: standard normal noise [P, M, Q, N, d] for the proposals.
    """
    members, _, images, _ = z.shape
    if images == 1:
        return Information(*torch.zeros(3, members, dtype=z.dtype, device=z.device))
    model = fit_linear_model(top, probes, images)
    exact_z = z.double()
    log_g = torch.stack([_log_density_of_all(model, draw) for draw in exact_z.unbind(1)], 1)
    log_g_own = log_g.diagonal(dim1=-2, dim2=-1)
    same_image = torch.eye(images, dtype=torch.bool, device=z.device)
    given_x = _log_mixture_of_images(model, same_image, log_g, exact_z)
    marginal = _log_mixture_of_images(model, ~same_image, log_g, exact_z)
    ratio = _log_mean_weight_ratio(top, model, e, exact_z, prior_e, prior_noise)
    nats = Information(
        estimate=given_x - marginal,
        lower=log_g_own - log_g.logsumexp(-1) + math.log(images),
        upper=log_g_own + ratio - marginal,
    )
    return Information(*(values.mean((1, 2)).to(z.dtype) for values in nats))


def fit_linear_model(top: Top, probes: Tensor, images: int) -> LinearModel:
    """Return the linear model of each image by least squares at probes [P, R, D], R > D + 1."""
    members, count, size = probes.shape
    inputs = torch.cat([probes.new_ones(members, count, 1), probes], -1).double()
    cross = squares = variance = torch.zeros((), dtype=torch.float64, device=probes.device)
    offset: Tensor | None = None
    for chunk, rows in zip(
        torch.split(probes, PROBES_AT_ONCE, 1), torch.split(inputs, PROBES_AT_ONCE, 1), strict=True
    ):
        mean, log_scale = top(chunk[:, :, None].expand(-1, -1, images, -1))
        outputs = mean.double()
        if offset is None:
            offset = outputs[:, :1]
        outputs = outputs - offset
        cross = cross + rows.mT @ outputs.flatten(2)  # [P, 1 + D, N d]
        by_image = outputs.transpose(1, 2)
        squares = squares + by_image.mT @ by_image  # [P, N, d, d]
        variance = variance + (2 * log_scale.double()).exp().sum(1)
    assert offset is not None
    solution = torch.linalg.solve(inputs.mT @ inputs, cross)
    coefficients, explained = (
        values.view(members, size + 1, images, -1).transpose(1, 2) for values in (solution, cross)
    )
    residual = (squares - coefficients.mT @ explained) / (count - size - 1)
    rounding = _ROUNDING * squares.diagonal(dim1=-2, dim2=-1)
    noise = residual + torch.diag_embed((variance + rounding) / count)
    slope = coefficients[:, :, 1:].mT
    intercept = offset.squeeze(1) + coefficients[:, :, 0]
    return LinearModel(intercept, slope, noise, slope @ slope.mT + noise)


def _log_mean_weight_ratio(
    top: Top, model: LinearModel, e: Tensor, z: Tensor, prior_e: Tensor, prior_noise: Tensor
) -> Tensor:
    """Return the log mean of w(e)/g(z) over proposals and the e of z, [P, Q, N]."""
    intercept = model.intercept[:, None, None]
    noise_factor = _cholesky(model.noise)
    # Matheron's rule: moving z to its value turns a joint draw of e and z into a posterior draw of e.
    joint_e = prior_e.double()
    joint_z = intercept + _times(model.slope, joint_e) + _times(noise_factor, prior_noise.double())
    gain = torch.cholesky_solve(model.slope, _cholesky(model.total)).mT
    proposals = joint_e + _times(gain, z[:, None] - joint_z)
    all_e = torch.cat([proposals.to(e.dtype), e[:, None]], 1)  # [P, M + 1, Q, N, D]
    mean, log_scale = (values.double().view(*all_e.shape[:-1], -1) for values in top(all_e.flatten(1, 2)))
    log_q = gaussian_log_density(z[:, None], mean, log_scale)
    residual = z[:, None] - intercept - _times(model.slope, all_e.double())
    log_ratio = log_q - _log_density(residual, noise_factor)
    return log_ratio.logsumexp(1) - math.log(all_e.shape[1])


def _log_density_of_all(model: LinearModel, z: Tensor) -> Tensor:
    """Return log g_j(z_i) for z [P, N, d]: [P, N, N], j last."""
    difference = z[:, :, None] - model.intercept[:, None]
    return _log_density(difference, _cholesky(model.total))


def _log_mixture_of_images(model: LinearModel, among: Tensor, log_g: Tensor, z: Tensor) -> Tensor:
    """Return the log density at z [P, Q, N, d] of a mixture of some images' linear models: [P, Q, N].

    Row i of `among` [N, N] selects the images of the mixture for image i, the same number in each row.
    `log_g` is log g_j(z_i), [P, Q, N, N], j last.
    """
    shares = among.double() / among.sum(1, keepdim=True)
    mean_of_g = (log_g + shares.log()).logsumexp(-1)
    centre = model.intercept.mean(1, keepdim=True)
    deviation = model.intercept - centre
    squares = model.total + deviation[..., None] * deviation[..., None, :]
    mean = shares @ deviation
    covariance = (shares @ squares.flatten(2)).view_as(squares) - mean[..., None] * mean[..., None, :]
    residual = z - (centre + mean)[:, None]
    full = _log_density(residual, _cholesky(covariance))
    log_scale = covariance.diagonal(dim1=-2, dim2=-1)[:, None].log() / 2
    diagonal = gaussian_log_density(residual, torch.zeros_like(residual), log_scale)
    prior = gaussian_log_density(z, torch.zeros_like(z), 0.0)
    return _log_mixture(torch.stack([mean_of_g, full, diagonal, prior], -1))


def _log_mixture(log_densities: Tensor) -> Tensor:
    """Return the log mixture [P, Q, N] of C densities [P, Q, N, C].

    The weights for even images maximise the likelihood of the odd ones, and vice versa.
    """
    mixture = torch.empty_like(log_densities[..., 0])
    for parity in range(2):
        log_weights = _fitted_log_weights(log_densities[:, :, 1 - parity :: 2])
        mixture[:, :, parity::2] = (log_densities[:, :, parity::2] + log_weights).logsumexp(-1)
    return mixture


def _fitted_log_weights(log_densities: Tensor) -> Tensor:
    """Return the log weights [P, 1, 1, C] of the mixture of [P, Q, N, C] with the highest likelihood."""
    _, draws, images, components = log_densities.shape
    log_weights = torch.full_like(log_densities[:, :1, :1], -math.log(components))
    for _ in range(_WEIGHT_ROUNDS):
        responsibilities = (log_densities + log_weights).log_softmax(-1)
        log_weights = responsibilities.logsumexp((1, 2), keepdim=True) - math.log(draws * images)
    return log_weights


def _cholesky(covariance: Tensor) -> Tensor:
    """Return Cholesky factors [..., d, d], NaN for a diverged member's covariance."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(covariance)
    return factor.masked_fill((failed != 0)[..., None, None], math.nan)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Return the products [P, M, Q, N, a] of [P, N, a, b] and [P, M, Q, N, b]."""
    return torch.einsum("pnab,pmqnb->pmqna", matrices, vectors)


def _log_density(residual: Tensor, factor: Tensor) -> Tensor:
    """Return log N(residual; 0, factor factor'): [P, ..., N, d] and [P, N, d, d] -> [P, ..., N]."""
    columns = residual.flatten(1, -3).permute(0, 2, 3, 1)  # [P, N, d, ...]
    standardised = torch.linalg.solve_triangular(factor, columns, upper=False)
    half_log_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)[:, None]
    squares = standardised.square().sum(2).mT
    constant = 0.5 * residual.shape[-1] * math.log(2 * math.pi)
    values: Tensor = -0.5 * squares - half_log_determinant - constant
    return values.view(residual.shape[:-1])
