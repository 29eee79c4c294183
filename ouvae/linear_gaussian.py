"""The analytic control: linear Gaussian VAEs with exact critical values.

**One layer.** x ~ N(0, s^2), q(z|x) = N(a x, v), p(x|z) = N(w z, sigma_x^2) with sigma_x fixed and p(x|z)
smoothed with K draws. The input noise of the linear network has the variance g v with g = rho^2 +
(1 - rho^2)/K. In the posterior form this is the variance of a mean over draws; in the form `shrink` it holds
by construction. With the weight b of the KL, the expected loss

    (s^2 (1 - w a)^2 + w^2 g v) / (2 sigma_x^2) + b (a^2 s^2 + v - 1 - log v) / 2

is the same in both forms, up to a constant. At the collapsed point a = w = 0, v = 1 its gradient is zero and
its Hessian is b/2 in v and [[b s^2, -s^2/sigma_x^2], [-s^2/sigma_x^2, g/sigma_x^2]] in a and w. The
determinant is s^2/sigma_x^2 (b g - s^2/sigma_x^2), so the collapsed point is stable if and only if b g >=
s^2/sigma_x^2. The ambient form shrinks the mean too: its loss has s^2 (1 - rho w a)^2, its Hessian -rho
s^2/sigma_x^2 off the diagonal. In every form the weight b has the effect of dividing s^2 by b, and the loss
has no other stationary point where the collapsed one is stable: the transition is continuous.

**The cascade.** In D dimensions, with eigenvalues s_1^2 > s_2^2 > ... of the covariance of x, the loss of d
units is the sum of the above over pairs of a unit and an eigenvector, if the weights of each unit lie along
an eigenvector that no other unit has. Let the first k - 1 units be at the optimum of their eigenvectors. A
further unit with small weights a and w along eigenvector j has the Hessian of above with
-(1 - w_j a_j) s_j^2/sigma_x^2 off the diagonal, where w_j a_j is the share that is reconstructed already. For
j >= k this share is 0, and the unit is stable at 0 if and only if s_j^2 <= b g sigma_x^2. For j < k,
(1 - w_j a_j)^2 s_j^2 is below b g sigma_x^2 at the optimum, so that no second unit takes the same
eigenvector. The k-th most informative unit therefore collapses where a model of the eigenvalue s_k^2 does:

    b_c,k = s_k^2 / (g sigma_x^2),    sigma_x^2_c,k = s_k^2 / (b g),    g(rho_c,k) = s_k^2 / (b sigma_x^2).

Without smoothing (g = 1) this is the global optimum: the loss divided by b is the negative ELBO of a model
with the variance b sigma_x^2, its minimum is probabilistic PCA (Tipping and Bishop, 1999; Lucas et al.,
NeurIPS 2019), and the unit of s_k^2 has

    w a = a^2 s_k^2 = 1 - b / b_c,k,    v = b / b_c,k,    KL = ln(b_c,k / b) / 2    for b < b_c,k.

A KL of L nats is thus reached at b = b_c,k e^(-2 L).

**Two layers.** q(z_1|x) = N(a x, v_1), q(z_2|z_1) = N(c z_1, v), p(z_2) = N(0, 1), p(z_1|z_2) = N(d z_2, t)
with a learned t and smoothed, p(x|z_1) as above. Let B be the weight of the top KL relative to that of the
other, and m = a^2 s^2 + v_1 the variance of z_1. At the best t, with c and d in units of z_1 in which m = 1,
the loss is

    (s^2 (1 - w a)^2 + w^2 g_1 v_1) / (2 sigma_x^2) + b log(m / v_1) / 2 + b F(c, d, v) / 2,
    F = log((1 - c d)^2 + d^2 g v) + B (c^2 + v - 1 - log v),

where g_1 is g if p(x|z_1) is smoothed, else 1. The two parts have no parameter in common.

- The first is, at the best w, s^2 / (2 sigma_x^2 (1 + u/g_1)) + b log(1 + u) / 2 with u = a^2 s^2 / v_1. Its
  minimum is at u = 0 if and only if s^2 <= b g_1 sigma_x^2: then z_1 knows nothing of x, as in one layer.
- The second is, at the best d, F = log(g v / (c^2 + g v)) + B (c^2 + v - 1 - log v). Its minimum is at c = 0,
  v = 1 if and only if B g >= 1. For 1 < B < 1/g it is at v = (B - 1) / (B (1 - g)), c^2 = 1/B - g v. For
  B <= 1 and g < 1 there is no minimum: F falls forever as v -> 0, and the KL of the top layer grows without
  bound.

So the top layer is collapsed for B g >= 1. Otherwise it encodes z_1, which is noise for s^2 <= b g_1
sigma_x^2 and knows x above. The same holds with several units: z_1 has independent units at the optimum, and
a unit of z_2 encodes one of them. It is undetermined which, so the line of the information is known only if
z_2 has at least as many units as z_1. In the ambient form F = log((v + q) / (c^2 + v + q)) + B (...) with
q = (1/rho^2 - 1)/K, and 1 + q takes the place of g in B g >= 1.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ouvae.declared import Cell
from ouvae.declared.controls import RHO
from ouvae.declared.order_parameters import MOST_UNITS
from ouvae.declared.retained_variance import retained_variance, rho_retaining
from ouvae.declared.traits import SmoothingForm


def is_linear(cell: Cell) -> bool:
    """Tell whether a cell is a linear Gaussian VAE: affine networks and a Gaussian p(x|z_1)."""
    return not cell.traits("architecture").layered and cell.observation_variance is not None


@dataclass(frozen=True)
class _Balance:
    """What is active if and only if weights * G < gain, where G is `critical_ratio` if smoothed, else 1."""

    gain: float
    weights: tuple[str, ...]
    smoothed: bool

    def gain_over_weights(self, cell: Cell, without: str = "") -> float:
        """Return the gain over the product of the weights of a cell, except for one of them."""
        weight = math.prod(getattr(cell, name) for name in self.weights if name != without)
        return self.gain / weight if weight else math.inf

    def ratio(self, cell: Cell) -> float:
        """Return G of a cell."""
        return critical_ratio(cell.rho, cell.ou_samples, cell.smoothing) if self.smoothed else 1.0


def critical_values(cell: Cell, control: str, spectrum: Sequence[float] | None = None) -> dict[str, float]:
    """Return the exact critical values of a control parameter of a cell, by order parameter.

    They are known for linear Gaussian VAEs of one or two layers with the ELBO, where no q is smoothed. What
    has no closed form, or no transition, is left out: importance samples, free bits and weight decay move the
    value at which the collapsed point loses its stability.

    Args:
        cell: at any value of the control parameter.
        control: the control parameter.
        spectrum: eigenvalues of the covariance of the data, the largest first; None if the cell has
            `data_variance`, or if they are not known.
    """
    variances = sorted(cell.data_variance or spectrum or (), reverse=True)
    if not (is_linear(cell) and variances and cell.depth <= 2):
        return {}
    if cell.objective != "elbo" or cell.weight_decay or _smooths(cell, "inference"):
        return {}
    values = ((order, _critical(cell, control, parts)) for order, parts in _balances(cell, variances))
    return {order: value for order, value in values if value is not None}


def _balances(cell: Cell, variances: Sequence[float]) -> Iterator[tuple[str, Sequence[_Balance]]]:
    """Yield order parameters, each with the balances that are all needed for it to be active."""
    below = [
        _Balance(s, ("kl_weight", "observation_variance"), _smooths(cell, "likelihood")) for s in variances
    ]
    if cell.depth == 1:
        units = [
            _Balance(part.gain, (*part.weights, "top_kl_weight"), part.smoothed)
            for part in below[: cell.latents[0]]
        ]
        for name in ("kl_top", "information_top", "kl_top_pair", "signal_share_top"):
            yield name, units[:1]
    else:
        units = [_Balance(1.0, ("top_kl_weight",), _smooths(cell, "generative"))] * min(cell.latents)
        yield "kl_top", units[:1]
        if cell.latents[1] >= cell.latents[0]:
            yield "information_top", (units[0], below[0])
    for rank, unit in enumerate(units[:MOST_UNITS], start=1):
        yield f"kl_top_unit_{rank}", (unit,)


def _smooths(cell: Cell, network: str) -> bool:
    return network in cell.smoothed_networks


def _critical(cell: Cell, control: str, parts: Sequence[_Balance]) -> float | None:
    """Return the value of a control parameter at which the first of several balances is lost.

    None if there is none, or if a balance that does not depend on it is lost already.
    """
    moved = [part for part in parts if (part.smoothed if control == RHO else control in part.weights)]
    held = [part for part in parts if part not in moved]
    if not moved or any(part.gain_over_weights(cell) <= part.ratio(cell) for part in held):
        return None
    if control == RHO:
        gain = min(part.gain_over_weights(cell) for part in moved)
        return _rho_of_ratio(gain, cell.ou_samples, cell.smoothing)
    value = min(part.gain_over_weights(cell, control) / part.ratio(cell) for part in moved)
    return value if 0 < value < math.inf else None


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

    The largest variance decides: it collapses last.

    Args:
        data_variance: s^2 of each dimension of x.
        observation_variance: sigma_x^2.
        draws: K.
        form: the form of smoothing.
        kl_weight: b, all weights of the KL multiplied; with 0 nothing collapses.
    """
    if kl_weight == 0:
        return None
    return _rho_of_ratio(max(data_variance) / observation_variance / kl_weight, draws, form)


def _rho_of_ratio(ratio: float, draws: int, form: SmoothingForm) -> float | None:
    """Return the rho in (0, 1) at which `critical_ratio` is a ratio r; None if there is none.

    The forms `posterior` and `shrink` collapse above rho_c = sqrt((r - 1/K) / (1 - 1/K)) for 1/K < r < 1, the
    ambient form below rho_c = 1 / sqrt(1 + K (r - 1)) for r > 1.
    """
    if form == "ambient":
        return 1 / math.sqrt(1 + draws * (ratio - 1)) if 1 < ratio < math.inf else None
    return rho_retaining(ratio, draws) if 1 / draws < ratio < 1 else None
