"""p(x|z_1): densities of pixels with a network's outputs as parameters.

A new likelihood is a class here, and a line in `ouvae.declared.choices`.
"""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from ouvae.declared import LIKELIHOODS, Cell
from ouvae.parts.distributions import bernoulli_log_density, gaussian_log_density
from ouvae.parts.networks import Shape


class Likelihood(nn.Module, ABC):
    """A density of pixels given a network's outputs, with the keys of a cell."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()

    def outputs(self, image_shape: Shape) -> int:
        """Return the number of outputs for images of this shape, by default the number of pixels."""
        return math.prod(image_shape)

    @abstractmethod
    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return log p(x|outputs) in nats, summed over pixels: [B, D], [..., B, outputs] -> [..., B]."""

    @abstractmethod
    def mean(self, outputs: Tensor, image_shape: Shape) -> Tensor:
        """Return the mean of p(x|outputs), flattened images of this shape: [..., outputs] -> [..., D]."""


class Bernoulli(Likelihood):
    """Binary pixels; the outputs are logits."""

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return the log density."""
        return bernoulli_log_density(x, outputs)

    def mean(self, outputs: Tensor, image_shape: Shape) -> Tensor:
        """Return the probability that a pixel is 1."""
        return outputs.sigmoid()


class FixedVarianceGaussian(Likelihood):
    """Real pixels with the variance `observation_variance`; the outputs are means."""

    observation_variance: float | Tensor

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        assert cell.observation_variance is not None
        self.observation_variance = cell.observation_variance

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return the log density."""
        variance = self.observation_variance
        log_variance = variance.log() if isinstance(variance, Tensor) else math.log(variance)
        return gaussian_log_density(x, outputs, 0.5 * log_variance)

    def mean(self, outputs: Tensor, image_shape: Shape) -> Tensor:
        """Return the outputs, which are the means."""
        return outputs


def likelihood_of(cell: Cell) -> Likelihood:
    """Return the cell's likelihood."""
    likelihood: Likelihood = LIKELIHOODS.load(cell.likelihood)(cell)
    return likelihood
