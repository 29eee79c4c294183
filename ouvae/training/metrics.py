"""Pieces of what is measured; the metrics by name are in `ouvae.declared.metrics`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ouvae.declared import Metric

ACTIVE_VARIANCE = 0.01
"""A unit is active if the variance over x of its posterior mean exceeds this (Burda et al. 2016)."""

Values = dict[str, Any]
"""One measurement of one member: metrics by name, as numbers or lists over layers, z_1 first."""


def values_of(measured: dict[str, Tensor], row: int) -> Values:
    """Return a member's own of metrics [P] or [P, L]."""
    return {name: value[row].tolist() for name, value in measured.items()}


def completed(values: Values, metrics: Iterable[Metric]) -> Values:
    """Return a measurement with None for the metrics that it lacks."""
    return values | {metric.name: None for metric in metrics if metric.name not in values}


def active_units(first: Tensor, second: Tensor) -> Tensor:
    """Count the units whose posterior mean varies with x: [P, N, d] twice -> [P].

    Burda's criterion is the variance over x of the mean's expectation given x.
    """
    return torch.as_tensor((_covariance(first, second) > ACTIVE_VARIANCE).sum(-1))


def signal_share(first: Tensor, second: Tensor) -> Tensor:
    """Return the share of the posterior mean's variance that x explains: [P, N, d] twice -> [P].

    Variances are summed over units. The rest is noise of the layers below; 0 where there is no variance.
    """
    total = (_covariance(first, first) + _covariance(second, second)).sum(-1) / 2
    share = _covariance(first, second).sum(-1) / total
    return torch.where(total > 0, share, 0)


def _covariance(first: Tensor, second: Tensor) -> Tensor:
    """Return the covariance over images of each unit's posterior mean: [P, N, d] twice -> [P, d].

    Above z_1 the posterior mean depends on the sampled layers below. The covariance of two evaluations with
    independent noise estimates the variance over x of its expectation given x without bias, where the
    variance of a single one would count the noise as signal.
    """
    first = first - first.mean(1, keepdim=True)
    second = second - second.mean(1, keepdim=True)
    return (first * second).sum(1) / (first.shape[1] - 1)
