"""The pieces of systems: features, and heads that turn features into parameters.

A piece maps vectors [..., inputs] to vectors [..., outputs] for any leading axes; convolutional pieces fold
vectors to maps internally. Features are the outputs of the hidden layers of `cell.hidden`. The parameters of
a Gaussian are its mean and the logarithm of its standard deviation, side by side: 2 d numbers. Smoothing
averages these outputs (our choice: the paper says "mean and variance").
"""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.declared.traits import InitialisationName
from ouvae.parts import convolution
from ouvae.parts.activations import ACTIVATIONS
from ouvae.parts.affine import Affine

Shape = tuple[int, ...]


class Hidden(nn.Sequential):
    """The hidden layers of `cell.hidden`: affine layers, each with an activation.

    Layer normalisation (Ba et al., arXiv 1607.06450) comes before the activation.
    """

    def __init__(self, cell: Cell, inputs: int) -> None:
        super().__init__()
        for before, after in pairwise((inputs, *cell.hidden)):
            if cell.normalisation == "layer":
                self.append(Affine(before, after, initialisation=cell.initialisation))
                self.append(nn.LayerNorm(after))
                self.append(ACTIVATIONS[cell.activation].layer())
            else:
                self.append(Affine(before, after, cell.activation, cell.initialisation))


class AffineGaussian(nn.Module):
    """A Gaussian whose mean is affine in the input and whose scale is one learned vector.

    The conditional of the linear Gaussian VAE, `ouvae.linear_gaussian`.
    """

    def __init__(self, inputs: int, size: int, initialisation: InitialisationName = "torch") -> None:
        super().__init__()
        self.mean = Affine(inputs, size, initialisation=initialisation)
        self.log_scale = nn.Parameter(torch.zeros(size))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return mean and log standard deviation side by side: [..., d_in] -> [..., 2 d]."""
        mean = self.mean(inputs)
        return torch.cat([mean, self.log_scale.expand_as(mean)], -1)


def image_features(cell: Cell, image_shape: Shape) -> nn.Module:
    """Return the hidden layers on an image: [..., D] -> [..., F]."""
    if cell.architecture == "conv":
        return convolution.image_features(cell, image_shape)
    return Hidden(cell, prod(image_shape))


def latent_features(cell: Cell, inputs: int, image_shape: Shape) -> nn.Module:
    """Return the hidden layers on a latent vector: [..., inputs] -> [..., F]."""
    if cell.architecture == "conv":
        return convolution.latent_features(cell, inputs, image_shape)
    return Hidden(cell, inputs)


def hidden_layers(cell: Cell, image_shape: Shape) -> nn.Module:
    """Return the hidden layers on features: [..., F] -> [..., F]."""
    if cell.architecture == "conv":
        return convolution.hidden_layers(cell, image_shape)
    return Hidden(cell, cell.hidden[-1])


def gaussian_head(cell: Cell, size: int, image_shape: Shape) -> nn.Module:
    """Return the parameters of a Gaussian from features: [..., F] -> [..., 2 size]."""
    if cell.architecture == "conv":
        return convolution.gaussian_head(cell, size, image_shape)
    return _head(cell, cell.hidden[-1], 2 * size)


def pixel_head(cell: Cell, image_shape: Shape, outputs: int) -> nn.Module:
    """Return the parameters of the pixels' likelihood from features: [..., F] -> [..., outputs]."""
    if cell.architecture == "conv":
        return convolution.pixel_head(cell, image_shape, outputs)
    return _head(cell, cell.hidden[-1], outputs)


def gaussian_of_image(cell: Cell, image_shape: Shape, size: int) -> nn.Module:
    """Return the network of q(z_1|x): [..., D] -> [..., 2 size]."""
    if cell.architecture == "affine":
        return AffineGaussian(prod(image_shape), size, cell.initialisation)
    return nn.Sequential(image_features(cell, image_shape), gaussian_head(cell, size, image_shape))


def gaussian_of_latent(cell: Cell, inputs: int, size: int, image_shape: Shape) -> nn.Module:
    """Return the network of a Gaussian given a latent vector: [..., inputs] -> [..., 2 size]."""
    if cell.architecture == "affine":
        return AffineGaussian(inputs, size, cell.initialisation)
    return nn.Sequential(latent_features(cell, inputs, image_shape), gaussian_head(cell, size, image_shape))


def pixels_of_latent(cell: Cell, inputs: int, image_shape: Shape, outputs: int) -> nn.Module:
    """Return the network of p(x|z_1): [..., inputs] -> [..., outputs]."""
    if cell.architecture == "affine":
        return _head(cell, inputs, outputs)
    return nn.Sequential(latent_features(cell, inputs, image_shape), pixel_head(cell, image_shape, outputs))


def _head(cell: Cell, inputs: int, outputs: int) -> Affine:
    """Return an affine layer without an activation."""
    return Affine(inputs, outputs, initialisation=cell.initialisation)
