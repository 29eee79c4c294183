"""Rows of the members and history tables: of a pack, and of members that are measured anew."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import prod
from typing import Any

import pyarrow as pa

from analysis.tables.files import table_of
from analysis.tables.schema import HISTORY, MEMBERS, SHEETS, SPLIT_IMAGES, Row
from ouvae import NUMERICS_VERSION
from ouvae.declared import METRICS, TEST_METRICS, Cell
from ouvae.declared.order_parameters import PAPERS
from ouvae.training.outcome import Sheet
from sweeps.plan.cells import PlannedCell, Point
from sweeps.plan.packs import Pack
from sweeps.record.fragments import Fragment
from sweeps.record.provenance import commit, project_version
from sweeps.worker.hardware import Machine
from sweeps.worker.task import PackResult

_METRICS = [metric.name for metric in METRICS]
_TEST_METRICS = [metric.name for metric in TEST_METRICS]


def trained(space: str, pack: Pack, result: PackResult) -> Fragment:
    """Return the results of a trained pack of a space of that name as tables."""
    members: list[Row] = []
    history: list[Row] = []
    for point, outcome in zip(pack.points, result.outcomes, strict=True):
        diverged = outcome.diverged_at_step
        history += [{**_identity(pack, point), **evaluation} for evaluation in outcome.history]
        last = dict.fromkeys(_METRICS) if diverged is not None else _metrics(outcome.history[-1])
        test = outcome.test or dict.fromkeys(_TEST_METRICS)
        status = "completed" if diverged is None else "diverged"
        end = {"status": status, "diverged_at_step": diverged, "failure": None}
        members.append(_member(space, pack, point, result) | last | test | end)
    return Fragment(table_of(members, MEMBERS), table_of(history, HISTORY))


def failed(space: str, pack: Pack, reason: str) -> Fragment:
    """Return the members of a pack that failed permanently as rows without numbers, with the reason."""
    nothing = dict.fromkeys([*_METRICS, *_TEST_METRICS, "diverged_at_step"])
    text = reason.encode(errors="replace").decode()  # a path may have bytes that are no text
    end = {"status": "failed", "failure": text}
    members = [_member(space, pack, point, None) | nothing | end for point in pack.points]
    return Fragment(table_of(members, MEMBERS), HISTORY.empty_table())


def sheet_rows(pack: Pack, drawn: Mapping[int, Sheet]) -> pa.Table:
    """Return the sheets of a pack's members, by their indices, as a table."""
    return table_of(
        [_identity(pack, pack.points[index]) | vars(sheet) for index, sheet in drawn.items()], SHEETS
    )


def measured_anew(row: Row, validation: Row | None, test: Row | None) -> Row:
    """Return the row of a completed member with metrics that were measured anew.

    The versions of the row become those of this project only if none of its metrics are left from before.

    Args:
        row: of the members table.
        validation: metrics on the validation split; None keeps those of the row.
        test: metrics on the test split; None keeps those of the row.
    """
    complete = validation is not None and (test is not None or row["bound_samples"] is None)
    anew = {**row, **(validation or {}), **(test or {}), "finished_at": datetime.now(UTC)}
    return anew | (_versions() if complete else {})


def confirmed(row: Row) -> Row:
    """Return the row of a diverged member, which has no metrics, with the versions of this project."""
    return {**row, **_versions(), "finished_at": datetime.now(UTC)}


def with_last_evaluation(history: Iterable[Row], members: Iterable[Row]) -> list[Row]:
    """Return a history in which the last evaluation of completed members has the metrics of their rows."""
    rows = {row["member_id"]: row for row in members if row["status"] == "completed"}
    entries = list(history)
    last: dict[str, int] = {}
    for entry in entries:
        last[entry["member_id"]] = max(entry["step"], last.get(entry["member_id"], 0))
    return [
        {**entry, **{name: rows[entry["member_id"]][name] for name in _METRICS}}
        if entry["member_id"] in rows and entry["step"] == last[entry["member_id"]]
        else entry
        for entry in entries
    ]


def _versions() -> dict[str, Any]:
    return {"numerics_version": NUMERICS_VERSION, "project_version": project_version(), "commit": commit()}


def _metrics(evaluation: Row) -> dict[str, Any]:
    return {name: value for name, value in evaluation.items() if name != "step"}


def _identity(pack: Pack, point: Point) -> dict[str, Any]:
    return {
        "member_id": pack.cell.member_id(point),
        "value": point.value,
        "seed": point.seed,
        "cell_id": pack.cell.cell_id,
    }


def cell_columns(planned: PlannedCell, cell: Cell | None = None) -> dict[str, Any]:
    """Return the keys of a planned cell, or of the cell at one of its values; and what its data set is."""
    images = dict(zip(SPLIT_IMAGES, planned.split_images, strict=True))
    return {**(cell or planned.cell).model_dump(mode="json"), "data_digest": planned.data_digest, **images}


def _member(space: str, pack: Pack, point: Point, result: PackResult | None) -> dict[str, Any]:
    """Return the columns of a member's row without metrics and status; no result means not trained."""
    planned = pack.cell
    exact = planned.critical_values
    return {
        **cell_columns(planned, planned.at(point.value)),
        **_identity(pack, point),
        "control": planned.control,
        "space": space,
        "cell": planned.label,
        "depth": planned.cell.depth,
        "code_digest": planned.code_digest,
        "device": planned.device,
        "critical_exact": exact.get(PAPERS),
        "critical_exact_of": [{"order_parameter": name, "value": value} for name, value in exact.items()],
        "parameters": result.parameters if result else None,
        "pixels": prod(planned.cell.image_shape),
        "seconds": result.seconds / len(pack.points) if result else 0.0,
        "pack_id": pack.pack_id,
        "pack_members": len(pack.points),
        "finished_at": datetime.now(UTC),
        **_versions(),
        "torch_version": result.torch_version if result else None,
        "python_version": result.python_version if result else None,
        **(result.machine if result else dict.fromkeys(Machine.__annotations__)),
    }
