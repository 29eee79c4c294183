"""The Ornstein-Uhlenbeck operator U_rho on the networks of a VAE.

For z = mean + scale * eps with eps ~ N(0, I) and a network f,

    posterior form   U_rho f(z) = E_omega[ f(mean + scale * (rho * eps + sqrt(1 - rho^2) * omega)) ]
    ambient form     U_rho f(z) = E_omega[ f(rho * z + sqrt(1 - rho^2) * omega) ]

with omega ~ N(0, I), after Pervez and Gavves (ICML 2021). The posterior form is the semigroup of
N(mean, scale^2), the measure under which the ELBO averages f: it multiplies the Hermite coefficient of
degree n in eps by rho^n. The ambient form is the semigroup of N(0, I) and shrinks its input. Both are
estimated by the mean over K draws of omega around ONE shared eps: with an eps of its own per draw the
correlation between the input's noise and eps, which is rho, would be lost, and rho with it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ouvae.settings import SmoothingForm


def smoothed_inputs(
    form: SmoothingForm, mean: Tensor, scale: Tensor, eps: Tensor, omega: Tensor, rho: Tensor
) -> Tensor:
    """Return the K inputs at which U_rho evaluates a network.

    Args:
        form: `posterior` or `ambient`.
        mean: [B, d] mean of the network's Gaussian input.
        scale: [B, d] its standard deviation.
        eps: [B, d] the base sample that all K draws share.
        omega: [K, B, d] the draws that are averaged over.
        rho: scalar tensor in [0, 1].

    Returns:
        [K, B, d]; at rho = 1 each of the K is mean + scale * eps to the bit.
    """
    complement = (1 - rho * rho).clamp_min(0).sqrt()
    if form == "posterior":
        return mean + scale * (rho * eps + complement * omega)
    return rho * (mean + scale * eps) + complement * omega


def average(outputs: Tensor, rho: Tensor) -> Tensor:
    """Return the mean over the K draws, [K, B, d] -> [B, d].

    At rho = 1 the draws are copies of one another, and the whole weight goes to the first: the value
    and its gradient are then those of the plain network to the bit, where a sum of K copies divided by
    K would differ by rounding.
    """
    draws = outputs.shape[0]
    first = torch.zeros(draws, dtype=outputs.dtype, device=outputs.device)
    first[0] = 1
    weights = torch.where(rho == 1, first, 1 / draws)
    return (weights.view(-1, 1, 1) * outputs).sum(0)


def smooth(
    network: Callable[[Tensor], Tensor],
    form: SmoothingForm,
    mean: Tensor,
    scale: Tensor,
    eps: Tensor,
    omega: Tensor,
    rho: Tensor,
) -> Tensor:
    """Return the K-sample estimate of U_rho network at mean + scale * eps, [B, d] -> [B, d_out]."""
    return average(network(smoothed_inputs(form, mean, scale, eps, omega, rho)), rho)


def retained_variance(rho: float, draws: int) -> float:
    """Return g(rho, K) = rho^2 + (1 - rho^2)/K, the share of a linear network's variance that is left."""
    return rho * rho + (1 - rho * rho) / draws
