"""What training costs: parameters, memory and time (the paper's tables 9 and 10).

Parameters and memory are counted on the meta device, where nothing is computed and nothing is stored, so
that models of any size are measured on any machine. Memory is the bytes that autograd keeps from the
forward pass for the backward pass, which is what grows with samples and layers; weights, their gradients
and the optimizer's moments (16 bytes a parameter in float32) come on top. On CUDA the allocator's own peak is
measured instead, all included.
"""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ouvae.data import Dataset
from ouvae.networks import Shape
from ouvae.objectives import loss
from ouvae.pack import Pack
from ouvae.settings import Settings
from ouvae.systems import Draws, System, build, draw_shapes, leading_axes

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


def count_parameters(settings: Settings, image_shape: Shape) -> int:
    """Return how many numbers a member trains."""
    return sum(parameter.numel() for parameter in _on_meta(settings, image_shape).parameters())


@functools.cache
def multiply_adds(settings: Settings, image_shape: Shape) -> int:
    """Return the multiply-adds of one training step of one member: forward, and twice that backward.

    Those of the affine and convolutional layers, which are nearly all; counted on one image.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += (inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output).numel() * weight[0].numel()

    single = replace(settings, batch_size=1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = build(single, image_shape)
        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(count)
        _loss_of_zeros(model, single, "cpu")
    return 3 * settings.batch_size * total


def saved_bytes(settings: Settings, image_shape: Shape) -> int:
    """Return the bytes that autograd keeps of one training step's forward pass, weights left out."""
    model = _on_meta(settings, image_shape)
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given out twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = _loss_of_zeros(model, settings, "meta")
    del value
    return sum(storage.nbytes() for storage in kept.values())


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


def _on_meta(settings: Settings, image_shape: Shape) -> System:
    with torch.device("meta"):
        return build(settings, image_shape).to(getattr(torch, settings.precision))


def _loss_of_zeros(model: System, settings: Settings, device: str) -> Tensor:
    """Return the loss of a minibatch of zeros, with no noise."""
    samples, batch = settings.importance_samples, settings.batch_size
    dtype = next(model.parameters()).dtype
    with torch.device(device):
        shapes = draw_shapes(settings, leading_axes(batch, samples))
        draws = Draws(*(tuple(torch.zeros(shape, dtype=dtype) for shape in group) for group in shapes))
        x = torch.zeros((batch, torch.Size(model.image_shape).numel()), dtype=dtype)
        rho = torch.zeros((), dtype=dtype)
    return loss(settings, model(x, draws, rho, samples == 1))


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
