"""What the key `precision` says: the type of a member's numbers, and that of the products of its training."""

import torch

from ouvae.declared import Cell


def weights_dtype(cell: Cell) -> torch.dtype:
    """Return the type of a member's weights, images and noise."""
    return torch.float64 if cell.precision == "float64" else torch.float32


def training_products(cell: Cell, device: torch.device) -> torch.autocast:
    """Return the context of a member in training, in which affine layers multiply in bfloat16, or do not."""
    return torch.autocast(device.type, torch.bfloat16, enabled=cell.precision == "bfloat16")
