"""Convolutional versions of the pieces in `ouvae.parts.networks`, with flat inputs and outputs.

A hidden layer is a 3x3 convolution and its activation; `cell.hidden` lists the channels. Kernels, strides and
the way back from the grid to an image are our choice, since the paper does not state them. Features are maps
on a grid with a quarter of the image's sides, flattened channels first, then rows, then columns: F = channels
* rows/4 * columns/4. Images and outputs are flattened in the same order.

Layers before an activation start with the weights of He et al. (ICCV 2015), which preserve the size of
signals through ReLUs. PyTorch's default more than halves it in each layer, so that the pixels of a deep
network hardly depend on the latent variables at first: small models that learn from He's weights stay
collapsed from the default. Gaussians start at unit scale. With signals of full size their random scales would
multiply through the stack, and the KL of some seeds would start at 1e8 nats.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.parts.activations import ACTIVATIONS

REDUCTION = 4
"""Ratio of an image's sides to those of the grid of features: two strides of 2."""


class OnMaps(nn.Module):
    """Layers on maps, applied to flat vectors: [..., channels * rows * columns] -> [..., outputs]."""

    def __init__(self, maps: tuple[int, int, int], layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.maps = maps
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layers' maps, flattened."""
        maps: Tensor = self.layers(inputs.reshape(-1, *self.maps))
        return maps.reshape(*inputs.shape[:-1], -1)


def image_features(cell: Cell, image_shape: tuple[int, ...]) -> nn.Module:
    """Return the convolutions on an image, from full resolution down to the grid: [..., D] -> [..., F].

    The first layer keeps the resolution, and two of the others halve it; see `strides`.
    """
    maps = _maps(image_shape)
    steps = strides(len(cell.hidden))
    if len(steps) == 1:
        # A single layer must read every pixel: patches, side by side.
        patches = nn.Conv2d(maps[0], cell.hidden[0], REDUCTION, REDUCTION)
        return OnMaps(maps, _activated(cell, patches, maps[0] * REDUCTION**2))
    return OnMaps(maps, _convolutions(cell, maps[0], steps))


def latent_features(cell: Cell, inputs: int, image_shape: tuple[int, ...]) -> nn.Module:
    """Return a dense layer to maps on the grid and the convolutions there: [..., inputs] -> [..., F]."""
    maps = (cell.hidden[0], *_grid(image_shape))
    convolutions = OnMaps(maps, _convolutions(cell, maps[0]))
    return nn.Sequential(*_activated(cell, nn.Linear(inputs, prod(maps)), inputs), convolutions)


def hidden_layers(cell: Cell, image_shape: tuple[int, ...]) -> nn.Module:
    """Return the convolutions on features: [..., F] -> [..., F]."""
    maps = (cell.hidden[-1], *_grid(image_shape))
    return OnMaps(maps, _convolutions(cell, maps[0]))


def gaussian_head(cell: Cell, size: int, image_shape: tuple[int, ...]) -> nn.Module:
    """Return a dense layer to the parameters of a Gaussian: [..., F] -> [..., 2 size].

    The half for the log scales starts at zero.
    """
    head = nn.Linear(cell.hidden[-1] * prod(_grid(image_shape)), 2 * size)
    nn.init.zeros_(head.weight[size:])
    nn.init.zeros_(head.bias[size:])
    return head


def pixel_head(cell: Cell, image_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return the layers from the grid to a likelihood's outputs: [..., F] -> [..., outputs].

    Two transposed 4x4 convolutions of stride 2, an activation after each, and a 3x3 convolution to outputs /
    (rows * columns) maps. A transposed convolution takes 4 multiplications for each pixel and pair of
    channels; nearest-neighbour upsampling and a 3x3 convolution take 9. On one CPU core it is twice as fast
    at 100 channels, packed or not, and no slower at 16 channels packed.
    """
    channels = cell.hidden[-1]
    _, rows, columns = _maps(image_shape)
    upsampling: list[nn.Module] = []
    for _ in range(2):
        # Every other row and column of the 4x4 kernel meets a pixel.
        upsampling += _activated(cell, nn.ConvTranspose2d(channels, channels, 4, 2, padding=1), 4 * channels)
    last = nn.Conv2d(channels, outputs // (rows * columns), 3, padding=1)
    return OnMaps((channels, *_grid(image_shape)), [*upsampling, last])


def strides(layers: int) -> tuple[int, ...]:
    """Return the stride of each layer on an image.

    With three layers or more, the second layer and the one after the middle have stride 2: the second and the
    fourth of five. With two layers, both have stride 2. A single layer has stride 4.
    """
    if layers == 1:
        return (REDUCTION,)
    halving = {0, 1} if layers == 2 else {1, 1 + (layers - 1) // 2}
    return tuple(2 if layer in halving else 1 for layer in range(layers))


def _convolutions(cell: Cell, inputs: int, steps: Sequence[int] | None = None) -> list[nn.Module]:
    layers: list[nn.Module] = []
    sizes = pairwise((inputs, *cell.hidden))
    for (before, after), step in zip(sizes, steps or [1] * len(cell.hidden), strict=True):
        layers += _activated(cell, nn.Conv2d(before, after, 3, step, padding=1), 9 * before)
    return layers


def _activated(cell: Cell, layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, fan_in: int) -> list[nn.Module]:
    """Give the layer He's weights, and add its activation. An output is a sum of `fan_in` products."""
    nn.init.normal_(layer.weight, std=(2 / fan_in) ** 0.5)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return [layer, ACTIVATIONS[cell.activation].layer()]


def _grid(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns of the features' maps."""
    _, rows, columns = _maps(image_shape)
    return rows // REDUCTION, columns // REDUCTION


def _maps(image_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (channels, rows, columns) of an image.

    Raises:
        ValueError: the shape is not an image's, or its sides cannot be halved twice.
    """
    if len(image_shape) not in (2, 3) or any(side % REDUCTION for side in image_shape[-2:]):
        raise ValueError(
            f"architecture conv with observations of shape {image_shape}; it takes images (rows, columns) "
            f"or (channels, rows, columns) with rows and columns that are multiples of {REDUCTION}; use "
            "architecture mlp for others"
        )
    channels, rows, columns = (1, *image_shape)[-3:]
    return channels, rows, columns
