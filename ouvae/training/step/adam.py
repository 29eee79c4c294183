"""Adam for the stacked parameters of a pack. It works element by element, so members do not mix."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ouvae.torch_internals import fused_adam

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Adam:
    """Adam with decoupled weight decay, to the bit `torch.optim.Adam` with `fused=True`.

    With a learning rate or a decay for each member it is Adam up to rounding.

    Args:
        parameters: the trained tensors, [P, …] each, contiguous.
        learning_rate: of all members, or of each [P].
        weight_decay: of all members, or of each [P]; 0 is none.
    """

    def __init__(
        self, parameters: Sequence[Tensor], learning_rate: float | Tensor, weight_decay: float | Tensor
    ) -> None:
        self._parameters = list(parameters)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._means = [torch.zeros_like(value, requires_grad=False) for value in parameters]
        self._squares = [torch.zeros_like(value, requires_grad=False) for value in parameters]
        self._steps = [torch.zeros((), device=value.device) for value in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take a step along the gradients, one for each parameter."""
        rate, decay = self._learning_rate, self._weight_decay
        if not isinstance(rate, Tensor) and not isinstance(decay, Tensor):
            self._fused_step(self._parameters, gradients, rate, decay)
            return
        directions = [torch.zeros_like(value) for value in self._parameters]
        self._fused_step(directions, gradients, 1.0, 0.0)
        for parameter, direction in zip(self._parameters, directions, strict=True):
            kept, step = (_aligned(value, parameter) for value in (1 - rate * decay, rate))
            parameter.mul_(kept).add_(direction * step)

    def _fused_step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], rate: float, decay: float
    ) -> None:
        fused_adam(
            list(parameters),
            [gradient.contiguous() for gradient in gradients],  # the fused step ignores strides
            self._means,
            self._squares,
            [],
            self._steps,
            fused=True,
            decoupled_weight_decay=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=rate,
            weight_decay=decay,
            eps=EPSILON,
            maximize=False,
        )

    def keep(self, rows: Tensor) -> None:
        """Keep the moments and rates of these members only. The caller shrinks the parameters."""
        self._learning_rate, self._weight_decay = (
            value[rows] if isinstance(value, Tensor) else value
            for value in (self._learning_rate, self._weight_decay)
        )
        for moments in (self._means, self._squares):
            moments[:] = [moment[rows] for moment in moments]

    def state_dict(self) -> dict[str, Any]:
        """Return the state, from which `load_state_dict` continues exactly."""
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        pairs = ((self._means, "means"), (self._squares, "squares"), (self._steps, "steps"))
        for tensors, name in pairs:
            for tensor, saved in zip(tensors, state[name], strict=True):
                tensor.copy_(saved)


def _aligned(value: float | Tensor, parameter: Tensor) -> float | Tensor:
    """Return a value for each member [P] with the axes of a parameter [P, …]."""
    return value.view(-1, *[1] * (parameter.dim() - 1)) if isinstance(value, Tensor) else value
