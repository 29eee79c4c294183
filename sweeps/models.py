"""Members of a run as models: plain PyTorch, with their trained weights, for samples and reconstructions.

A space keeps weights with `save_weights: last`, or `best`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import torch
from torch import Tensor

from analysis.tables.files import read_members
from ouvae.parts.likelihoods import likelihood_of
from ouvae.systems import System, leading_axes
from ouvae.training.noise import single_draws
from ouvae.training.step.precision import weights_dtype
from sweeps.record.paths import Paths
from sweeps.worker.weights import WeightsError, read_weights


@dataclass(frozen=True)
class TrainedMember:
    """A member with its weights.

    Attributes:
        model: the plain single model, on the CPU, in evaluation mode and without gradients.
        rho: its smoothing, which the model takes as an argument and these methods leave out.
        seed: its seed.
    """

    model: System
    rho: float
    seed: int

    def reconstruct(self, images: Tensor, seed: int = 0) -> Tensor:
        """Return the mean of p(x|z) at a draw of the posterior of each image, [B, D] -> [B, D]."""
        cell, dtype = self.model.cell, weights_dtype(self.model.cell)
        plain = cell.model_copy(update={"smoothed_networks": ()})
        generator = torch.Generator().manual_seed(seed)
        draws = single_draws(plain, leading_axes(len(images)), generator, dtype)
        return self._mean(self.model.reconstruct(images.to(dtype), draws))

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Return the means of p(x|z) at draws of the prior, from the top layer down, [count, D]."""
        return self._mean(self.model.generate(count, torch.Generator().manual_seed(seed)))

    def _mean(self, outputs: Tensor) -> Tensor:
        return likelihood_of(self.model.cell).mean(outputs, self.model.image_shape)


def load_model(run: str | Path, member_id: str) -> TrainedMember:
    """Return a member of a run with its trained weights.

    Args:
        run: folder of the run.
        member_id: of the member, as the members table has it.

    Raises:
        TableError: the run's members cannot be read.
        WeightsError: there is no such member, or there are no weights of it.
    """
    members = read_members(run).select(["member_id", "pack_id", "rho", "seed", "status"])
    rows = members.filter(pc.equal(members["member_id"], member_id)).to_pylist()
    if not rows:
        raise WeightsError(f"{run} has no member {member_id}; the column member_id of its members says which")
    member, folder = rows[0], Path(run) if Path(run).is_dir() else Path(run).parent
    path = Paths(folder).weights_of(member["pack_id"])
    if member["status"] != "completed":
        raise WeightsError(f"member {member_id} of {run} has no weights: it {member['status']}")
    if not path.is_file():
        raise WeightsError(
            f"{run} keeps no weights of member {member_id}: {path} is not there; train it with "
            "save_weights=last (or best), in a run of its own if it is trained already"
        )
    rho, seed = member["rho"], member["seed"]
    return TrainedMember(read_weights(path, rho, seed), rho, seed)
