"""The numbers of a pack's members at their kept weights, and which columns of a row these are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from analysis.tables.schema import Row
from ouvae.data import Dataset
from ouvae.declared import Cell
from ouvae.training.outcome import Measured
from ouvae.training.pack import PackTraining
from sweeps.plan.packs import Pack
from sweeps.worker.weights import State, WeightsError, read_pack_weights


class Numbers(NamedTuple):
    """The numbers of a member, and the weights that they are of."""

    state: State | None
    measured: Measured


def covered(cell: Cell, state: State | None, selected_step: int | None) -> tuple[bool, bool]:
    """Return whether kept weights give a member's metrics on the validation split, and on the test split.

    Metrics on the validation split are of the last step, those on the test split of the selected one.

    Args:
        cell: of the member.
        state: which weights are kept; None if that is not known.
        selected_step: of the member's row.
    """
    selected_is_last = cell.select == "last" or selected_step == cell.steps
    validation = state == "last" or selected_is_last
    test = state == cell.select or selected_is_last
    return validation, test and cell.bound_samples is not None


def numbers_at(
    path: Path, pack: Pack, members: Sequence[Row], data: Dataset, evaluation_bytes: int
) -> dict[int, Numbers]:
    """Return the numbers of a pack's members at their kept weights, by their places.

    Args:
        path: file of the weights.
        pack: the pack.
        members: rows of all its members, in their order.
        data: its data set.
        evaluation_bytes: memory that the evaluation of L_k may take.

    Raises:
        WeightsError: the file cannot be read, or is of another pack.
    """
    cell = pack.cell.cell
    kept = read_pack_weights(path)
    points = [(point.rho, point.seed) for point in pack.points]
    if kept.cell != cell or not set(kept.members) <= set(points):
        raise WeightsError(f"{path} holds weights of other members; put back the file of this run")
    training = PackTraining(cell, points, data, pack.cell.device, evaluation_bytes)
    places = [points.index(member) for member in kept.members]
    diverged = {
        place: row["diverged_at_step"] for place, row in enumerate(members) if row["status"] != "completed"
    }
    measured = training.measured(places, kept.weights, diverged)
    return {place: Numbers(kept.state, own) for place, own in measured.items()}
