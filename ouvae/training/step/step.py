"""Loss and gradients of a pack, eager or traced.

The eager step calls modules, stacks them by `vmap` and goes back through them by autograd, which takes as
long as the arithmetic of a small model. All of it comes down to the same few hundred tensor operations in
every step. The traced step runs these operations only, and gives the same numbers to the bit.

On a GPU a long training also compiles the traced step, which makes fewer passes over memory.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ouvae.declared import Cell
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, System, Terms
from ouvae.torch_internals import trace
from ouvae.training.controls import opened, with_buffers
from ouvae.training.counts import weightless_model
from ouvae.training.step.objectives import loss
from ouvae.training.step.precision import training_products
from ouvae.training.step.program import shorten

TRACED_FROM = 500
"""Training steps of a member from which tracing, which takes seconds, pays."""

COMPILED_FROM = 20_000
"""Training steps of a member from which compiling for a GPU, which takes a minute, pays."""


class Inputs(NamedTuple):
    """Inputs of a step.

    Attributes:
        x: [P, B, D] images.
        draws: [P, …] noise.
        values: [P] of rho and of each control parameter in which members differ, by name.
        warmup: scalar factor of all KLs' weights, below 1 during warm-up.
    """

    x: Tensor
    draws: Draws
    values: dict[str, Tensor]
    warmup: Tensor


Losses: TypeAlias = tuple[Tensor, Tensor, list[Tensor]]
"""Loss [P], KLs [P, L], and the gradients of the summed losses, in the order of the parameters."""

Step: TypeAlias = Callable[[dict[str, Tensor], Inputs], Losses]
"""Returns the losses of members whose parameters are stacked, [P, …] by name."""


def member_terms(
    model: nn.Module, parameters: dict[str, Tensor], x: Tensor, draws: Draws, rho: Tensor | None, closed: bool
) -> Terms:
    """Return the terms of a single member at these parameters."""
    return cast(Terms, functional_call(model, parameters, (x, draws, rho, closed)))


def eager_step(cell: Cell, model: System, buffers: Mapping[str, str]) -> Step:
    """Return the step of a cell's members by modules, `vmap` and autograd.

    `model` gives the structure, and `buffers` are its opened control parameters.
    """

    def member_loss(
        parameters: dict[str, Tensor], x: Tensor, draws: Draws, values: dict[str, Tensor], warmup: Tensor
    ) -> tuple[Tensor, Tensor]:
        state = with_buffers(parameters, buffers, values)
        with training_products(cell, x.device):
            terms = member_terms(model, state, x, draws, values["rho"], cell.importance_samples == 1)
        return loss(cell, terms, warmup, values), terms.kl.flatten(1).mean(-1)

    pack_loss = vmap(member_loss, in_dims=(0, 0, 0, 0, None))

    def step(parameters: dict[str, Tensor], inputs: Inputs) -> Losses:
        losses, kl = pack_loss(parameters, *inputs)
        gradients = torch.autograd.grad(losses.sum(), list(parameters.values()), materialize_grads=True)
        return losses.detach(), kl.detach(), list(gradients)

    return step


@lru_cache(maxsize=32)
def traced_step(
    cell: Cell, image_shape: Shape, members: int, device: torch.device, varied: tuple[str, ...]
) -> Step:
    """Return the step of packs of this many members as a traced program; the first call traces it.

    Packs of one cell whose members differ in the same control parameters, beside rho and seeds, share the
    program.
    """
    model = weightless_model(cell, image_shape)
    eager = eager_step(cell, model, opened(model, varied))
    program: Callable[..., Any] | None = None
    # Inference mode is a little faster; CUDA graphs and compiled programs are not known to work with it.
    without_autograd = torch.inference_mode if device.type == "cpu" else torch.no_grad

    def step(parameters: dict[str, Tensor], inputs: Inputs) -> Losses:
        nonlocal program
        if program is None:
            traced = trace(eager, parameters, inputs)
            if traced is None:
                return eager(parameters, inputs)
            program = shorten(traced, in_place=device.type == "cpu")
            if device.type == "cuda" and cell.steps >= COMPILED_FROM:
                program = torch.compile(program, dynamic=False)
        with without_autograd():
            return cast(Losses, program(parameters, inputs))

    return step
