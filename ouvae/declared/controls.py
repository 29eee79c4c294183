"""Control parameters: the keys of a cell that a sweep may vary, each declared with its key.

A sweep varies one of them, its *control*: the members of a cell differ in its value and in their seeds.
"""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from ouvae.declared.cell import Cell
from ouvae.declared.keys import Control, keys_of

CONTROLS: Mapping[str, Control] = MappingProxyType(
    {name: key.control for name, key in keys_of(Cell).items() if key.control is not None}
)
"""The control parameters by name."""

RHO = "rho"
"""The paper's control parameter. Tables that name none are of sweeps of it."""


def swept_controls(keys: Mapping[str, Any] | BaseModel) -> list[str]:
    """Return the control parameters of which the keys of a space give a list or a range of values."""
    values = keys if isinstance(keys, Mapping) else vars(keys)
    return [name for name in CONTROLS if isinstance(values.get(name), list | tuple | dict | BaseModel)]


def control_of(keys: Mapping[str, Any] | BaseModel) -> str:
    """Return the control parameter that a space sweeps: the first with a list or a range, else rho."""
    return next(iter(swept_controls(keys)), RHO)


def has_effect(control: str, smoothed_networks: Collection[str]) -> bool:
    """Tell whether a control parameter acts on a cell: rho does not where nothing is smoothed."""
    return control != RHO or bool(smoothed_networks)


def bounds_of(control: str) -> tuple[float, float]:
    """Return the lowest and the highest value that a control parameter can take."""
    parts = Cell.model_fields[control].metadata
    low = (getattr(part, name) for part in parts for name in ("ge", "gt") if hasattr(part, name))
    high = (part.le for part in parts if hasattr(part, "le"))
    return next(low, 0.0), next(high, math.inf)


def at_value(cell: Cell, control: str, value: float) -> Cell:
    """Return a cell at a value of its control parameter."""
    return cell.model_copy(update={control: value})


def canonical(cell: Cell, control: str) -> Cell:
    """Return a cell at the value of its control parameter that stands for all values of a sweep.

    It is the key's default; 1 for a key without a number as default.
    """
    default = Cell.model_fields[control].default
    return at_value(cell, control, default if isinstance(default, int | float) else 1.0)
