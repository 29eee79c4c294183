"""p(x|z_1): how a network's outputs become a density of pixels. A new one is a class and a line in `_OF`."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from ouvae.parts.distributions import bernoulli_log_density, gaussian_log_density
from ouvae.parts.logistic_mixture import LogisticMixture
from ouvae.parts.networks import Shape
from ouvae.settings import Settings


class Likelihood(Protocol):
    """A density of pixels given a network's outputs."""

    def outputs(self, image_shape: Shape) -> int:
        """Return how many outputs an image of that shape asks of the network."""

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return log p(x|outputs) in nats, summed over pixels: [B, D], [..., B, outputs] -> [..., B]."""


class Bernoulli:
    """Binary pixels; the outputs are logits."""

    def outputs(self, image_shape: Shape) -> int:
        """Return one a pixel."""
        return math.prod(image_shape)

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return the log density."""
        return bernoulli_log_density(x, outputs)


class FixedVarianceGaussian:
    """Real pixels with one known variance; the outputs are means."""

    def __init__(self, variance: float) -> None:
        """Take the variance of every pixel."""
        self._log_scale = 0.5 * math.log(variance)

    def outputs(self, image_shape: Shape) -> int:
        """Return one a pixel."""
        return math.prod(image_shape)

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return the log density."""
        return gaussian_log_density(x, outputs, self._log_scale)


def _gaussian(settings: Settings) -> Likelihood:
    assert settings.observation_variance is not None, "a gaussian likelihood has an observation_variance"
    return FixedVarianceGaussian(settings.observation_variance)


def _logistic_mixture(settings: Settings) -> Likelihood:
    assert settings.mixture_components is not None, "a logistic_mixture likelihood has mixture_components"
    return LogisticMixture(settings.mixture_components)


_OF: Mapping[str, Callable[[Settings], Likelihood]] = MappingProxyType(
    {
        "bernoulli": lambda settings: Bernoulli(),
        "gaussian": _gaussian,
        "logistic_mixture": _logistic_mixture,
    }
)


def likelihood_of(settings: Settings) -> Likelihood:
    """Return the likelihood that the settings name."""
    return _OF[settings.likelihood](settings)
