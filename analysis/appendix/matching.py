"""Selectors: which members or costs a row of a published table is.

A selector maps columns to conditions, all of which must hold: a plain value stands for equality, `Below`
and `Above` for inequalities (`{"kl_warmup": Above(0)}` has KL warm-up), `OneOf` for a choice of texts.
`Unless` and `Beside` depend on what other rows the run has; `settled` replaces them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from analysis.tables.schema import Row


@dataclass(frozen=True)
class Below:
    """A condition of a selector: the column is less than `limit`."""

    limit: float


@dataclass(frozen=True)
class Above:
    """A condition of a selector: the column is greater than `limit`."""

    limit: float


@dataclass(frozen=True)
class OneOf:
    """A condition of a selector: the column is one of these texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Unless:
    """A condition of a selector: the column is another text, or all rows of the run have this text."""

    text: str


@dataclass(frozen=True)
class Beside:
    """A condition of a selector: the column is this text, and other rows of the run have another."""

    text: str


Condition: TypeAlias = (
    str | float | tuple[int, ...] | tuple[str, ...] | Below | Above | OneOf | Unless | Beside
)
Where: TypeAlias = Mapping[str, Condition]
"""A selector: a condition a column, which all must hold; a plain value stands for equality."""

ACTIVATION: dict[str, Condition] = {"activation": Unless("relu")}
"""The activation of a published row: any but ReLU, unless the run has ReLU only."""

RELU: dict[str, Condition] = {"activation": Beside("relu")}
"""ReLU in a run that has other activations too, for a row without published numbers."""

GENERATIVE: dict[str, Condition] = {"smoothed_networks": ("generative",)}
"""The reading of the paper that published rows are compared with: only p(z_l|z_l+1) is smoothed."""

WITH_LIKELIHOOD: dict[str, Condition] = {"smoothed_networks": ("generative", "likelihood")}
"""The other reading: p(x|z_1) is smoothed too."""

WITH_INFERENCE: dict[str, Condition] = {"smoothed_networks": ("generative", "inference", "likelihood")}
"""The widest reading: the inference networks q(z_l+1|z_l) are smoothed too."""

VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": 1.0, **ACTIVATION}
IWAE: dict[str, Condition] = {"system": "vae", "objective": "iwae", "rho": 1.0, **ACTIVATION}
OU_VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": Below(1.0), **ACTIVATION}
"""The models that several tables compare; rho = 1 is without smoothing."""


def settled(where: Where, rows: Sequence[Row]) -> Where:
    """Return a selector whose conditions depend on no other row, for the rows of a run."""
    plain: dict[str, Condition] = {}
    for column, condition in where.items():
        if isinstance(condition, Unless | Beside) and all(row[column] == condition.text for row in rows):
            if isinstance(condition, Beside):
                plain[column] = OneOf(())
        else:
            plain[column] = condition
    return plain


def matches(row: Row, where: Where) -> bool:
    """Tell whether a row of members or costs fulfils every condition of a selector.

    Lists of the row equal tuples of the selector; numbers are equal to nine digits. `where` is settled.
    """
    return all(_fulfils(row[column], condition) for column, condition in where.items())


def _fulfils(value: Any, condition: Condition) -> bool:
    if isinstance(condition, Below):
        return bool(value < condition.limit)
    if isinstance(condition, Above):
        return bool(value > condition.limit)
    if isinstance(condition, OneOf):
        return value in condition.texts
    if isinstance(condition, Unless):
        return bool(value != condition.text)
    if isinstance(condition, Beside):
        return bool(value == condition.text)
    if isinstance(condition, tuple):
        return tuple(value) == condition
    if isinstance(condition, str):
        return bool(value == condition)
    return math.isclose(value, condition, rel_tol=1e-9, abs_tol=1e-12)
