"""Minibatches and noise of a pack's seeds, drawn for a block of steps at a time.

Every seed draws separately. On a GPU, where a launch takes as long as the arithmetic of many members, one
draw serves all steps of a block. The length of a block therefore determines the noise.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ouvae.declared import Cell
from ouvae.systems import leading_axes
from ouvae.training.noise import Minibatches, draw_count, stream

BLOCK_STEPS = {"cpu": 1, "cuda": 16}
"""Steps in a block, by the kind of device."""


class Feed:
    """The minibatches and noise of S distinct seeds, in blocks of `block` steps.

    `images` [N, D] are the training images, on the training device and of the training type; for `dynamic`
    see `Minibatches`.
    """

    def __init__(self, cell: Cell, images: Tensor, dynamic: bool, seeds: Sequence[int], block: int) -> None:
        batch = min(cell.batch_size, len(images))
        count = draw_count(cell, leading_axes(batch, cell.importance_samples))
        self._minibatches = [Minibatches(images, dynamic, batch, seed) for seed in seeds]
        self._generators = [stream(images.device, "noise", seed) for seed in seeds]
        self._block = self._place = block
        self._x = images.new_empty(len(seeds), block, batch, images.shape[1])
        self._noise = images.new_empty(len(seeds), block, count)
        self._block_start = self._streams()

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the next step's minibatches [S, B, D] and flat draws [S, n], valid until the next call."""
        if self._place == self._block:
            self._draw()
        place = self._place
        self._place += 1
        return self._x[:, place], self._noise[:, place]

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the streams at the start of a block, and the place in the block."""
        block_is_done = self._place == self._block
        return (self._streams() if block_is_done else self._block_start) | {
            "place": 0 if block_is_done else self._place
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from a state."""
        for batches, saved in zip(self._minibatches, state["minibatches"], strict=True):
            batches.load_state_dict(saved)
        for generator, saved in zip(self._generators, state["noise"], strict=True):
            generator.set_state(saved.cpu())
        self._place = self._block
        if state.get("place", 0):
            self._draw()
            self._place = state["place"]

    def _draw(self) -> None:
        if self._block > 1:
            self._block_start = self._streams()
        for row, (batches, generator) in enumerate(zip(self._minibatches, self._generators, strict=True)):
            batches.fill(self._x[row])
            self._noise[row].normal_(generator=generator)
        self._place = 0

    def _streams(self) -> dict[str, Any]:
        return {
            "minibatches": [batches.state_dict() for batches in self._minibatches],
            "noise": [generator.get_state() for generator in self._generators],
        }
