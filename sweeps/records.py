"""From a trained pack to rows of the members and history tables."""

import functools
import subprocess
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any, TypedDict

from ouvae import NUMERICS_VERSION
from ouvae.training.metrics import Metrics, TestMetrics
from search_spaces import Space
from sweeps.plan import Pack, Point

Row = dict[str, Any]

METRICS = tuple(field.name for field in fields(Metrics) if field.name != "step")
"""What a row says of an evaluation; a diverged member's row has none of it."""

TEST_METRICS = tuple(field.name for field in fields(TestMetrics))
"""What a row says of the test split, where it is measured."""


class PackReport(TypedDict):
    """What a trial sends back of a finished pack, in plain values.

    Attributes:
        outcomes: per member, in the pack's order: `history` (a dict an evaluation), `diverged_at_step`
            and `test` (a dict, or None).
        parameters: trained parameters of one member.
        seconds: wall time of the training, interruptions left out.
        torch_version: of the worker.
        python_version: of the worker.
    """

    outcomes: list[dict[str, Any]]
    parameters: int
    seconds: float
    torch_version: str
    python_version: str


def rows(space: Space, pack: Pack, report: PackReport) -> tuple[list[Row], list[Row]]:
    """Return the pack's rows of the members table and of the history table."""
    shared = _shared(space, pack, report)
    members: list[Row] = []
    history: list[Row] = []
    for point, outcome in zip(pack.points, report["outcomes"], strict=True):
        identity = _identity(pack, point)
        evaluations = outcome["history"]
        history += [{**identity, **evaluation} for evaluation in evaluations]
        diverged = outcome["diverged_at_step"]
        metrics = dict.fromkeys(METRICS) if diverged is not None else evaluations[-1]
        members.append(
            {
                **shared,
                **identity,
                **{key: metrics[key] for key in METRICS},
                **(outcome["test"] or dict.fromkeys(TEST_METRICS)),
                "status": "completed" if diverged is None else "diverged",
                "diverged_at_step": diverged,
                "failure": None,
            }
        )
    return members, history


def failed_rows(space: Space, pack: Pack, reason: str) -> list[Row]:
    """Return the members of a pack that could not be trained as rows without numbers, with the reason."""
    shared = _shared(space, pack, None)
    nothing = dict.fromkeys([*METRICS, *TEST_METRICS, "diverged_at_step"])
    return [
        {**shared, **_identity(pack, point), **nothing, "status": "failed", "failure": reason}
        for point in pack.points
    ]


def _identity(pack: Pack, point: Point) -> Row:
    return {
        "member_id": pack.cell.member_id(point),
        "rho": point.rho,
        "seed": point.seed,
        "cell_id": pack.cell.cell_id,
    }


def _shared(space: Space, pack: Pack, report: PackReport | None) -> Row:
    cell = pack.cell.cell
    return {
        **cell.model_dump(mode="json"),
        "space": space.name,
        "cell": cell.label,
        "depth": cell.depth,
        "data_digest": pack.cell.data_digest,
        "device": pack.cell.device,
        "kl_threshold_nats": space.kl_threshold_nats,
        "rho_c_exact": pack.cell.exact_rho(),
        "parameters": report["parameters"] if report else None,
        "pixels": prod(pack.cell.image_shape),
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


def project_version() -> str:
    """Return the installed project's version."""
    return metadata.version("ouvae-sweeps")


@functools.cache
def commit() -> str:
    """Return the checkout's commit, `-dirty` where it has changes; `unknown` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
