"""The key `precision`: the type of a member's numbers, and of the products in its training."""

import torch

from ouvae.declared import Cell


def weights_dtype(cell: Cell) -> torch.dtype:
    """Return the type of a member's weights, images and noise."""
    return torch.float64 if cell.precision == "float64" else torch.float32


def training_products(cell: Cell, device: torch.device) -> torch.autocast:
    """Return the context of a training step, in which layers of `bfloat16` cells multiply in bfloat16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=cell.precision == "bfloat16")
