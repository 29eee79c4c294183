"""The randomness of one seed: named streams, so that a seed is one realisation whatever rho is.

Minibatches, binarization and every noise draw of a seed are functions of the seed and the step alone. The
members of a pack that share a seed read the same draws, and a member trained alone reads them too.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ouvae.declared import Cell
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, draw_shapes

STREAM_BITS = 128
"""Of the seed of a stream: thousands of seeds have tens of thousands of streams, of which 32 bits would make
two alike. A CUDA generator takes 64 of them."""

_CPU_WORDS = slice(3, 3 + 624)
"""Where the state of a CPU generator, as 64-bit words, holds those of the Mersenne Twister."""


def stream_seed(*names: object) -> int:
    """Return the generator seed of the stream of that name: independent for different names."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[: STREAM_BITS // 8], "big")


def stream(device: torch.device, *names: object) -> torch.Generator:
    """Return a generator for the stream of that name. CPU and CUDA generators differ in their numbers.

    A CPU generator's own `manual_seed` passes over all but 32 bits, so that its state is made by NumPy's
    seeding of the same generator, MT19937.
    """
    seed = stream_seed(*names)
    if device.type != "cpu":
        return torch.Generator(device).manual_seed(seed % 2**64)
    generator = torch.Generator(device).manual_seed(0)
    state = generator.get_state()
    words: np.ndarray = np.random.MT19937(seed).state["state"]["key"]
    state.numpy().view(np.uint64)[_CPU_WORDS] = words
    return generator.set_state(state)


def sample_draws(
    cell: Cell,
    leading: Shape,
    generators: Sequence[torch.Generator],
    dtype: torch.dtype,
) -> Draws:
    """Return standard normal draws of S seeds, each tensor with a leading axis S.

    One generator a seed, one flat draw each, cut into the pieces that `Draws` names.

    Args:
        cell: names the system and what is smoothed.
        leading: (B,) images, or (importance samples, B).
        generators: one a seed.
        dtype: of the draws.
    """
    flat = torch.empty(len(generators), draw_count(cell, leading), device=generators[0].device, dtype=dtype)
    for row, generator in zip(flat, generators, strict=True):
        row.normal_(generator=generator)
    return cut_draws(cell, leading, flat)


def draw_count(cell: Cell, leading: Shape) -> int:
    """Return how many normal draws a forward pass of one member takes."""
    return sum(torch.Size(shape).numel() for group in draw_shapes(cell, leading) for shape in group)


def cut_draws(cell: Cell, leading: Shape, flat: Tensor) -> Draws:
    """Return the pieces of flat draws [S, n] that `Draws` names, each with a leading axis S."""
    groups = draw_shapes(cell, leading)
    shapes = [shape for group in groups for shape in group]
    sizes = [torch.Size(shape).numel() for shape in shapes]
    pieces = iter(
        piece.view(len(flat), *shape)
        for piece, shape in zip(torch.split(flat, sizes, dim=1), shapes, strict=True)
    )
    return Draws(*(tuple(next(pieces) for _ in group) for group in groups))


def single_draws(cell: Cell, leading: Shape, generator: torch.Generator, dtype: torch.dtype) -> Draws:
    """Return the draws of one seed, without the axis S: the noise of one plain model."""
    stacked = sample_draws(cell, leading, [generator], dtype)
    return Draws(*(tuple(piece[0] for piece in group) for group in stacked))


class Minibatches:
    """The minibatches of one seed: epochs of a fresh permutation, and a fresh binarization each.

    Args:
        images: [N, D] training images on the training device.
        dynamic: draw each pixel as Bernoulli(pixel) afresh whenever an image is used.
        batch: B; an epoch's rest of fewer than B images is passed over.
        seed: the member's seed.
    """

    def __init__(self, images: Tensor, dynamic: bool, batch: int, seed: int) -> None:
        """Open the seed's streams at the first step."""
        self._images, self._dynamic, self._batch = images, dynamic, min(batch, len(images))
        self._uniform = images.new_empty(0)
        self._order_stream = stream(torch.device("cpu"), "minibatches", seed)
        self._pixel_stream = stream(images.device, "binarization", seed)
        self._order = torch.empty(0, dtype=torch.int64)
        self._used = 0

    def next(self, steps: int) -> Tensor:
        """Return the minibatches of so many steps, [T, B, D]."""
        batches = self._images.new_empty(steps, self._batch, self._images.shape[1])
        self.fill(batches)
        return batches

    def fill(self, batches: Tensor) -> None:
        """Write the minibatches of T steps into [T, B, D], which is contiguous.

        On a CPU fresh memory costs more than the numbers that are drawn into it.
        """
        chosen = torch.cat([self._next_indices() for _ in batches]).to(self._images.device)
        torch.index_select(self._images, 0, chosen, out=batches.view(-1, batches.shape[-1]))
        if self._dynamic:
            self._uniform.resize_(batches.shape)
            self._uniform.uniform_(generator=self._pixel_stream)
            torch.lt(self._uniform, batches, out=batches)

    def _next_indices(self) -> Tensor:
        if self._used + self._batch > len(self._order):
            self._order = torch.randperm(len(self._images), generator=self._order_stream)
            self._used = 0
        chosen = self._order[self._used : self._used + self._batch]
        self._used += self._batch
        return chosen

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a later `load_state_dict` needs to go on with the same minibatches."""
        return {
            "order": self._order,
            "used": torch.tensor(self._used),
            "order_stream": self._order_stream.get_state(),
            "pixel_stream": self._pixel_stream.get_state(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        self._order = state["order"]
        self._used = int(state["used"])
        self._order_stream.set_state(state["order_stream"])
        self._pixel_stream.set_state(state["pixel_stream"])


def binarize(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a draw of each pixel as Bernoulli(pixel), of the images' own shape and type."""
    uniform = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return (uniform < images).to(images.dtype)
