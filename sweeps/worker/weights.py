"""Files of trained weights, one a pack: `weights/PACK.safetensors` in a run.

Each parameter is stacked over the pack's members, and the metadata say what a model is built of. They also
hold the file's seal, which is checked whenever the file is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from analysis.tables.replacing import replaced
from analysis.tables.seal import BLANK, CHANGED, is_intact, sealed
from ouvae.declared import Cell
from ouvae.declared.controls import RHO, at_value
from ouvae.systems import System
from ouvae.training.pack import trained_model
from sweeps.errors import gist

State: TypeAlias = Literal["last", "best"]
"""When the weights were taken: at the last step, or at the best validation ELBO."""


class WeightsError(Exception):
    """There are no weights of a member, or they cannot be used; the message says why and how to mend it."""


@dataclass(frozen=True)
class PackWeights:
    """The weights in a file.

    Attributes:
        control: the control parameter.
        members: its value and the seed of each.
        state: which weights they are; None if an older version wrote the file with `select: best` and did not
            record the state.
        weights: of all members, [P, …] by name, on the CPU.
    """

    cell: Cell
    control: str
    members: list[tuple[float, int]]
    state: State | None
    weights: dict[str, Tensor]


def write_weights(
    path: Path,
    cell: Cell,
    control: str,
    image_shape: Sequence[int],
    members: Sequence[tuple[float, int]],
    weights: Mapping[str, Tensor],
    state: State,
) -> None:
    """Write the weights of a pack, whole or not at all, into a folder that is there.

    They are those of the members (value of the control parameter, seed), [P, …] by name, on the CPU.

    Raises:
        OSError: it cannot be written.
    """
    about = {
        "cell": cell.model_dump_json(),
        "control": control,
        "image_shape": json.dumps(list(image_shape)),
        "members": json.dumps(list(members)),
        "state": state,
        "pack": path.stem,
        "seal": BLANK.decode(),
    }
    with replaced(path) as file:
        file.write(sealed(save(dict(weights), about)))


def read_weights(path: Path, value: float, seed: int) -> System:
    """Return the model of a member at its value, without loading the weights of other members.

    Raises:
        WeightsError: the file cannot be read, or the member is not in it.
    """
    with _readable(path):
        with safe_open(path, "pt") as file:
            about = _about(path, file)
            cell, members = _cell_of(about), _members_of(about)
            control = _control_of(about)
            if (value, seed) not in members:
                raise WeightsError(
                    f"{path} has no member with {control} {value:g} and seed {seed}: it diverged"
                )
            row = members.index((value, seed))
            weights = {name: file.get_slice(name)[row : row + 1][0] for name in file.keys()}  # noqa: SIM118
        return trained_model(at_value(cell, control, value), tuple(json.loads(about["image_shape"])), weights)


def read_pack_weights(path: Path) -> PackWeights:
    """Return the weights of all members in a file.

    Raises:
        WeightsError: it cannot be read.
    """
    with _readable(path):
        with safe_open(path, "pt") as file:
            about = _about(path, file)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        cell = _cell_of(about)
        state = "last" if cell.select == "last" else about.get("state")
        return PackWeights(cell, _control_of(about), _members_of(about), cast(State | None, state), weights)


def _about(path: Path, file: Any) -> Mapping[str, str]:
    """Return the metadata of an open file. Raises ValueError if its weights are of another pack."""
    about: Mapping[str, str] = file.metadata()
    if (pack := about.get("pack", path.stem)) != path.stem:
        raise ValueError(f"it holds the weights of pack {pack}; put back the file of this run")
    return about


def _cell_of(about: Mapping[str, str]) -> Cell:
    return Cell.model_validate_json(about["cell"])


def _control_of(about: Mapping[str, str]) -> str:
    return about.get("control", RHO)


def _members_of(about: Mapping[str, str]) -> list[tuple[float, int]]:
    return [(float(value), int(seed)) for value, seed in json.loads(about["members"])]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Check a file's seal; turn what goes wrong in reading the file into a WeightsError."""
    try:
        if not is_intact(path.read_bytes()):
            raise ValueError(CHANGED)
        yield
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is no file of weights that this version can read: {gist(error)}"
        ) from error
