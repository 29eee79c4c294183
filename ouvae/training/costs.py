"""What training costs: parameters, memory and time (the paper's tables 9 and 10).

Parameters and memory are counted without training, see `ouvae.training.counts`. Memory is the bytes that
autograd keeps from the forward pass for the backward pass, which is what grows with samples and layers;
weights, their gradients and the optimizer's moments (16 bytes a parameter in float32) come on top. On CUDA
the allocator's own peak is measured instead, all included.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ouvae.data import Dataset
from ouvae.settings import Settings
from ouvae.training.counts import count_parameters, saved_bytes
from ouvae.training.pack import Pack

AUTOGRAD, CUDA = "autograd saved bytes", "cuda peak"


@dataclass(frozen=True)
class Cost:
    """The cost of one member.

    Attributes:
        parameters: trained numbers.
        memory_bytes: of a training step at the settings' batch size.
        memory_kind: `AUTOGRAD` or `CUDA`, see the module.
        seconds_per_epoch: of each round of timing; a training epoch is all training images once.
    """

    parameters: int
    memory_bytes: int
    memory_kind: str
    seconds_per_epoch: list[float]


def measure(
    members: Sequence[tuple[Settings, float]], data: Dataset, device: str, rounds: int, steps: int
) -> list[Cost]:
    """Measure members (settings, rho) side by side.

    Times are taken in turns, each round in another order, so that what else the machine does falls on all
    alike.

    Args:
        members: what to measure.
        data: whose training images are an epoch.
        device: where training runs.
        rounds: of timing; 0 measures no time.
        steps: training steps a round.
    """
    packs = [_pack(settings, rho, data, device) for settings, rho in members] if rounds else []
    times: list[list[float]] = [[] for _ in members]
    order = list(range(len(packs)))
    for pack in packs:
        _seconds(pack, 2, device)
    for turn in range(rounds):
        for index in order[turn % len(order) :] + order[: turn % len(order)]:
            pack = packs[index]
            epoch = len(data.train) / pack.settings.batch_size
            times[index].append(_seconds(pack, steps, device) / steps * epoch)
    found = []
    for (settings, rho), own in zip(members, times, strict=True):
        kind = CUDA if device == "cuda" else AUTOGRAD
        peak = _cuda_peak(settings, rho, data) if kind == CUDA else saved_bytes(settings, data.image_shape)
        found.append(Cost(count_parameters(settings, data.image_shape), peak, kind, own))
    return found


def _pack(settings: Settings, rho: float, data: Dataset, device: str) -> Pack:
    """Return a pack of one member that trains without ever evaluating."""
    endless = replace(
        settings,
        steps=2**31,
        eval_every=2**31,
        eval_images=2,
        gradient_samples=None,
        bound_samples=None,
        select="last",
    )
    return Pack(endless, [(rho, 0)], data, device)


def _seconds(pack: Pack, steps: int, device: str) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        pack.train_step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _cuda_peak(settings: Settings, rho: float, data: Dataset) -> int:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    pack = _pack(settings, rho, data, "cuda")
    _seconds(pack, 3, "cuda")
    return torch.cuda.max_memory_allocated() - before
