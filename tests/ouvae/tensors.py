"""Images, Gaussians and comparisons of tensors for tests of several systems."""

import torch
from torch import Tensor, distributions

ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-12}


def images(batch: int, pixels: int = 12, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return binary images, always the same."""
    generator = torch.Generator().manual_seed(5)
    return (torch.rand(batch, pixels, generator=generator) < 0.5).to(dtype)


def gaussian(parameters: Tensor) -> distributions.Normal:
    """Return the Gaussian of a network's outputs, mean and log scale side by side."""
    mean, log_scale = parameters.chunk(2, -1)
    return distributions.Normal(mean, log_scale.exp())


def are_alike(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors differ only by rounding, relative to their largest number."""
    scale = max(1.0, float(first.detach().abs().max()))
    return bool((first - second).abs().max() <= ROUNDING[first.dtype] * scale)
