"""p(x|z_1) of grey or coloured bytes: a discretized mixture of logistics, as in PixelCNN++.

Salimans, Karpathy, Chen and Kingma, "PixelCNN++" (ICLR 2017), sections 2.1 and 2.2. A pixel has M components.
A component has a weight, and a logistic distribution for each channel on [-1, 1]. The 256 values of a byte
lie 2/255 apart there; each has the mass of its bin, and the lowest and highest value also that of the tails.
The mean of green depends on red, the mean of blue on red and green, by factors that tanh keeps in (-1, 1).
"""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from ouvae.declared import Cell
from ouvae.parts.likelihoods import Likelihood

LEVELS = 256
"""Values of a pixel: x = k/255 for k = 0 … 255."""

LOG_SCALE_LIMITS = (-7.0, 50.0)
"""Limits of log scales: below as in the paper's code, an eighth of a bin; above only to keep the mass of a
bin above the smallest float32."""

_BIN = 2 / (LEVELS - 1)


class LogisticMixture(Likelihood):
    """Mixtures of logistics, for images with one channel or three.

    The outputs are flattened maps: [parameter, component, row, column]. The parameters are the weight's
    logit, the mean of each channel, the log scale of each channel, and for three channels the factors of red
    in green, of red in blue and of green in blue: 3 M outputs for a grey pixel, 10 M for a coloured pixel.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        assert cell.mixture_components is not None
        self._components = cell.mixture_components

    def outputs(self, image_shape: tuple[int, ...]) -> int:
        """Return the number of outputs: 3 M for each pixel with one channel, 10 M with three.

        Raises:
            ValueError: another number of channels.
        """
        channels = image_shape[0] if len(image_shape) == 3 else 1
        if channels not in (1, 3):
            raise ValueError(
                f"likelihood logistic_mixture with images of shape {image_shape}; it takes 1 or 3 channels"
            )
        return self._components * _parameters(channels) * prod(image_shape) // channels

    def log_density(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Return log p(x|outputs) in nats, summed over pixels: [B, D], [..., B, outputs] -> [..., B].

        x is k/255, channels first, then rows, then columns. The sizes determine the number of channels.
        """
        channels = 1 if outputs.shape[-1] == self._components * _parameters(1) * x.shape[-1] else 3
        values = (2 * x - 1).reshape(*x.shape[:-1], channels, 1, -1)
        maps = outputs.reshape(*outputs.shape[:-1], _parameters(channels), self._components, -1)
        log_weights = maps[..., 0, :, :].log_softmax(-2)
        mean = maps[..., 1 : 1 + channels, :, :]
        log_scale = maps[..., 1 + channels : 1 + 2 * channels, :, :]
        if channels == 3:
            mean = mean + _dependence(values, maps[..., 1 + 2 * channels :, :, :].tanh())
        log_components = bin_log_probability(values, mean, log_scale).sum(-3)
        log_pixels: Tensor = (log_weights + log_components).logsumexp(-2)
        return log_pixels.sum(-1)

    def mean(self, outputs: Tensor, image_shape: tuple[int, ...]) -> Tensor:
        """Return the mean of the mixture, [..., outputs] -> [..., D], clamped to [0, 1].

        The logistics are not cut off at black and white.
        """
        channels = image_shape[0] if len(image_shape) == 3 else 1
        maps = outputs.reshape(*outputs.shape[:-1], _parameters(channels), self._components, -1)
        weights = maps[..., 0, :, :].softmax(-2)
        means = maps[..., 1 : 1 + channels, :, :]
        if channels == 3:
            red, green, blue = means.unbind(-3)
            red_in_green, red_in_blue, green_in_blue = maps[..., 1 + 2 * channels :, :, :].tanh().unbind(-3)
            green = green + red_in_green * red
            means = torch.stack([red, green, blue + red_in_blue * red + green_in_blue * green], -3)
        mixed = (weights.unsqueeze(-3) * means).sum(-2)
        return ((mixed + 1) / 2).clamp(0, 1).flatten(-2)


def bin_log_probability(value: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return the log of a logistic distribution's mass in the bins of values on [-1, 1], elementwise.

    With the bin's ends a > b in units of the scale, sigmoid(a) - sigmoid(b) equals sigmoid(a) sigmoid(-b) (1
    - exp(b - a)), whose logarithm is exact far out in both tails; b - a does not depend on the value. The
    lowest bin is open to the left and has the mass sigmoid(a); the highest has sigmoid(-b).
    """
    inverse_scale = (-log_scale.clamp(*LOG_SCALE_LIMITS)).exp()
    centred = value - mean
    below_top = F.logsigmoid((centred + _BIN / 2) * inverse_scale)
    above_bottom = F.logsigmoid((_BIN / 2 - centred) * inverse_scale)
    width = (-torch.expm1(-_BIN * inverse_scale)).log()
    lowest, highest = value < -1 + _BIN / 2, value > 1 - _BIN / 2
    inside = below_top + above_bottom + width
    return torch.where(lowest, below_top, torch.where(highest, above_bottom, inside))


def _parameters(channels: int) -> int:
    """Return the number of outputs of one component of a pixel."""
    return 1 + 2 * channels + channels * (channels - 1) // 2


def _dependence(values: Tensor, factors: Tensor) -> Tensor:
    """Return the shifts of the channels' means: values [..., 3, 1, P], factors and shifts [..., 3, M, P]."""
    red, green, _ = values.unbind(-3)
    red_in_green, red_in_blue, green_in_blue = factors.unbind(-3)
    moved_green = red_in_green * red
    return torch.stack(
        [torch.zeros_like(moved_green), moved_green, red_in_blue * red + green_in_blue * green], -3
    )
