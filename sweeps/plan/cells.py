"""Planned cells: cells with the identities of their members."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from analysis.tables.schema import SPLIT_IMAGES
from ouvae import TRAINING_VERSION
from ouvae.data import Dataset
from ouvae.declared import Cell, keys_of, labels
from ouvae.declared.controls import RHO, at_value, canonical
from ouvae.linear_gaussian import critical_values, is_linear
from search_spaces import SweptCell
from sweeps.errors import SweepError, located
from sweeps.plan.users_code import UsersCode


@dataclass(frozen=True, order=True)
class Point:
    """A member of a cell: a value of the control parameter, and a seed."""

    value: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell with its name, its initial values, and all that its members' numbers depend on.

    Attributes:
        cell: at the canonical value of its control parameter.
        control: the control parameter.
        label: its name, which no other cell of the space has.
        values: of the control parameter at which its search starts, in increasing order.
        data_digest: of the data set's arrays.
        split_images: how many images its training, validation and test split have.
        code_digest: of the code of users' systems and data sets; None without any.
        device: `cpu` or `cuda`, whose random numbers differ.
        spectrum: eigenvalues of the covariance of the training data, the largest first; exact critical values
            of linear models follow from them. None for other models, and for data that are drawn as 0 or 1.
    """

    cell: Cell
    label: str
    control: str
    values: tuple[float, ...]
    data_digest: str
    split_images: tuple[int, int, int]
    device: str
    code_digest: str | None = None
    spectrum: tuple[float, ...] | None = None

    @cached_property
    def cell_id(self) -> str:
        """Hash of everything that the cell's members share and their numbers depend on.

        The control parameter is left out if it is rho, as it was when there was no other.
        """
        named = {} if self.control == RHO else {"control": self.control}
        return digest(_without(self.cell, self.control) | self._shared | named)

    def member_id(self, point: Point) -> str:
        """Hash of everything that determines the member's numbers, whichever key is swept."""
        cell = self.at(point.value)
        return digest(_without(cell, RHO) | self._shared | {"rho": cell.rho, "seed": point.seed})

    @cached_property
    def critical_values(self) -> dict[str, float]:
        """Exact critical values by order parameter, where a closed form is known."""
        return critical_values(self.cell, self.control, self.spectrum)

    def at(self, value: float) -> Cell:
        """Return the cell at a value of its control parameter."""
        return at_value(self.cell, self.control, value)

    def multiply_adds(self) -> int:
        """Return the multiply-adds of a member's training step.

        Raises:
            SweepError: the model cannot be built or computed.
        """
        from ouvae.training.counts import multiply_adds

        return self.count(multiply_adds)

    def count(self, count: Callable[..., int], *arguments: object) -> int:
        """Return a count of the model, which may be a user's code. Raises as `multiply_adds`."""
        try:
            return count(self.cell, self.cell.image_shape, *arguments)
        except Exception as error:
            raise SweepError(
                f"a training step of {self.label} cannot be computed: {located(error)}; mend the system "
                f"{self.cell.system}"
            ) from error

    @cached_property
    def _shared(self) -> dict[str, Any]:
        own_code = {"code_digest": self.code_digest} if self.code_digest else {}
        return {
            "data_digest": self.data_digest,
            "device": self.device,
            "numerics_version": TRAINING_VERSION,  # the key of when there was one version
        } | own_code


def _without(cell: Cell, key: str) -> dict[str, Any]:
    """Return the identity of a cell without a key."""
    return {name: value for name, value in cell.identity().items() if name != key}


def plan_cells(
    swept: Sequence[SweptCell],
    data_of: Callable[[Cell], Dataset],
    device: str,
    users_code: UsersCode | None = None,
) -> list[PlannedCell]:
    """Return the planned cells of a space.

    Args:
        swept: the cells.
        data_of: gives a cell's data set.
        device: where members train.
        users_code: code of users' systems and data sets; None reads it now.
    """
    users_code = users_code or UsersCode(part.cell for part in swept)
    names = labels(part.cell for part in swept)
    return [
        PlannedCell(
            cell=part.cell,
            label=name,
            control=part.control,
            values=part.values,
            data_digest=data.digest,
            split_images=(len(data.train), len(data.validation), len(data.test)),
            device=device,
            code_digest=users_code.digest(part.cell),
            spectrum=_spectrum(part.cell, data),
        )
        for part, name in zip(swept, names, strict=True)
        for data in [data_of(part.cell)]
    ]


def _spectrum(cell: Cell, data: Dataset) -> tuple[float, ...] | None:
    return data.spectrum if is_linear(cell) and data.binarization == "none" else None


def require_computable(cells: Iterable[PlannedCell]) -> None:
    """Refuse systems that do not compute. Raises SweepError."""
    for cell in cells:
        cell.multiply_adds()


def cell_of_member(row: Mapping[str, Any]) -> PlannedCell:
    """Return the cell of a row of the members table, as this version of the project would train it.

    Its `cell_id` equals the row's if and only if it would train the same members. It has no `values`.

    Raises:
        ValueError: this version has no such cell.
    """
    train, validation, test = (row[name] or 0 for name in SPLIT_IMAGES)
    cell = Cell.model_validate({name: row[name] for name in keys_of(Cell)})
    return PlannedCell(
        cell=canonical(cell, row["control"]),
        label=row["cell"],
        control=row["control"],
        values=(),
        data_digest=row["data_digest"],
        split_images=(train, validation, test),
        device=row["device"],
        code_digest=row["code_digest"],
    )


def digest(value: object) -> str:
    """Return the hash of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
