"""The smoothing parameter on two scales: rho, and g, the noise that smoothing leaves in a linear network.

For z = mean + scale * eps and K draws, U_rho of a linear network has the input's noise with the variance

    g(rho, K) = rho^2 + (1 - rho^2)/K

times scale^2. Thresholds of different K are compared in g, in which those of linear networks agree.
"""

import math
from typing import Any, TypeVar

N = TypeVar("N", bound=Any)
"""A float, or an array or tensor of them."""


def retained_variance(rho: N, draws: int) -> N:
    """Return g(rho, K), the remaining share of a linear network's variance: from 1/K at rho = 0 to 1."""
    share: N = rho * rho + (1 - rho * rho) / draws
    return share


def rho_retaining(share: float, draws: int) -> float:
    """Return the rho at which g(rho, K) is `share`, the inverse of `retained_variance`.

    Raises:
        ValueError: the share is not from 1/K to 1, or K is 1, where every rho has the share 1.
    """
    if draws == 1 or not 1 / draws <= share <= 1:
        raise ValueError(f"g = {share} with K = {draws}: give a g from 1/K to 1 and a K above 1")
    return math.sqrt((share - 1 / draws) / (1 - 1 / draws))
