"""The weights of each member at its best validation ELBO."""

from typing import Any

import torch
from torch import Tensor


class BestWeights:
    """The weights of each member at its highest validation ELBO so far."""

    def __init__(self, parameters: dict[str, Tensor], members: int) -> None:
        device = next(iter(parameters.values())).device
        self.parameters = {name: value.detach().clone() for name, value in parameters.items()}
        self.elbo = torch.full((members,), -torch.inf, dtype=torch.float64, device=device)
        self.steps = torch.zeros(members, dtype=torch.int64, device=device)

    def note(self, parameters: dict[str, Tensor], elbo: Tensor, step: int) -> None:
        """Copy the weights of members whose ELBO [P] is their highest so far."""
        better = elbo > self.elbo
        self.elbo = torch.where(better, elbo.double(), self.elbo)
        self.steps = torch.where(better, step, self.steps)
        for name, value in parameters.items():
            self.parameters[name][better] = value.detach()[better]

    def keep(self, rows: Tensor) -> None:
        """Keep these members only."""
        self.elbo, self.steps = self.elbo[rows], self.steps[rows]
        self.parameters = {name: value[rows] for name, value in self.parameters.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state, from which `load_state_dict` continues."""
        return {"parameters": self.parameters, "elbo": self.elbo, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        for name, value in self.parameters.items():
            value.copy_(state["parameters"][name])
        self.elbo, self.steps = state["elbo"].to(self.elbo.device), state["steps"].to(self.steps.device)
