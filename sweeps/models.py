"""Members of a run as models: plain PyTorch, with their trained weights, for samples and reconstructions.

A space keeps weights with `save_weights: last`, or `best`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.tables.files import read_members
from ouvae.systems import System
from ouvae.training.sheet import pixel_means, reconstructions
from ouvae.training.step.precision import weights_dtype
from sweeps.record.paths import Paths
from sweeps.worker.weights import WeightsError, read_weights


@dataclass(frozen=True)
class TrainedMember:
    """A member with its weights.

    Attributes:
        model: the plain single model, on the CPU, in evaluation mode and without gradients.
        rho: its smoothing, which the model takes as an argument and these methods leave out. The model's cell
            has all its keys.
        seed: its seed.
    """

    model: System
    rho: float
    seed: int

    def reconstruct(self, images: Tensor | NDArray[Any], seed: int = 0) -> Tensor:
        """Return the mean of p(x|z) at a draw of the posterior of each image, [B, D].

        Args:
            images: [B, D], or [B, *shape] in the shape of the data set's images.
            seed: of the draw.

        Raises:
            ValueError: images of another shape.
        """
        x = self._flat(torch.as_tensor(images)).to(weights_dtype(self.model.cell))
        return reconstructions(self.model, x, torch.Generator().manual_seed(seed))

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Return the means of p(x|z) at draws of the prior, from the top layer down, [count, D]."""
        return pixel_means(self.model, self.model.generate(count, torch.Generator().manual_seed(seed)))

    def _flat(self, images: Tensor) -> Tensor:
        shape = self.model.image_shape
        pixels = math.prod(shape)
        if tuple(images.shape[1:]) not in (shape, (pixels,)):
            alternative = f", or [B, {', '.join(map(str, shape))}]" if len(shape) > 1 else ""
            raise ValueError(
                f"images of shape {list(images.shape)}; give [B, {pixels}]{alternative} with the B images "
                "first, also for a single one"
            )
        return images.reshape(len(images), pixels)


def load_model(run: str | Path, member_id: str) -> TrainedMember:
    """Return a member of a run with its trained weights.

    Args:
        run: folder of the run.
        member_id: of the member, as the members table has it.

    Raises:
        TableError: the run's members cannot be read.
        WeightsError: there is no such member, or there are no weights of it.
    """
    members = read_members(run).select(["member_id", "pack_id", "value", "seed", "status"])
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
    model = read_weights(path, member["value"], member["seed"])
    return TrainedMember(model, model.cell.rho, member["seed"])
