"""p(x|z_1): densities of pixels with a network's outputs as parameters.

A new likelihood is a class with a class method `of`, and a line in `ouvae.declared.choices`.
"""

import math
from typing import Protocol, Self

from torch import Tensor

from ouvae.declared import LIKELIHOODS, Cell
from ouvae.parts.distributions import bernoulli_log_density, gaussian_log_density
from ouvae.parts.networks import Shape


class Likelihood(Protocol):
    """A density of pixels given a network's outputs."""

    def outputs(self, image_shape: Shape) -> int:
        """Return the number of outputs that the network needs for images of this shape."""

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return log p(x|outputs) in nats, summed over pixels: [B, D], [..., B, outputs] -> [..., B]."""

    def mean(self, outputs: Tensor, image_shape: Shape) -> Tensor:
        """Return the mean of p(x|outputs), flattened images of this shape: [..., outputs] -> [..., D]."""


class Bernoulli:
    """Binary pixels; the outputs are logits."""

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return the Bernoulli likelihood."""
        return cls()

    def outputs(self, image_shape: Shape) -> int:
        """Return the number of pixels."""
        return math.prod(image_shape)

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return the log density."""
        return bernoulli_log_density(x, outputs)

    def mean(self, outputs: Tensor, image_shape: Shape) -> Tensor:
        """Return the probability that a pixel is 1."""
        return outputs.sigmoid()


class FixedVarianceGaussian:
    """Real pixels with one fixed variance; the outputs are means."""

    def __init__(self, variance: float) -> None:
        """Take the variance of every pixel."""
        self._log_scale = 0.5 * math.log(variance)

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return the likelihood with the cell's `observation_variance`."""
        assert cell.observation_variance is not None, "a gaussian likelihood has an observation_variance"
        return cls(cell.observation_variance)

    def outputs(self, image_shape: Shape) -> int:
        """Return the number of pixels."""
        return math.prod(image_shape)

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return the log density."""
        return gaussian_log_density(x, outputs, self._log_scale)

    def mean(self, outputs: Tensor, image_shape: Shape) -> Tensor:
        """Return the outputs, which are the means."""
        return outputs


def likelihood_of(cell: Cell) -> Likelihood:
    """Return the cell's likelihood."""
    likelihood: Likelihood = LIKELIHOODS.load(cell.likelihood).of(cell)
    return likelihood
