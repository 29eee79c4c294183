"""The networks of the conditionals: what gives the parameters of one conditional distribution.

A conditional is a module that maps its input [..., d_in] to [..., d_out] parameters. The parameters of a
Gaussian are its mean and the logarithm of its standard deviation, side by side: 2 d of them. Smoothing
averages these outputs (our choice: the paper says "mean and variance").
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ouvae.settings import Architecture


class MLP(nn.Sequential):
    """Hidden layers of ReLU units and an affine output, as in the paper's MLP models."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        """Build the layers; `hidden` may be empty."""
        widths = (inputs, *hidden)
        layers: list[nn.Module] = []
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], outputs))


class AffineGaussian(nn.Module):
    """A Gaussian whose mean is affine in the input and whose scale is one learned vector.

    The conditional of the linear Gaussian VAE, `ouvae.control`.
    """

    def __init__(self, inputs: int, size: int) -> None:
        """Build for a Gaussian of `size` dimensions."""
        super().__init__()
        self.mean = nn.Linear(inputs, size)
        self.log_scale = nn.Parameter(torch.zeros(size))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return mean and log standard deviation side by side: [..., d_in] -> [..., 2 d]."""
        mean = self.mean(inputs)
        return torch.cat([mean, self.log_scale.expand_as(mean)], -1)


def gaussian_network(architecture: Architecture, inputs: int, hidden: Sequence[int], size: int) -> nn.Module:
    """Return the network of a Gaussian of `size` dimensions: [..., inputs] -> [..., 2 size]."""
    if architecture == "affine":
        return AffineGaussian(inputs, size)
    return MLP(inputs, hidden, 2 * size)


def location_network(architecture: Architecture, inputs: int, hidden: Sequence[int], size: int) -> nn.Module:
    """Return the network of p(x|z_1): Bernoulli logits or Gaussian means, [..., inputs] -> [..., size]."""
    return MLP(inputs, () if architecture == "affine" else hidden, size)
