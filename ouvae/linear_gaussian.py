"""The analytic control: a linear Gaussian VAE whose critical threshold is known exactly.

x ~ N(0, s^2), q(z|x) = N(a x, v), p(x|z) = N(w z, sigma_x^2) with sigma_x fixed and p(x|z) smoothed with K
draws. To second order around the collapsed point a = w = 0, v = 1, the collapsed point is stable if and
only if the variance that smoothing retains of a linear network does not fall short of what the data
offer. In D dimensions the largest variance decides, since the thresholds of the others follow below it.
"""

import math
from collections.abc import Sequence

from ouvae.declared.traits import SmoothingForm


def critical_rho(
    data_variance: Sequence[float],
    observation_variance: float,
    draws: int,
    form: SmoothingForm = "posterior",
) -> float | None:
    """Return the exact rho_c of the linear Gaussian VAE, or None where no threshold lies inside (0, 1).

    Args:
        data_variance: s^2 of each dimension of x.
        observation_variance: sigma_x^2.
        draws: K.
        form: the posterior form collapses above rho_c if s^2/sigma_x^2 <= rho^2 + (1 - rho^2)/K, so that
            rho_c = sqrt((s^2/sigma_x^2 - 1/K) / (1 - 1/K)) for 1/K < s^2/sigma_x^2 < 1; the ambient form
            collapses below rho_c = 1 / sqrt(1 + K (s^2/sigma_x^2 - 1)) for s^2 > sigma_x^2.
    """
    ratio = max(data_variance) / observation_variance
    if form == "posterior":
        inside = 1 / draws < ratio < 1
        return math.sqrt((ratio - 1 / draws) / (1 - 1 / draws)) if inside else None
    return 1 / math.sqrt(1 + draws * (ratio - 1)) if ratio > 1 else None
