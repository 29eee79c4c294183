"""The random streams of a seed: one realisation, whatever rho is.

Minibatches, binarization and noise depend on the seed and the step only. Members of a pack with the same seed
read the same draws, as a member does that trains alone.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from ouvae.declared import Cell
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, draw_shapes
from ouvae.torch_internals import seeded_generator

STREAM_BITS = 128
"""Bits of a stream's seed. 32 would collide: a sweep has tens of thousands of streams. A CUDA generator uses
64 of them."""


def stream_seed(*names: object) -> int:
    """Return the generator seed of a stream; streams of different names are independent."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[: STREAM_BITS // 8], "big")


def stream(device: torch.device, *names: object) -> torch.Generator:
    """Return the generator of a stream. CPU and CUDA generators give different numbers."""
    seed = stream_seed(*names)
    if device.type == "cpu":
        return seeded_generator(seed)
    return torch.Generator(device).manual_seed(seed % 2**64)


def sample_draws(
    cell: Cell, leading: Shape, generators: Sequence[torch.Generator], dtype: torch.dtype
) -> Draws:
    """Return standard normal draws of S seeds, each tensor with a leading axis S.

    The generator of each seed makes one flat draw, which is cut into the pieces of `Draws`. The leading axes
    are (B,) images, or (importance samples, B).
    """
    flat = torch.empty(len(generators), draw_count(cell, leading), device=generators[0].device, dtype=dtype)
    for row, generator in zip(flat, generators, strict=True):
        row.normal_(generator=generator)
    return cut_draws(cell, leading, flat)


def draw_count(cell: Cell, leading: Shape) -> int:
    """Return the number of normal draws in a forward pass of one member."""
    return sum(torch.Size(shape).numel() for group in draw_shapes(cell, leading) for shape in group)


def cut_draws(cell: Cell, leading: Shape, flat: Tensor) -> Draws:
    """Cut flat draws [S, n] into the pieces of `Draws`, each with a leading axis S."""
    groups = draw_shapes(cell, leading)
    shapes = [shape for group in groups for shape in group]
    sizes = [torch.Size(shape).numel() for shape in shapes]
    pieces = iter(
        piece.view(len(flat), *shape)
        for piece, shape in zip(torch.split(flat, sizes, dim=1), shapes, strict=True)
    )
    return Draws(*(tuple(next(pieces) for _ in group) for group in groups))


def single_draws(cell: Cell, leading: Shape, generator: torch.Generator, dtype: torch.dtype) -> Draws:
    """Return the draws of one seed, without the axis S: the noise of a single model."""
    stacked = sample_draws(cell, leading, [generator], dtype)
    return Draws(*(tuple(piece[0] for piece in group) for group in stacked))


class Minibatches:
    """The minibatches of one seed. Each epoch has a fresh permutation and a fresh binarization.

    Of `images` [N, D] on the training device, an epoch skips the last ones if they are fewer than `batch`. If
    `dynamic`, each pixel is drawn as Bernoulli(pixel) whenever an image is used.
    """

    def __init__(self, images: Tensor, dynamic: bool, batch: int, seed: int) -> None:
        self._images, self._dynamic, self._batch = images, dynamic, min(batch, len(images))
        self._uniform = images.new_empty(0)
        self._order_stream = stream(torch.device("cpu"), "minibatches", seed)
        self._pixel_stream = stream(images.device, "binarization", seed)
        self._order = torch.empty(0, dtype=torch.int64)
        self._used = 0

    def next(self, steps: int) -> Tensor:
        """Return the minibatches of the next T steps, [T, B, D]."""
        batches = self._images.new_empty(steps, self._batch, self._images.shape[1])
        self.fill(batches)
        return batches

    def fill(self, batches: Tensor) -> None:
        """Write the minibatches of the next T steps into contiguous memory, [T, B, D].

        On a CPU fresh memory costs more than drawing the numbers.
        """
        indices = torch.cat([self._next_indices() for _ in batches]).to(self._images.device)
        torch.index_select(self._images, 0, indices, out=batches.view(-1, batches.shape[-1]))
        if self._dynamic:
            self._uniform.resize_(batches.shape)
            self._uniform.uniform_(generator=self._pixel_stream)
            torch.lt(self._uniform, batches, out=batches)

    def _next_indices(self) -> Tensor:
        if self._used + self._batch > len(self._order):
            self._order = torch.randperm(len(self._images), generator=self._order_stream)
            self._used = 0
        indices = self._order[self._used : self._used + self._batch]
        self._used += self._batch
        return indices

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, from which `load_state_dict` continues with the same minibatches."""
        return {
            "order": self._order,
            "used": torch.tensor(self._used),
            "order_stream": self._order_stream.get_state(),
            "pixel_stream": self._pixel_stream.get_state(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state."""
        self._order = state["order"]
        self._used = int(state["used"])
        self._order_stream.set_state(state["order_stream"])
        self._pixel_stream.set_state(state["pixel_stream"])


def binarize(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a draw of each pixel as Bernoulli(pixel), in the shape and type of the images."""
    uniform = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return (uniform < images).to(images.dtype)
