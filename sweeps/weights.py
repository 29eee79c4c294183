"""Files of trained weights, one a pack: `weights/PACK.safetensors` in a run.

Each parameter is stacked over the pack's members, and the metadata say what a model is built of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ouvae.declared import Cell
from ouvae.systems import System, build
from ouvae.training.precision import weights_dtype
from sweeps.checkpoints import replaced


class WeightsError(Exception):
    """There are no weights of a member, or they cannot be used; the message says why and how to mend it."""


def write_weights(
    path: Path,
    cell: Cell,
    image_shape: Sequence[int],
    members: Sequence[tuple[float, int]],
    weights: Mapping[str, Tensor],
) -> None:
    """Write the weights of a pack, whole or not at all.

    Args:
        path: the file, in a folder that is there.
        cell: of its members.
        image_shape: of the data.
        members: (rho, seed) of each.
        weights: of all, [P, …] by name, on the CPU.

    Raises:
        OSError: it cannot be written.
    """
    about = {
        "cell": cell.model_dump_json(),
        "image_shape": json.dumps(list(image_shape)),
        "members": json.dumps(list(members)),
    }
    with replaced(path) as file:
        file.write(save(dict(weights), about))


def read_weights(path: Path, rho: float, seed: int) -> System:
    """Return the model of a member, of whose file its own weights alone are read.

    Raises:
        WeightsError: the file cannot be read, or the member is not in it.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            members = [(float(rho), int(seed)) for rho, seed in json.loads(about["members"])]
            if (rho, seed) not in members:
                raise WeightsError(f"{path} has no member with rho {rho:g} and seed {seed}: it diverged")
            row = members.index((rho, seed))
            weights = {name: file.get_slice(name)[row : row + 1][0] for name in file.keys()}  # noqa: SIM118
            cell = Cell.model_validate_json(about["cell"])
            model = build(cell, tuple(json.loads(about["image_shape"])))
        model.to(weights_dtype(cell)).load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise WeightsError(f"{path} is no file of weights that this version can read: {first}") from error
    return model.eval().requires_grad_(False)
