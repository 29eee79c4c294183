"""The loss of a pack and its gradients, as written and as a straight program of tensor operations.

As written, modules are called, `vmap` stacks them and autograd goes back through them: for small models all
of that takes as long as the arithmetic. It comes down to the same few hundred operations in every step, which
`make_fx` writes down once; run from there they give the same numbers to the bit.

On a GPU, where a pack has its own graph of them anyway, a long training is worth the minute that it takes
PyTorch to compile them, which makes few passes over memory of many.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from ouvae.declared import Cell
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, System, Terms
from ouvae.training.counts import built
from ouvae.training.step.objectives import loss
from ouvae.training.step.precision import training_products
from ouvae.training.step.program import shortened

WRITTEN_DOWN_FROM = 500
"""Steps of a member from which on it is worth the seconds that it takes to write the program down."""

COMPILED_FROM = 20_000
"""Steps of a member from which on it is worth the minute that it takes to compile the program for a GPU."""


class Inputs(NamedTuple):
    """What a step depends on besides the parameters.

    Attributes:
        x: [P, B, D] images.
        draws: the noise, each tensor with a leading axis P.
        rho: [P].
        kl_weight: scalar, of all layers' KL: below 1 during warm-up.
    """

    x: Tensor
    draws: Draws
    rho: Tensor
    kl_weight: Tensor


Losses: TypeAlias = tuple[Tensor, Tensor, list[Tensor]]
"""Loss [P], KLs [P, L] and the gradients of the sum of the losses, one a parameter."""

Step: TypeAlias = Callable[[dict[str, Tensor], Inputs], Losses]
"""Returns the losses of members whose parameters are stacked, [P, …] by name."""


def single_terms(
    model: nn.Module, parameters: dict[str, Tensor], x: Tensor, draws: Draws, rho: Tensor | None, closed: bool
) -> Terms:
    """Return the terms of one member: the plain single model at these parameters."""
    return cast(Terms, functional_call(model, parameters, (x, draws, rho, closed)))


def as_written(cell: Cell, model: System) -> Step:
    """Return the step of a cell's members, whose model is of this form."""

    def member_loss(
        parameters: dict[str, Tensor], x: Tensor, draws: Draws, rho: Tensor, kl_weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        with training_products(cell, x.device):
            terms = single_terms(model, parameters, x, draws, rho, cell.importance_samples == 1)
        return loss(cell, terms, kl_weight), terms.kl.flatten(1).mean(-1)

    pack_loss = vmap(member_loss, in_dims=(0, 0, 0, 0, None))

    def step(parameters: dict[str, Tensor], inputs: Inputs) -> Losses:
        losses, kl = pack_loss(parameters, *inputs)
        gradients = torch.autograd.grad(losses.sum(), list(parameters.values()), materialize_grads=True)
        return losses.detach(), kl.detach(), list(gradients)

    return step


@lru_cache(maxsize=32)
def written_down(cell: Cell, image_shape: Shape, members: int, device: torch.device) -> Step:
    """Return the step of packs of so many members as a program, which the first call writes down.

    Packs of one cell share it, whatever their rho and seeds.
    """
    plain = as_written(cell, built(cell, image_shape))
    program: Callable[..., Any] | None = None
    # A little faster, and not known to go along with graphs and compiled programs.
    without_autograd = torch.inference_mode if device.type == "cpu" else torch.no_grad

    def step(parameters: dict[str, Tensor], inputs: Inputs) -> Losses:
        nonlocal program
        if program is None:
            program = shortened(make_fx(plain)(parameters, inputs), in_place=device.type == "cpu")
            if device.type == "cuda" and cell.steps >= COMPILED_FROM:
                program = torch.compile(program, dynamic=False)
        with without_autograd():
            return cast(Losses, program(parameters, inputs))

    return step
