"""Parameters, memory and operations of a model, counted before training.

Models are counted on the meta device, which computes and stores nothing, so that any machine can count a
model of any size. Operations on that device load PyTorch's compiler, for seconds: the multiply-adds of models
of moderate size without convolutions are counted on the CPU instead.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, System, build, draw_shapes, leading_axes
from ouvae.torch_internals import storage_of
from ouvae.training.feed import BLOCK_STEPS
from ouvae.training.noise import draw_count
from ouvae.training.step.objectives import loss
from ouvae.training.step.precision import weights_dtype

HUGE_PARAMETERS, MANY_DRAWS = 50_000_000, 100_000
"""Parameters, and draws for an image, from which a model is not computed on the CPU for counting."""


def count_parameters(cell: Cell, image_shape: Shape) -> int:
    """Return the number of trained parameters of a member."""
    return sum(parameter.numel() for parameter in weightless_model(cell, image_shape).parameters())


@functools.cache
def multiply_adds(cell: Cell, image_shape: Shape) -> int:
    """Return the multiply-adds of one training step of one member: forward, and twice as many backward.

    Affine and convolutional layers are counted, which do nearly all of them; they are linear in the size of
    the minibatch. A system without such layers counts one multiply-add for each parameter and image.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += (inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output).numel() * weight[0].numel()

    parameters = count_parameters(cell, image_shape)
    draws = draw_count(cell, leading_axes(1, cell.importance_samples))
    is_moderate = parameters < HUGE_PARAMETERS and draws < MANY_DRAWS
    on_cpu = is_moderate and not cell.traits("architecture").images
    model = weightless_model(cell, image_shape, "cpu" if on_cpu else "meta")
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    forward = []
    with torch.no_grad(), _one_thread():
        for batch in (1, 2):
            total = 0
            _loss_of_zeros(model, cell.model_copy(update={"batch_size": batch}))
            forward.append(total)
    of_one, of_two = forward
    if not of_two:
        return 3 * cell.batch_size * parameters
    return 3 * (of_one + (cell.batch_size - 1) * (of_two - of_one))


def saved_bytes(cell: Cell, image_shape: Shape) -> int:
    """Return the bytes, without the weights, that autograd keeps of one training step's forward pass."""
    model = weightless_model(cell, image_shape)
    weights = {storage_of(parameter) for parameter in model.parameters()}
    saved: set[torch.UntypedStorage] = set()

    def save(tensor: Tensor) -> Tensor:
        saved.add(storage_of(tensor))
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        value = _loss_of_zeros(model, cell)
    del value
    return sum(storage.nbytes() for storage in saved - weights)


def importance_sample_bytes(cell: Cell, image_shape: Shape) -> int:
    """Return an upper bound of the bytes that one importance sample of one image takes in a forward pass.

    Autograd would keep as many; without gradients, most are released on the way.
    """
    samples = 10  # they share what an image needs once, such as its encoding
    changes = {"objective": "iwae", "importance_samples": samples, "smoothed_networks": (), "batch_size": 1}
    weighted = cell.model_copy(update=changes)
    return -(-saved_bytes(weighted, image_shape) // samples)


@functools.cache
def member_bytes(cell: Cell, image_shape: Shape, device: str) -> int:
    """Return the bytes that a member of a pack in training takes on a kind of device.

    They are weights, gradients, two moments, what autograd keeps, and a block of images and noise, as if the
    member shared its seed with no other.
    """
    draws = draw_count(cell, leading_axes(cell.batch_size, cell.importance_samples))
    inputs = BLOCK_STEPS[device] * (draws + cell.batch_size * torch.Size(image_shape).numel())
    numbers = 4 * count_parameters(cell, image_shape) + inputs
    return numbers * weights_dtype(cell).itemsize + saved_bytes(cell, image_shape)


def weightless_model(cell: Cell, image_shape: Shape, device: str = "meta") -> System:
    """Return a model with arbitrary weights, without using up random numbers."""
    with torch.random.fork_rng(devices=[]), torch.device(device):
        return build(cell, image_shape).to(weights_dtype(cell))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: on a busy machine, threads wait for each other in every operation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _loss_of_zeros(model: System, cell: Cell) -> Tensor:
    """Return the loss of a minibatch of zeros, without noise."""
    samples, batch = cell.importance_samples, cell.batch_size
    weight = next(model.parameters())
    dtype = weight.dtype
    with weight.device:
        shapes = draw_shapes(cell, leading_axes(batch, samples))
        draws = Draws(*(tuple(torch.zeros(shape, dtype=dtype) for shape in group) for group in shapes))
        x = torch.zeros((batch, torch.Size(model.image_shape).numel()), dtype=dtype)
        rho = torch.zeros((), dtype=dtype)
    return loss(cell, model(x, draws, rho, samples == 1))
