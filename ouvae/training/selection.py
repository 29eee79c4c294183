"""Which weights of a member are measured on the test split."""

from typing import Any

import torch
from torch import Tensor


class BestWeights:
    """The weights of each member at its highest validation ELBO so far."""

    def __init__(self, parameters: dict[str, Tensor], members: int) -> None:
        """Start with the weights as they are: [P, …] each."""
        device = next(iter(parameters.values())).device
        self.parameters = {name: value.detach().clone() for name, value in parameters.items()}
        self.elbo = torch.full((members,), -torch.inf, dtype=torch.float64, device=device)
        self.steps = torch.zeros(members, dtype=torch.int64, device=device)

    def note(self, parameters: dict[str, Tensor], elbo: Tensor, step: int) -> None:
        """Keep the weights of the members whose ELBO [P] is their highest."""
        better = elbo > self.elbo
        self.elbo = torch.where(better, elbo.double(), self.elbo)
        self.steps = torch.where(better, step, self.steps)
        for name, value in parameters.items():
            self.parameters[name][better] = value.detach()[better]

    def keep(self, rows: Tensor) -> None:
        """Forget the members that are not among the rows."""
        self.elbo, self.steps = self.elbo[rows], self.steps[rows]
        self.parameters = {name: value[rows] for name, value in self.parameters.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors for `load_state_dict`."""
        return {"parameters": self.parameters, "elbo": self.elbo, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for name, value in self.parameters.items():
            value.copy_(state["parameters"][name])
        self.elbo, self.steps = state["elbo"].to(self.elbo.device), state["steps"].to(self.steps.device)
