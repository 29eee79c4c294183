"""What a model holds and computes, counted before anything is trained.

Parameters and bytes are counted on the meta device, where nothing is computed and nothing is stored, so
that models of any size are counted on any machine. Its operations load PyTorch's compiler, for seconds, which
is why the multiply-adds of models of moderate size without convolutions are counted where they are computed.
"""

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, System, build, draw_shapes, leading_axes
from ouvae.training.feed import BLOCK_STEPS
from ouvae.training.noise import draw_count
from ouvae.training.objectives import loss
from ouvae.training.precision import weights_dtype

HUGE_PARAMETERS, MANY_DRAWS = 50_000_000, 100_000
"""A model of so many parameters, or of so many draws an image, is not computed to be counted."""


def count_parameters(cell: Cell, image_shape: Shape) -> int:
    """Return how many numbers a member trains."""
    return sum(parameter.numel() for parameter in built(cell, image_shape).parameters())


@functools.cache
def multiply_adds(cell: Cell, image_shape: Shape) -> int:
    """Return the multiply-adds of one training step of one member: forward, and twice that backward.

    Those of the affine and convolutional layers, which are nearly all. They are linear in the size of the
    minibatch.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += (inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output).numel() * weight[0].numel()

    draws = draw_count(cell, leading_axes(1, cell.importance_samples))
    is_moderate = draws < MANY_DRAWS and count_parameters(cell, image_shape) < HUGE_PARAMETERS
    device = "cpu" if is_moderate and not cell.traits("architecture").images else "meta"
    model = built(cell, image_shape, device)
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    forward = []
    with torch.no_grad(), _one_thread():
        for batch in (1, 2):
            total = 0
            _loss_of_zeros(model, cell.model_copy(update={"batch_size": batch}))
            forward.append(total)
    one, two = forward
    return 3 * (one + (cell.batch_size - 1) * (two - one))


def saved_bytes(cell: Cell, image_shape: Shape) -> int:
    """Return the bytes that autograd keeps of one training step's forward pass, weights left out."""
    model = built(cell, image_shape)
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given out twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = _loss_of_zeros(model, cell)
    del value
    return sum(storage.nbytes() for storage in kept.values())


def importance_sample_bytes(cell: Cell, image_shape: Shape) -> int:
    """Return the bytes that one importance sample of one image takes in a forward pass, at most.

    They are what autograd would keep of it; without gradients most is released on the way.
    """
    samples = 10  # what an image takes once, such as its encoding, is shared by them
    changes = {"objective": "iwae", "importance_samples": samples, "smoothed_networks": (), "batch_size": 1}
    many = cell.model_copy(update=changes)
    return -(-saved_bytes(many, image_shape) // samples)


@functools.cache
def member_bytes(cell: Cell, image_shape: Shape, device: str) -> int:
    """Return the bytes that a member of a pack in training takes on a kind of device.

    They are its weights, gradients and two moments, what autograd keeps, and a block of images and draws of
    a seed of its own.
    """
    draws = draw_count(cell, leading_axes(cell.batch_size, cell.importance_samples))
    inputs = BLOCK_STEPS[device] * (draws + cell.batch_size * torch.Size(image_shape).numel())
    numbers = 4 * count_parameters(cell, image_shape) + inputs
    return numbers * weights_dtype(cell).itemsize + saved_bytes(cell, image_shape)


def built(cell: Cell, image_shape: Shape, device: str = "meta") -> System:
    """Return a model with any weights; nobody else's random numbers are used up for them."""
    with torch.random.fork_rng(devices=[]), torch.device(device):
        return build(cell, image_shape).to(weights_dtype(cell))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: threads that share operations this small take several times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _loss_of_zeros(model: System, cell: Cell) -> Tensor:
    """Return the loss of a minibatch of zeros, with no noise."""
    samples, batch = cell.importance_samples, cell.batch_size
    weight = next(model.parameters())
    dtype = weight.dtype
    with weight.device:
        shapes = draw_shapes(cell, leading_axes(batch, samples))
        draws = Draws(*(tuple(torch.zeros(shape, dtype=dtype) for shape in group) for group in shapes))
        x = torch.zeros((batch, torch.Size(model.image_shape).numel()), dtype=dtype)
        rho = torch.zeros((), dtype=dtype)
    return loss(cell, model(x, draws, rho, samples == 1))
