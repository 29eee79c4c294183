"""Active latent units, the share of signal, and the values of a single member.

`ouvae.declared.metrics` lists the metrics by name.


Shapes: P members, N images, D draws of the layers below, d units of a layer.
"""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ouvae.declared import METRICS, TEST_METRICS, Metric
from ouvae.training.outcome import Values

ACTIVE_VARIANCE = 0.01
"""Variance over x of a unit's posterior mean above which it is active (Burda et al. 2016)."""

ACTIVE_LEVEL = 0.0015
"""Nominal level of the tests that call a unit active.

Their actual level is at most 1 %. It exceeds the nominal level for noiseless signals of two values with the
variance `ACTIVE_VARIANCE`: at 1 % nominal it is 2.9 % with 20 images, at 0.15 % at most 0.9 % with 20 images
or more.
"""

ACTIVE_IMAGES = 20
"""Minimum number of images to call a unit active. With 10 images, signals of two values exceed 1 %: 1.1 %."""

_NULL_IF_NAN = {metric.name for metric in (*METRICS, *TEST_METRICS) if metric.undefined}


class UnitMoments(NamedTuple):
    """Moments of the posterior means of a layer's units over the draws of the layers below.

    Attributes:
        mean: [P, N, d] mean over D draws for each image.
        variance: [P, N, d] unbiased variance of a single draw for each image; 0 if no layer below is drawn.
        draws: D.
    """

    mean: Tensor
    variance: Tensor
    draws: int


def values_of(measured: dict[str, Tensor], row: int) -> Values:
    """Return a member's values of metrics [P] or [P, L], with None for NaN if a metric can be undefined."""
    values: Values = {name: value[row].tolist() for name, value in measured.items()}
    for name in _NULL_IF_NAN & values.keys():
        values[name] = _nan_as_none(values[name])
    return values


def _nan_as_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_nan_as_none(entry) for entry in value]
    return None if math.isnan(value) else value


def completed(values: Values, metrics: Iterable[Metric]) -> Values:
    """Return a measurement with None for missing metrics."""
    return values | {metric.name: None for metric in metrics if metric.name not in values}


def unit_moments(means: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of posterior means [D, N, d] over draws; [N, d] has variance 0."""
    if means.dim() == 2:
        return means, torch.zeros_like(means)
    return means.mean(0), means.var(0)


def explained_variance(units: UnitMoments) -> Tensor:
    """Return each image's contribution to the variance over x of E[posterior mean | x]: [P, N, d].

    Their mean over images is the unbiased one-way random-effects estimate: the variance over images of the
    mean over draws, minus the noise in that mean. It is NaN for a single image.
    """
    mean, variance = units.mean.double(), units.variance.double()
    count = mean.shape[-2]
    deviation = mean - mean.mean(-2, keepdim=True)
    return deviation.square() * _over(count, count - 1) - variance / units.draws


def active_units(units: UnitMoments) -> Tensor:
    """Count the units whose posterior mean demonstrably varies with x: [P].

    A unit is active if two one-sided tests reject that the variance over x of E[posterior mean | x] is
    `ACTIVE_VARIANCE` or less (Burda's criterion), each at `ACTIVE_LEVEL`:

    - Student's t of the images' contributions, which assumes no distribution. It fails on signals of two
      values, whose contributions are almost equal.
    - chi-squared of the variance over images, which is exact for normal signal and noise, and strict on
      signals of two values. It fails on heavy tails, where Student's t is strict.
    """
    count = units.mean.shape[-2]
    if count < ACTIVE_IMAGES:
        return torch.zeros(len(units.mean), dtype=torch.int64, device=units.mean.device)
    parts = explained_variance(units)
    error = parts.std(-2) / math.sqrt(count)
    by_student = parts.mean(-2) - _student_quantile(ACTIVE_LEVEL, count - 1) * error > ACTIVE_VARIANCE
    limit = ACTIVE_VARIANCE + units.variance.double().mean(-2) / units.draws
    by_chi_squared = units.mean.double().var(-2) > limit * _chi_squared_ratio(ACTIVE_LEVEL, count - 1)
    return torch.as_tensor((by_student & by_chi_squared).sum(-1))


def active_units_one_draw(means: Tensor) -> Tensor:
    """Count the units whose posterior mean at one draw varies over images: [P, N, d] -> [P].

    Common code counts this way, and includes units that follow only the noise of the layers below.
    """
    deviation = means - means.mean(1, keepdim=True)
    variance = deviation.square().sum(1) / (means.shape[1] - 1)
    return torch.as_tensor((variance > ACTIVE_VARIANCE).sum(-1))


def signal_share(units: UnitMoments) -> Tensor:
    """Return the share of the posterior mean's variance that x explains, summed over units: [P].

    The rest is noise of the layers below. NaN if no unit has a total variance above `ACTIVE_VARIANCE`.
    """
    explained = explained_variance(units).mean(-2)
    total = explained + units.variance.double().mean(-2)
    varies = (total > ACTIVE_VARIANCE).any(-1)
    return torch.where(varies, explained.sum(-1) / total.sum(-1), math.nan).to(units.mean.dtype)


def _over(count: int, freedom: int) -> float:
    return count / freedom if freedom else math.nan


def _student_quantile(level: float, freedom: int) -> float:
    """Return Student's upper quantile (Fisher and Cornish 1960), for 19 or more degrees of freedom."""
    z = NormalDist().inv_cdf(1 - level)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _chi_squared_ratio(level: float, freedom: int) -> float:
    """Return the upper quantile of chi-squared over its degrees of freedom (Wilson and Hilferty 1931)."""
    part = 2 / (9 * freedom)
    return (1 - part + NormalDist().inv_cdf(1 - level) * math.sqrt(part)) ** 3
