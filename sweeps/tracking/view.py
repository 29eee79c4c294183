"""What MLflow's UI shows of a sweep at first: a view of its cells that an address opens.

It is the UI's own state, in the words of the MLflow that is pinned; another one passes over what it does not
know.
"""

from collections.abc import Mapping
from typing import Any

from sweeps.tracking.values import MEMBERS

COLUMNS = (
    *(f"metrics.`{name}`" for name in ("rho_c", "rho_c_low", "rho_c_high", "n_members")),
    "metrics.`information_top/rho_c`",
    *(f"tags.`{name}`" for name in ("status", "half_width", "half_width_asked")),
    *(f"params.`{name}`" for name in ("latents", "steps")),
)
"""Columns of the cells as a table."""

_SECTION, _OTHERS = "Transition", "Model metrics"
_CURVES = ("kl_top_nats", "information_top_nats")
_MEMBERS = tuple(f"{MEMBERS}/{name}" for name in _CURVES)


def view(sweep_id: str) -> dict[str, Any]:
    """Return the view of a sweep: its cells with their thresholds, all drawn.

    Curves and thresholds come before the charts that the UI makes of every metric. While a cell goes on it
    has no mean curve yet, and its members' values stand in for it.
    """
    return {
        "searchFilter": f'tags.level = "cell" and tags.sweep_id = "{sweep_id}"',
        "orderByKey": "metrics.`rho_c`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": COLUMNS,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "SHOWALL",
        "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False}
            for name in (_SECTION, _OTHERS)
        ],
        "compareRunCharts": [
            *(_chart("LINE", name, {"displayName": name, "metricKey": name, **_LINE}) for name in _CURVES),
            _chart("BAR", "rho_c", {"displayName": "rho_c, of kl_top", "metricKey": "rho_c"}),
            _chart(
                "PARALLEL",
                "parallel",
                {
                    "displayName": "Depth, latents and rho_c",
                    "selectedParams": ["depth", "latents"],
                    "selectedMetrics": ["rho_c"],
                    "showAllRuns": False,
                },
            ),
            *(_chart("LINE", name, {"displayName": name, "metricKey": name, **_LINE}) for name in _MEMBERS),
        ],
    }


_LINE = {
    "lineSmoothness": 0,
    "scaleType": "linear",
    "xAxisKey": "step",
    "xAxisScaleType": "linear",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "range": {},
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}


def _chart(kind: str, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {"type": kind, "uuid": f"{_SECTION} {name}", "metricSectionId": _SECTION}
    return {**own, "runsCountToCompare": 100, "deleted": False, "isGenerated": False, **settings}
