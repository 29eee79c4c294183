"""From a trained pack to rows of the members and history tables."""

from datetime import UTC, datetime
from math import prod
from typing import Any

from analysis.schema import SPLIT_IMAGES, Row
from ouvae import NUMERICS_VERSION
from ouvae.declared import METRICS, TEST_METRICS
from sweeps.cluster.messages import PackReport
from sweeps.plan import Pack, PlannedCell, Point
from sweeps.provenance import commit, project_version

_METRICS = [metric.name for metric in METRICS]
_TEST_METRICS = [metric.name for metric in TEST_METRICS]


def rows(space: str, pack: Pack, report: PackReport) -> tuple[list[Row], list[Row]]:
    """Return the pack's rows of the members table and of the history table, for a space of that name."""
    members: list[Row] = []
    history: list[Row] = []
    for point, outcome in zip(pack.points, report["outcomes"], strict=True):
        evaluations, diverged = outcome["history"], outcome["diverged_at_step"]
        history += [{**_identity(pack, point), **evaluation} for evaluation in evaluations]
        last = dict.fromkeys(_METRICS) if diverged is not None else _metrics(evaluations[-1])
        test = outcome["test"] or dict.fromkeys(_TEST_METRICS)
        fate = {
            "status": "completed" if diverged is None else "diverged",
            "diverged_at_step": diverged,
            "failure": None,
        }
        members.append(_member(space, pack, point, report) | last | test | fate)
    return members, history


def failed_rows(space: str, pack: Pack, reason: str) -> list[Row]:
    """Return the members of a pack that could not be trained as rows without numbers, with the reason."""
    nothing = dict.fromkeys([*_METRICS, *_TEST_METRICS, "diverged_at_step"])
    fate = {"status": "failed", "failure": reason}
    return [_member(space, pack, point, None) | nothing | fate for point in pack.points]


def _metrics(evaluation: Row) -> dict[str, Any]:
    return {name: value for name, value in evaluation.items() if name != "step"}


def _identity(pack: Pack, point: Point) -> dict[str, Any]:
    return {
        "member_id": pack.cell.member_id(point),
        "rho": point.rho,
        "seed": point.seed,
        "cell_id": pack.cell.cell_id,
    }


def cell_columns(planned: PlannedCell) -> dict[str, Any]:
    """Return the keys of a cell, and what its data set is."""
    images = dict(zip(SPLIT_IMAGES, planned.split_images, strict=True))
    return {**planned.cell.model_dump(mode="json"), "data_digest": planned.data_digest, **images}


def _member(space: str, pack: Pack, point: Point, report: PackReport | None) -> dict[str, Any]:
    """Return what a member's row says but for its metrics and its fate; None where it was not trained."""
    planned = pack.cell
    return {
        **cell_columns(planned),
        **_identity(pack, point),
        "space": space,
        "cell": planned.label,
        "depth": planned.cell.depth,
        "code_digest": planned.code_digest,
        "device": planned.device,
        "rho_c_exact": planned.exact_rho(),
        "parameters": report["parameters"] if report else None,
        "pixels": prod(planned.cell.image_shape),
        "seconds": report["seconds"] / len(pack.points) if report else 0.0,
        "pack_id": pack.pack_id,
        "pack_members": len(pack.points),
        "finished_at": datetime.now(UTC),
        "numerics_version": NUMERICS_VERSION,
        "project_version": project_version(),
        "torch_version": report["torch_version"] if report else None,
        "python_version": report["python_version"] if report else None,
        "commit": commit(),
    }
