"""The costs of training: parameters, memory and time (the paper's tables 9 and 10).

`ouvae.training.counts` counts parameters and memory without training. Memory is the bytes that autograd keeps
from the forward pass for the backward pass, which grow with samples and layers. Weights, gradients and the
optimizer's moments (16 bytes a parameter in float32) come on top. On CUDA, memory is the allocator's peak,
with everything included.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ouvae.data import Dataset
from ouvae.declared import Cell
from ouvae.training.counts import count_parameters, saved_bytes
from ouvae.training.pack import PackTraining

AUTOGRAD, CUDA = "autograd saved bytes", "cuda peak"


@dataclass(frozen=True)
class Cost:
    """The cost of one member.

    Memory is that of a training step at the cell's batch size; its kind is `AUTOGRAD` or `CUDA`, see the
    module. Each round of timing has its seconds per epoch: the steps that pass over all training images once.
    """

    parameters: int
    memory_bytes: int
    memory_kind: str
    seconds_per_epoch: list[float]


def measure(cells: Sequence[Cell], data: Dataset, device: str, rounds: int, steps: int) -> list[Cost]:
    """Measure a member of each cell, side by side.

    Members take turns of `steps` training steps, in another order each round, so that other load on the
    machine affects all of them. No rounds measure no time.
    """
    packs = [_pack(cell, data, device) for cell in cells] if rounds else []
    times: list[list[float]] = [[] for _ in cells]
    order = list(range(len(packs)))
    for pack in packs:
        _seconds(pack, 2, device)
    for turn in range(rounds):
        for index in order[turn % len(order) :] + order[: turn % len(order)]:
            pack = packs[index]
            epoch = len(data.train) / pack.cell.batch_size
            times[index].append(_seconds(pack, steps, device) / steps * epoch)
    costs = []
    for cell, seconds in zip(cells, times, strict=True):
        kind = CUDA if device == "cuda" else AUTOGRAD
        peak = _cuda_peak(cell, data) if kind == CUDA else saved_bytes(cell, data.image_shape)
        costs.append(Cost(count_parameters(cell, data.image_shape), peak, kind, seconds))
    return costs


def _pack(cell: Cell, data: Dataset, device: str) -> PackTraining:
    """Return a pack of one member that trains without evaluations."""
    endless = {"steps": 2**31, "eval_every": 2**31, "eval_images": 2, "select": "last"}
    unmeasured = {"gradient_samples": None, "gradient_rho": None, "bound_samples": None}
    timed = cell.model_copy(update=endless | unmeasured)
    return PackTraining(timed, [(cell.rho, 0)], data, device)


def _seconds(pack: PackTraining, steps: int, device: str) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        pack.train_step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _cuda_peak(cell: Cell, data: Dataset) -> int:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    pack = _pack(cell, data, "cuda")
    _seconds(pack, 3, "cuda")
    return torch.cuda.max_memory_allocated() - before
