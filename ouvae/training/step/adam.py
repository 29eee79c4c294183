"""Adam for the stacked parameters of a pack: it works element by element, so that a pack's is each member's.

The step is PyTorch's own. Its optimizer class is not used because the first one that is made loads PyTorch's
compiler, for more than a second in every process.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Adam:
    """Adam with decoupled weight decay.

    Args:
        parameters: what is trained, [P, …] each, contiguous.
        learning_rate: of all of them.
        weight_decay: of all of them; 0 is none.
    """

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float, weight_decay: float) -> None:
        """Begin at moments of zero."""
        self._parameters = list(parameters)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._means = [torch.zeros_like(value, requires_grad=False) for value in parameters]
        self._squares = [torch.zeros_like(value, requires_grad=False) for value in parameters]
        self._steps = [torch.zeros((), device=value.device) for value in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take a step along gradients, one a parameter.

        PyTorch's fused step goes through memory without a look at strides.
        """
        adam(
            self._parameters,
            [gradient.contiguous() for gradient in gradients],
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
        """Keep those members alone; their parameters are made smaller by whoever owns them."""
        for moments in (self._means, self._squares):
            moments[:] = [moment[rows] for moment in moments]

    def state_dict(self) -> dict[str, Any]:
        """Return what a later `load_state_dict` needs to go on exactly."""
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        pairs = ((self._means, "means"), (self._squares, "squares"), (self._steps, "steps"))
        for own, name in pairs:
            for value, saved in zip(own, state[name], strict=True):
                value.copy_(saved)
