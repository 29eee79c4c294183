"""MLflow's private and unstable surface: tables of its SQLite store, state of its UI. Imports no MLflow.

MLflow may change both without notice. `pyproject.toml` therefore excludes the versions of MLflow that no test
has seen, and `tests/sweeps/tracking/test_mlflow_internals.py` has a test for each entry. To raise the bound,
install the new version and run that file and `test_mlflow_ui.py`. What happens when MLflow changes an entry:

- its tables: a store that was moved keeps its old addresses of files, and the sweep says which statement
  failed;
- the state of the UI: MLflow ignores what it does not know, and shows its own first page.
"""

import contextlib
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

RUN_COLOR = "mlflow.runColor"
"""The tag of a run with its colour in charts."""

SHARED_VIEW = "mlflow.sharedViewState."
"""Prefix of an experiment's tags that hold views which an address opens, by their key."""

# A SQLite store.


def is_store(tables: Collection[str]) -> bool:
    """Tell whether a database with these tables, some or all of them, is a store of MLflow."""
    return any("experiments" in name or "alembic" in name for name in tables)


def move_artifacts(store: Path, artifacts: Path) -> int:
    """Let a store's experiments have their files in a folder, where they lie there; return how many changed.

    MLflow keeps absolute addresses of files, and has no call that changes them. An experiment whose files lie
    in another folder keeps its address, and so does an experiment without a folder of its name in
    `artifacts`.

    Args:
        store: the SQLite file.
        artifacts: folder of the files, with the same name as where MLflow wrote them.

    Raises:
        sqlite3.Error: the store cannot be read or written, or has other tables.
    """
    changed = 0
    with contextlib.closing(sqlite3.connect(store)) as database, database:
        rows = database.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
        for experiment, location in rows:
            _, is_ours, name = (location or "").rpartition(f"/{artifacts.name}/")
            here = f"{artifacts.as_uri()}/{name}"
            is_file = bool(is_ours) and location.startswith("file:")
            if not is_file or location == here or not name or not (artifacts / unquote(name)).is_dir():
                continue
            changed += 1
            database.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (here, experiment)
            )
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (here, len(location) + 1, experiment, len(location) + 1, f"{location}/"),
            )
    return changed


# The UI.

_SECTION, _OTHERS = "Transition", "Model metrics"

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


def runs_page(experiment: str, view: str, mode: Literal["TABLE", "CHART"]) -> str:
    """Return the address of an experiment's runs in a view, relative to the start page.

    The UI opens on its pages about GenAI unless the address says otherwise.

    Args:
        experiment: id of the experiment.
        view: key of the view, behind `SHARED_VIEW`.
        mode: how the runs are shown.
    """
    query = {"workflowType": "machine_learning", "viewStateShareKey": view, "compareRunsMode": mode}
    return f"#/experiments/{experiment}/runs?{urlencode(query, quote_via=quote)}"


def cells_view(
    sweep_id: str, columns: Sequence[str], thresholds: Mapping[str, str], curves: Sequence[str]
) -> dict[str, Any]:
    """Return the state of the UI in which it shows the cells of a sweep as a table and as charts.

    Args:
        sweep_id: value of the tag `sweep_id` of the runs.
        columns: of the table: `metrics.NAME`, `params.NAME` or `tags.NAME`.
        thresholds: metrics of thresholds, with the title of their chart. The first orders the table.
        curves: metrics whose step is the control parameter.
    """
    first = next(iter(thresholds))
    parallel = _chart(
        "PARALLEL",
        "parallel",
        displayName=f"Depth, latents and {first}",
        selectedParams=["depth", "latents"],
        selectedMetrics=[first],
        showAllRuns=False,
    )
    bars = (_chart("BAR", name, displayName=title, metricKey=name) for name, title in thresholds.items())
    return _view("cell", sweep_id, first, columns, [*map(_line_chart, curves), *bars, parallel])


def members_view(
    sweep_id: str, columns: Sequence[str], control: str, curves: Sequence[str]
) -> dict[str, Any]:
    """Return the state of the UI in which it shows the members of a sweep as a table and as points.

    Args:
        sweep_id: value of the tag `sweep_id` of the runs.
        columns: as of `cells_view`.
        control: metric that orders the table and is the x-axis of the charts.
        curves: metrics to draw against it.
    """
    x = {"key": control, "type": "METRIC"}
    points = [
        _chart("SCATTER", metric, displayName=metric, xaxis=x, yaxis={"key": metric, "type": "METRIC"})
        for metric in curves
    ]
    return _view("member", sweep_id, control, columns, points)


def _view(
    level: str, sweep_id: str, first: str, columns: Sequence[str], charts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the state of the UI in which it shows the runs of a level with these charts above all others.

    The table is ordered by a metric: in the order of time the UI folds runs up under their parents. Two
    charts side by side, without the list of runs, are legible beside the UI's assistant on a small screen.
    """
    selected = [re.sub(r"\.(.*)", r".`\1`", column) for column in columns]
    return {
        "searchFilter": f'tags.level = "{level}" and tags.sweep_id = "{sweep_id}"',
        "orderByKey": f"metrics.`{first}`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": selected,
        "columnOrder": selected,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "SHOWALL",
        "runListHidden": True,
        "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, "columns": 2}
            for name in (_SECTION, _OTHERS)
        ],
        "compareRunCharts": charts,
    }


def _line_chart(metric: str) -> dict[str, Any]:
    return _chart("LINE", metric, displayName=metric, metricKey=metric, **_LINE)


def _chart(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    chart = {"type": kind, "uuid": f"{_SECTION} {name}", "metricSectionId": _SECTION}
    return {**chart, "runsCountToCompare": 100, "deleted": False, "isGenerated": False, **settings}
