"""The members of a pack measured at their kept weights: their rows, and why some have none."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from analysis.tables.files import rows_of, table_of
from analysis.tables.schema import HISTORY, MEMBERS, Row
from analysis.text.words import plural
from ouvae.data import Dataset
from ouvae.declared import Cell
from ouvae.training.outcome import Measured, Sheet
from ouvae.training.pack import pack_of
from search_spaces import Space
from sweeps.errors import gist
from sweeps.executors.executor import drawn_of
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack
from sweeps.record.fragments import Fragment
from sweeps.record.ledger import Ledger
from sweeps.record.rows import confirmed, measured_anew, sheet_rows, with_last_evaluation
from sweeps.remeasuring.cells import MeasuredCells
from sweeps.worker.weights import State, WeightsError, read_pack_weights

MOST_NAMED = 3
"""Members that a line names, of those that were not measured for one reason."""

_NOT_LAST = (
    "its metrics on the validation split, which are of the last step: the kept weights are those of the best "
    "validation ELBO (save_weights: best)"
)

_NOT_BEST = (
    "its metrics on the test split, which are of the best validation ELBO (select: best): the kept weights "
    "are those of the last step (save_weights: last)"
)


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
    path: Path,
    pack: Pack,
    members: Sequence[Row],
    data: Dataset,
    evaluation_bytes: int,
    drawn: Collection[int] = (),
) -> tuple[dict[int, Numbers], dict[int, Sheet]]:
    """Return the numbers of a pack's members at their kept weights, and sheets, by their places.

    The rows of all its members come in their order. The evaluation of L_k may take `evaluation_bytes`. Sheets
    are drawn of the members at the places `drawn`, if the weights are the last ones.

    Raises:
        WeightsError: the file cannot be read, or is of another pack.
    """
    cell = pack.cell.cell
    kept = read_pack_weights(path)
    points = [(point.value, point.seed) for point in pack.points]
    same_kind = (kept.cell, kept.control) == (cell, pack.cell.control)
    if not same_kind or not set(kept.members) <= set(points):
        raise WeightsError(f"{path} holds weights of other members; put back the file of this run")
    training = pack_of(cell, kept.control, points, data, pack.cell.device, evaluation_bytes)
    places = [points.index(member) for member in kept.members]
    diverged = {
        place: row["diverged_at_step"] for place, row in enumerate(members) if row["status"] != "completed"
    }
    measured = training.measured(places, kept.weights, diverged)
    sheets: dict[int, Sheet] = {}
    if kept.state == "last":
        with suppress(Exception):  # no number depends on a sheet
            sheets = training.sheets({*drawn} & {*places})
    return {place: Numbers(kept.state, numbers) for place, numbers in measured.items()}, sheets


class PackMeasuring:
    """Measures packs, and notes which members are left.

    Args:
        space: of the run: the memory that the evaluation of L_k may take, and which members are drawn.

    Attributes:
        measured: number of members that were measured.
    """

    def __init__(self, ledger: Ledger, cells: MeasuredCells, space: Space) -> None:
        self.measured = 0
        self._ledger, self._cells, self._space = ledger, cells, space
        self._evaluation_bytes = round(space.evaluation_gib * 2**30)
        self._left: defaultdict[str, list[str]] = defaultdict(list)  # ids of members by reason

    def measure(self, pack_id: str) -> None:
        """Measure the members of a pack and write their rows, or note why not."""
        fragment = self._ledger.pack(pack_id)
        members, history = rows_of(fragment.members), rows_of(fragment.history)
        cell_id = members[0]["cell_id"]
        if reason := self._cells.unusable(cell_id):
            self._leave(members, reason)
            return
        points = tuple(Point(row["value"], row["seed"]) for row in members)
        pack = Pack(self._cells[cell_id], points)
        if pack.pack_id != pack_id:
            self._leave(members, f"the rows of pack {pack_id} are not those of its members")
            return
        numbers = self._numbers(pack, members)
        anew = [
            confirmed(row) if row["status"] != "completed" else self._row(row, pack, numbers.get(place))
            for place, row in enumerate(members)
        ]
        if anew != members:
            entries = with_last_evaluation(history, anew)
            self._ledger.replace(pack_id, Fragment(table_of(anew, MEMBERS), table_of(entries, HISTORY)))

    def lines_of_left(self) -> list[str]:
        """Return a line for each reason for which members were not measured."""
        lines = []
        for reason, ids in self._left.items():
            more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
            named = ", ".join(ids[:MOST_NAMED])
            lines.append(f"{plural(len(ids), 'member')} not measured ({named}{more}): {reason}")
        return lines

    def _numbers(self, pack: Pack, members: Sequence[Row]) -> dict[int, Numbers]:
        """Return the numbers of a pack's members by their places; note who has none, and why."""
        completed = {place: row for place, row in enumerate(members) if row["status"] == "completed"}
        numbers: dict[int, Numbers] = {}
        reason, path = "no weights of it are kept", self._ledger.run.weights_of(pack.pack_id)
        try:
            if completed and path.is_file():
                data = self._cells.data.of(pack.cell.cell)
                drawn = drawn_of(pack, self._space)
                numbers, sheets = numbers_at(path, pack, members, data, self._evaluation_bytes, drawn)
                self._ledger.sheets.add(sheet_rows(pack, sheets))
                reason = "it is not in the file of its pack's weights"
        except WeightsError as error:
            reason = str(error)
        except Exception as error:  # a pack that cannot be measured stops no other
            reason = f"pack {pack.pack_id}: {type(error).__name__}: {gist(error)}"
        if missing := [row for place, row in completed.items() if place not in numbers]:
            self._leave(missing, reason)
        return numbers

    def _row(self, row: Row, pack: Pack, numbers: Numbers | None) -> Row:
        """Return a completed member's row with the numbers that its weights give; note what is missing."""
        if numbers is None:
            return row
        new, cell = numbers.measured, pack.cell.cell
        bounds = (new.validation["elbo_nats"], new.validation["objective_nats"])
        if not all(map(math.isfinite, bounds)):
            self._leave([row], "its ELBO or objective is not finite at the kept weights")
            return row
        validation, test = covered(cell, numbers.state, row["selected_step"])
        if not (validation or test):
            self._leave([row], "its file does not say whether the weights are the last or the best")
            return row
        if not validation:
            self._leave([row], _NOT_LAST)
        if cell.bound_samples and not test:
            self._leave([row], _NOT_BEST)
        self.measured += 1
        return measured_anew(row, new.validation if validation else None, new.test if test else None)

    def _leave(self, rows: Iterable[Row], reason: str) -> None:
        self._left[reason] += [row["member_id"] for row in rows]
