"""The Ornstein-Uhlenbeck operator U_rho on the networks of a VAE.

For z = mean + scale * eps with eps ~ N(0, I) and a network f,

    posterior form   U_rho f(z) = E_omega[ f(mean + scale * (rho * eps + sqrt(1 - rho^2) * omega)) ]
    ambient form     U_rho f(z) = E_omega[ f(rho * z + sqrt(1 - rho^2) * omega) ]

with omega ~ N(0, I), after Pervez and Gavves (ICML 2021). The posterior form is the semigroup of
N(mean, scale^2), the measure under which the ELBO averages f: it multiplies the Hermite coefficient of degree
n in eps by rho^n. The ambient form is the semigroup of N(0, I) and shrinks its input. Both are estimated by
the mean over K draws of omega with one shared eps. A separate eps for each draw would destroy the correlation
rho between the input's noise and eps.

    shrink           f(mean + sqrt(g) * scale * eps),   g = rho^2 + (1 - rho^2)/K

is a control without smoothing and without draws. It leaves a linear network's input as much noise variance as
the posterior form with K draws; they differ by the effect of averaging on the curvature of f.
"""

from collections.abc import Callable

from torch import Tensor, nn

from ouvae.declared.retained_variance import retained_variance
from ouvae.declared.traits import SmoothingForm


def smoothed_inputs(
    form: SmoothingForm, z: Tensor, scale: Tensor, eps: Tensor, omega: Tensor, rho: Tensor
) -> Tensor:
    """Return the K inputs at which U_rho evaluates a network.

    Args:
        form: `posterior` or `ambient`.
        z: [B, d] mean + scale * eps, the input without smoothing.
        scale: [B, d] standard deviation of the network's Gaussian input.
        eps: [B, d] the base sample that all K draws share.
        omega: [K, B, d] the draws to average over.
        rho: scalar tensor in [0, 1].

    Returns:
        [K, B, d]. They are shifts of z: at rho = 1 each input is z to the bit, and the gradient reaches mean
        and scale only through z.

    Raises:
        ValueError: the form has no draws.
    """
    complement = (1 - rho * rho).clamp_min(0).sqrt()
    if form == "posterior":
        return z + scale * ((rho - 1) * eps + complement * omega)
    if form == "ambient":
        return rho * z + complement * omega
    raise ValueError(f"the form {form!r} has no draws; use posterior or ambient")


def shrunk_input(z: Tensor, scale: Tensor, eps: Tensor, draws: int, rho: Tensor) -> Tensor:
    """Return mean + sqrt(g) * scale * eps, the input of the form `shrink`, [B, d].

    It is a shift of z = mean + scale * eps, as in `smoothed_inputs`: at rho = 1 or K = 1, input and gradient
    are those of z to the bit. `draws` is the K in g; no draw is made.
    """
    return z + scale * ((retained_variance(rho, draws).sqrt() - 1) * eps)


def smooth(
    network: Callable[[Tensor], Tensor],
    form: SmoothingForm,
    z: Tensor,
    scale: Tensor,
    eps: Tensor,
    omega: Tensor,
    rho: Tensor,
) -> Tensor:
    """Return the K-sample estimate of U_rho network at z = mean + scale * eps, [B, d] -> [B, d_out].

    The draws are averaged before an affine head, which commutes with the mean. At rho = 1 the draws are
    copies of z, and the result is the plain network's up to rounding.
    """
    inputs = smoothed_inputs(form, z, scale, eps, omega, rho)
    if isinstance(network, nn.Sequential) and isinstance(network[-1], nn.Linear):
        features, head = network[:-1], network[-1]
        return head(features(inputs).sum(0) / len(omega))  # type: ignore[no-any-return]
    return network(inputs).sum(0) / len(omega)
