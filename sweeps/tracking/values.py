"""Rows of tables as MLflow's params and tags (text) and metrics (numbers). Does not import MLflow."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from analysis.tables.schema import Row
from ouvae.declared import LIKELIHOODS, METRICS, TEST_METRICS, Cell, OrderParameter, keys_of
from ouvae.declared.order_parameters import PAPERS

STEPS_PER_UNIT = 1000
"""A cell's curve is logged at step = round(STEPS_PER_UNIT * place), as MLflow's steps are integers. The place
is the value of the control parameter, or its decimal logarithm on a log scale."""

CELL_PARAMS = ("control", *keys_of(Cell), "depth", "critical_exact")
"""The columns of the members table that are params of a cell's run."""

MEMBER_PARAMS = ("seed", *CELL_PARAMS, "code_digest", "device", "numerics_version")
CELL_TAGS = ("space", "cell_id", "cell", "dataset", "system", "objective", "architecture", "depth", "latents")
MEMBER_TAGS = (
    *CELL_TAGS, "member_id", "seed", "status", "diverged_at_step", "pack_id", "project_version",
    "torch_version", "python_version", "commit", "failure",
)  # fmt: skip
_MEASURED = (*METRICS, *TEST_METRICS)
_BITS_PER_DIMENSION = {"elbo_nats": "bits_per_dimension", "test_bound_nats": "test_bits_per_dimension"}
"""Names of bounds in bits per dimension, for images of bytes: minus the bound in nats / (pixels ln 2)."""

THRESHOLD_METRICS = (
    "critical_value", "critical_low", "critical_high", "half_width", "critical_exact", "g_c", "spread_left",
    "spread_left_low", "spread_left_high", "spread_right", "spread_right_low", "spread_right_high", "jump",
    "n_seeds", "n_resolved", "n_members", "n_diverged",
)  # fmt: skip
"""What MLflow sorts and draws of a threshold, in the order in which a cell's page lists it."""

THRESHOLD_TAGS = (
    "status", "collapsed_side", "method", "confidence", "half_width_asked", "rule", "active_from",
)  # fmt: skip


@dataclass(frozen=True)
class CompleteCell:
    """What MLflow is told of a cell that is complete.

    Attributes:
        cell_id: identifies the cell in the sweep.
        label: name of its run.
        params: of its run.
        curves: (place, value) pairs by metric, means over seeds, in increasing order.
        thresholds: its rows of the thresholds table.
        data: digests of the data sets that its members are trained on, by their names.
        note: what is known of its thresholds, in words, in Markdown.
    """

    cell_id: str
    label: str
    params: dict[str, str]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    thresholds: Sequence[Row]
    data: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def digest(self) -> str:
        """Hash of what a run holds for good: a point of a metric cannot be taken back."""
        text = json.dumps(
            [self.label, self.params, self.curves, self.thresholds], sort_keys=True, default=str
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Value(NamedTuple):
    """One value of a metric: its key, the value, when (ms since 1970), and the step."""

    key: str
    value: float
    timestamp: int
    step: int


def member_values(row: Row, history: Sequence[Row], watched: Sequence[OrderParameter] = ()) -> list[Value]:
    """Return a member's values, one for each key and step; at the last step they are those of the row.

    A list over units is left out, except for the units of the order parameters that are watched. The
    timestamps run from the start to the end of the member's training time. A failed member has only its
    control parameter and seconds, at step 0.
    """
    last = _last_step(row)
    final = {**row, "step": last}
    values = {
        (key, int(evaluation["step"])): value
        for evaluation in [*history, final]
        for key, value in [*_metric_values(evaluation), *_unit_values(evaluation, watched)]
    }
    if LIKELIHOODS[row["likelihood"]].of_bytes:
        values |= {
            (_BITS_PER_DIMENSION[key], step): -value / (math.log(2) * row["pixels"])
            for (key, step), value in values.items()
            if key in _BITS_PER_DIMENSION
        }
    values |= {(row["control"], last): row["value"], ("seconds", last): row["seconds"]}
    end = milliseconds(utc(row["finished_at"]))
    per_step = 1000 * row["seconds"] / max(row["steps"], 1)
    return [
        Value(key, _number(value), end - round(per_step * (last - step)), step)
        for (key, step), value in values.items()
    ]


def _last_step(row: Row) -> int:
    if row["status"] == "failed":
        return 0
    diverged = row.get("diverged_at_step")
    return int(row["steps"] if diverged is None else diverged)


def _metric_values(evaluation: Row) -> Iterator[tuple[str, float]]:
    for metric in _MEASURED:
        value = evaluation.get(metric.name)
        if metric.per_layer:
            layers = enumerate(value or [], start=1)
            yield from ((f"{metric.name}/z{layer}", entry) for layer, entry in layers if entry is not None)
        elif value is not None and not metric.per_unit:
            yield metric.name, value


def _unit_values(evaluation: Row, watched: Iterable[OrderParameter]) -> Iterator[tuple[str, float]]:
    for order in watched:
        value = None if order.rank is None else order.value(evaluation)
        if value is not None:
            yield order.curve, value


def curve_values(curves: Mapping[str, Sequence[tuple[float, float]]], base_ms: int) -> list[Value]:
    """Return the points of a cell's curves, at step = 1000 place."""
    return [
        Value(metric, _number(value), base_ms + step, step)
        for metric, curve in curves.items()
        for step, value in ((round(STEPS_PER_UNIT * place), value) for place, value in curve)
    ]


def threshold_values(thresholds: Sequence[Row], base_ms: int) -> list[Value]:
    """Return the numbers of a cell's thresholds, at step = number of members used."""
    return [
        Value(_name(key, row), _number(row[key]), base_ms + row["n_members"], row["n_members"])
        for row in thresholds
        for key in THRESHOLD_METRICS
        if row.get(key) is not None
    ]


def cell_tags(thresholds: Sequence[Row]) -> dict[str, str]:
    """Return the tags of a cell's thresholds."""
    return {_name(key, row): text for row in thresholds for key, text in texts(row, THRESHOLD_TAGS).items()}


def _name(key: str, row: Row) -> str:
    return threshold_name(key, row["order_parameter"])


def threshold_name(key: str, order: str) -> str:
    """Return the name of a number of a threshold: KEY for the paper's order parameter, else ORDER/KEY.

    The UI shows metrics in sections, named by the part before the slash.
    """
    return key if order == PAPERS else f"{order}/{key}"


def _number(value: float) -> float:
    """Return a float that MLflow can hold: NaN for an infinity, which MLflow would return as 1.8e308."""
    return math.nan if math.isinf(value) else float(value)


def texts(values: Row, keys: Iterable[str]) -> dict[str, str]:
    """Return params or tags: the `keys` that have a value, as text."""
    return {key: _text(values[key]) for key in keys if values.get(key) is not None}


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    return str(value)


def control_text(value: float) -> str:
    """Return a value of a control parameter as text: three decimals, or up to six digits if needed."""
    return f"{value:.3f}" if math.isclose(value, round(value, 3), abs_tol=1e-9) else f"{value:.6g}"


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC, cut to milliseconds as in the members table."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """Return the moment as text, to the millisecond."""
    return moment.isoformat(timespec="milliseconds")


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since 1970."""
    return round(1000 * moment.timestamp())
