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

    Args:
        parameters: the trained tensors, [P, …] each, contiguous.
        learning_rate: of all parameters.
        weight_decay: of all parameters; 0 is none.
    """

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._means = [torch.zeros_like(value, requires_grad=False) for value in parameters]
        self._squares = [torch.zeros_like(value, requires_grad=False) for value in parameters]
        self._steps = [torch.zeros((), device=value.device) for value in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take a step along the gradients, one for each parameter."""
        fused_adam(
            self._parameters,
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
            lr=self._learning_rate,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def keep(self, rows: Tensor) -> None:
        """Keep the moments of these members only. The caller shrinks the parameters."""
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
