"""The views of a sweep in MLflow's UI: their addresses, columns and charts. Does not import MLflow."""

from collections.abc import Sequence
from typing import Any

from ouvae.declared import OrderParameter
from sweeps.tracking.mlflow_internals import cells_view, members_view, runs_page
from sweeps.tracking.values import threshold_name

THRESHOLDS, CURVES, MEMBERS = "thresholds", "curves", "members"
"""What the pages about a sweep show."""

_CELL_METRICS = ("critical_value", "critical_low", "critical_high", "half_width", "n_members")
_CELL_TAGS = ("status",)
_CELL_PARAMS = ("latents", "steps")
_MEMBER_PARAMS = ("seed", "latents")


def pages(experiment: str, sweep_id: str) -> dict[str, str]:
    """Return the address of each page about a sweep, relative to the start page, by what it shows."""
    cells, members = _keys(sweep_id)
    return {
        THRESHOLDS: runs_page(experiment, cells, "TABLE"),
        CURVES: runs_page(experiment, cells, "CHART"),
        MEMBERS: runs_page(experiment, members, "CHART"),
    }


def states(sweep_id: str, watched: Sequence[OrderParameter], control: str) -> dict[str, dict[str, Any]]:
    """Return the state of the UI in each view of a sweep, by the view's key.

    Args:
        sweep_id: identifies the sweep.
        watched: the order parameters that the views show, the targeted one first.
        control: the control parameter.
    """
    first, *others = (order.name for order in watched)
    curves = [order.curve for order in watched]
    cells = cells_view(
        sweep_id,
        columns=[
            *(f"metrics.{threshold_name(key, first)}" for key in _CELL_METRICS),
            *(f"metrics.{threshold_name('critical_value', name)}" for name in others),
            *(f"tags.{threshold_name(key, first)}" for key in _CELL_TAGS),
            *(f"params.{key}" for key in _CELL_PARAMS),
        ],
        thresholds={threshold_name("critical_value", first): f"{control}_c, of {first}"},
        curves=curves,
    )
    members = members_view(
        sweep_id,
        columns=[
            f"metrics.{control}",
            *(f"metrics.{metric}" for metric in curves),
            "tags.status",
            *(f"params.{key}" for key in _MEMBER_PARAMS),
        ],
        control=control,
        curves=curves,
    )
    return dict(zip(_keys(sweep_id), (cells, members), strict=True))


def _keys(sweep_id: str) -> tuple[str, str]:
    """Return the keys of the views of a sweep's cells and of its members."""
    return sweep_id, f"{sweep_id}-members"
