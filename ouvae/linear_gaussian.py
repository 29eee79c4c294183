"""The analytic control: a linear Gaussian VAE with an exact critical threshold.

x ~ N(0, s^2), q(z|x) = N(a x, v), p(x|z) = N(w z, sigma_x^2) with sigma_x fixed and p(x|z) smoothed with K
draws. The input noise of the linear network has the variance g v with g = rho^2 + (1 - rho^2)/K. In the
posterior form this is the variance of a mean over draws; in the form `shrink` it holds by construction. With
the weight b of the KL, the expected loss

    (s^2 (1 - w a)^2 + w^2 g v) / (2 sigma_x^2) + b (a^2 s^2 + v - 1 - log v) / 2

is the same in both forms, up to a constant. At the collapsed point a = w = 0, v = 1 its gradient is zero and
its Hessian is b/2 in v and [[b s^2, -s^2/sigma_x^2], [-s^2/sigma_x^2, g/sigma_x^2]] in a and w. The
determinant is s^2/sigma_x^2 (b g - s^2/sigma_x^2), so the collapsed point is stable if and only if b g >=
s^2/sigma_x^2. The ambient form shrinks the mean too: its loss has s^2 (1 - rho w a)^2, its Hessian -rho
s^2/sigma_x^2 off the diagonal. In every form the weight b has the effect of dividing s^2 by b.

In D dimensions the largest variance decides: it collapses last.
"""

import math
from collections.abc import Sequence

from ouvae.declared import Cell
from ouvae.declared.controls import RHO
from ouvae.declared.retained_variance import retained_variance, rho_retaining
from ouvae.declared.traits import SmoothingForm


def critical_value(cell: Cell, control: str) -> float | None:
    """Return the exact critical value of a control parameter of a cell; None if no closed form is known.

    There is one for the linear Gaussian VAE with the ELBO, with p(x|z) smoothed or nothing. Its largest
    eigenvalue s^2 collapses if and only if s^2 <= b G sigma_x^2, where b is the weight of the KL and G is
    `critical_ratio`. So b_c = s^2 / (G sigma_x^2) and sigma_x^2_c = s^2 / (b G). Elsewhere importance samples
    or free bits move the value at which the collapsed point loses its stability.
    """
    linear = cell.depth == 1 and not cell.traits("architecture").layered
    if not linear or cell.data_variance is None or cell.objective != "elbo":
        return None
    if cell.smoothed_networks not in ((), ("likelihood",)) or cell.observation_variance is None:
        return None
    weight = cell.kl_weight * cell.top_kl_weight
    if control == RHO:
        if not cell.smoothed_networks:
            return None
        return critical_rho(
            cell.data_variance, cell.observation_variance, cell.ou_samples, cell.smoothing, weight
        )
    of_others = {
        "kl_weight": cell.top_kl_weight * cell.observation_variance,
        "top_kl_weight": cell.kl_weight * cell.observation_variance,
        "observation_variance": weight,
    }
    if not of_others.get(control):
        return None
    ratio = critical_ratio(cell.rho, cell.ou_samples, cell.smoothing) if cell.smoothed_networks else 1.0
    return max(cell.data_variance) / (ratio * of_others[control])


def critical_ratio(rho: float, draws: int, form: SmoothingForm = "posterior") -> float:
    """Return G, the s^2 / (b sigma_x^2) at and below which the linear Gaussian VAE is collapsed.

    It is g(rho, K) in the forms `posterior` and `shrink`, and 1 + (1/rho^2 - 1)/K in the ambient form.
    """
    if form != "ambient":
        return retained_variance(rho, draws)
    return math.inf if rho == 0 else 1 + (1 / rho**2 - 1) / draws


def critical_rho(
    data_variance: Sequence[float],
    observation_variance: float,
    draws: int,
    form: SmoothingForm = "posterior",
    kl_weight: float = 1.0,
) -> float | None:
    """Return the exact rho_c of the linear Gaussian VAE, or None if (0, 1) contains no threshold.

    The forms `posterior` and `shrink` collapse above rho_c = sqrt((r - 1/K) / (1 - 1/K)) for 1/K < r < 1, the
    ambient form below rho_c = 1 / sqrt(1 + K (r - 1)) for r > 1, where r = s^2 / (b sigma_x^2).

    Args:
        data_variance: s^2 of each dimension of x.
        observation_variance: sigma_x^2.
        draws: K.
        form: the form of smoothing.
        kl_weight: b, all weights of the KL multiplied; with 0 nothing collapses.
    """
    if kl_weight == 0:
        return None
    ratio = max(data_variance) / observation_variance / kl_weight
    if form == "ambient":
        return 1 / math.sqrt(1 + draws * (ratio - 1)) if ratio > 1 else None
    return rho_retaining(ratio, draws) if 1 / draws < ratio < 1 else None
