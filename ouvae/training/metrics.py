"""What is measured of a member on the validation split, in nats."""

from dataclasses import dataclass

import torch
from torch import Tensor

ACTIVE_VARIANCE = 0.01
"""A unit is active if the variance over x of its posterior mean exceeds this (Burda et al. 2016)."""


@dataclass(frozen=True)
class Metrics:
    """One evaluation of one member; lists run over the layers, z_1 first.

    Attributes:
        step: training steps done.
        elbo_nats: the ELBO without smoothing, a lower bound whatever rho is.
        objective_nats: the smoothed objective that training maximises (KL weight 1); for large K and small
            rho it is no lower bound.
        reconstruction_nats: E_q[log p(x|z_1)] without smoothing.
        kl_nats: KL of each layer, without smoothing.
        kl_top_nats: the last of them, from the closed form.
        active_units: number of active units of each layer.
        gradient_variance: see `ouvae.training.gradients`, without smoothing; None where it is not asked for.
        gradient_variance_smoothed: the same with the smoothing that the settings name for it.
    """

    step: int
    elbo_nats: float
    objective_nats: float
    reconstruction_nats: float
    kl_nats: list[float]
    kl_top_nats: float
    active_units: list[int]
    gradient_variance: float | None = None
    gradient_variance_smoothed: float | None = None


@dataclass(frozen=True)
class TestMetrics:
    """What is measured of one member at the end, on the test split, without smoothing.

    Attributes:
        selected_step: training steps of the weights that are measured, chosen on the validation split.
        test_bound_nats: L_k, the importance weighted bound with k samples (Burda et al. 2016), mean over
            images.
        test_elbo_nats: the ELBO.
        test_kl_nats: KL of each layer, z_1 first.
        test_kl_top_nats: the last of them.
        test_active_units: number of active units of each layer.
    """

    __test__ = False  # no class of tests, whatever its name

    selected_step: int
    test_bound_nats: float
    test_elbo_nats: float
    test_kl_nats: list[float]
    test_kl_top_nats: float
    test_active_units: list[int]


def active_units(first: Tensor, second: Tensor) -> Tensor:
    """Count the units whose posterior mean varies with x: [P, N, d] twice -> [P].

    Above z_1 the posterior mean depends on the sampled layers below, and Burda's criterion is the variance
    over x of its expectation given x. The covariance over x of two evaluations with independent noise
    estimates that without bias, where the variance of a single one would count the noise as activity.
    """
    first = first - first.mean(1, keepdim=True)
    second = second - second.mean(1, keepdim=True)
    covariance = (first * second).sum(1) / (first.shape[1] - 1)
    return torch.as_tensor((covariance > ACTIVE_VARIANCE).sum(-1))
