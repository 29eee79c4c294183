"""The analytic control: a linear Gaussian VAE whose critical threshold is known exactly.

x ~ N(0, s^2), q(z|x) = N(a x, v), p(x|z) = N(w z, sigma_x^2) with sigma_x fixed and p(x|z) smoothed with K
draws. The noise that reaches the linear network has the variance g v, g = rho^2 + (1 - rho^2)/K, in the
posterior form as a mean over draws and in the form `shrink` by construction. With the weight b of the KL,
which is that of the top layer, the expected loss

    (s^2 (1 - w a)^2 + w^2 g v) / (2 sigma_x^2) + b (a^2 s^2 + v - 1 - log v) / 2

is the same in both, up to a constant. At the collapsed point a = w = 0, v = 1 its gradient is zero and its
Hessian is b/2 in v and [[b s^2, -s^2/sigma_x^2], [-s^2/sigma_x^2, g/sigma_x^2]] in a and w. The
determinant, s^2/sigma_x^2 (b g - s^2/sigma_x^2), says that the collapsed point is stable if and only if the
variance that smoothing retains of a linear network, times b, does not fall short of what the data offer.
The ambient form shrinks the mean too: its loss has s^2 (1 - rho w a)^2, its Hessian -rho s^2/sigma_x^2 off
the diagonal. In every form the weight does what dividing s^2 by it would do.

In D dimensions the largest variance decides, since the thresholds of the others follow below it.
"""

import math
from collections.abc import Sequence

from ouvae.declared.control_parameter import rho_retaining
from ouvae.declared.traits import SmoothingForm


def critical_rho(
    data_variance: Sequence[float],
    observation_variance: float,
    draws: int,
    form: SmoothingForm = "posterior",
    top_kl_weight: float = 1.0,
) -> float | None:
    """Return the exact rho_c of the linear Gaussian VAE, or None where no threshold lies inside (0, 1).

    Args:
        data_variance: s^2 of each dimension of x.
        observation_variance: sigma_x^2.
        draws: K.
        form: the forms `posterior` and `shrink` collapse above rho_c if s^2/sigma_x^2 <= g(rho, K), so that
            rho_c = sqrt((s^2/sigma_x^2 - 1/K) / (1 - 1/K)) for 1/K < s^2/sigma_x^2 < 1; the ambient form
            collapses below rho_c = 1 / sqrt(1 + K (s^2/sigma_x^2 - 1)) for s^2 > sigma_x^2.
        top_kl_weight: b, by which s^2/sigma_x^2 is to be divided in all of this. Without any weight
            nothing collapses.
    """
    if top_kl_weight == 0:
        return None
    ratio = max(data_variance) / observation_variance / top_kl_weight
    if form == "ambient":
        return 1 / math.sqrt(1 + draws * (ratio - 1)) if ratio > 1 else None
    return rho_retaining(ratio, draws) if 1 / draws < ratio < 1 else None
