"""Control parameters of a pack: keys of a cell of which each member may have another value."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from ouvae.declared import CONTROLS
from ouvae.declared.controls import RHO
from ouvae.systems import System


def check_values(values: Mapping[str, Sequence[float]], members: int) -> None:
    """Refuse values of keys that are no control parameters, and values that are not one for each member.

    Raises:
        ValueError: naming the key.
    """
    others = [name for name in CONTROLS if name != RHO]
    for name, of_members in values.items():
        if name not in others:
            what = "every member has one" if name == RHO else "is no control parameter"
            raise ValueError(f"{name} {what}; members may differ in {', '.join(others)}")
        if len(of_members) != members:
            raise ValueError(f"{name}: {len(of_members)} values for {members} members; give one for each")


def opened(model: System, names: Collection[str]) -> dict[str, str]:
    """Turn the values of control parameters inside a model into buffers, which `functional_call` replaces.

    Returns:
        The control parameter of each buffer, by the buffer's name.

    Raises:
        ValueError: no module of the model holds a value.
    """
    buffers: dict[str, str] = {}
    for name in names:
        if not CONTROLS[name].in_model:
            continue
        holders = [(path, module) for path, module in model.named_modules() if name in vars(module)]
        if not holders:
            raise ValueError(
                f"{name}: no module of system {model.cell.system} has this attribute; use the likelihood "
                "that `likelihood_of` returns"
            )
        for path, module in holders:
            value = vars(module).pop(name)
            module.register_buffer(name, torch.as_tensor(value), persistent=False)
            buffers[f"{path}.{name}".lstrip(".")] = name
    return buffers


def with_buffers(
    parameters: Mapping[str, Tensor], buffers: Mapping[str, str], values: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return parameters together with the values of the buffers that `opened` made."""
    return {**parameters, **{path: values[name] for path, name in buffers.items()}}
