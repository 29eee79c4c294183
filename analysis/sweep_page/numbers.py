"""The curves of a page as a table: means over seeds at each value, with intervals."""

from collections.abc import Sequence

import pyarrow.compute as pc

from analysis.charts.cells import ChartCell
from analysis.charts.control import ControlNames
from analysis.results import Results
from analysis.statistics.intervals import interval_text, student
from analysis.tables.schema import Row
from analysis.text.words import NOTHING

MIN_SEEDS = 2
"""A value with fewer completed members has no line: a single member has no interval over seeds."""

METRICS = (
    "kl_top_nats", "information_top_nats", "information_top_lower_nats", "information_top_upper_nats",
    "elbo_nats", "active_units",
)  # fmt: skip

HEAD = (
    "members", "top-layer KL (nats)",
    "top-layer information (nats), with means of its lower and upper bound", "ELBO (nats)",
    "active units of the top layer",
)  # fmt: skip


def number_lines(cells: Sequence[ChartCell], control: ControlNames) -> list[Sequence[str]]:
    """Return a head and one line per cell and value; nothing where no value has enough members."""
    runs = {id(cell.results): cell.results for cell in cells}
    curves = {key: _curves(results) for key, results in runs.items()}
    lines: list[Sequence[str]] = [
        [cell.name, f"{value:.4g}", f"{len(rows):,}", *_numbers(rows)]
        for cell in cells
        for value, rows in sorted(curves[id(cell.results)].get(cell.cell_id, {}).items())
        if len(rows) >= MIN_SEEDS
    ]
    return [["cell", control.symbol, *HEAD], *lines] if lines else []


def _curves(results: Results) -> dict[str, dict[float, list[Row]]]:
    """Return the completed members of a run by cell and value."""
    members = results.members.select(["cell_id", "value", "status", *METRICS])
    by_cell: dict[str, dict[float, list[Row]]] = {}
    for row in members.filter(pc.equal(members["status"], "completed")).to_pylist():
        by_cell.setdefault(row["cell_id"], {}).setdefault(row["value"], []).append(row)
    return by_cell


def _numbers(rows: Sequence[Row]) -> list[str]:
    kl, information, low, high, elbo = (
        [row[metric] for row in rows if row[metric] is not None] for metric in METRICS[:-1]
    )
    bounds = f" ({sum(low) / len(low):z.2f} to {sum(high) / len(high):z.2f})" if low and high else ""
    units = [float(row["active_units"][-1]) for row in rows if row["active_units"]]
    return [_mean(kl), _mean(information) + bounds, _mean(elbo), _mean(units, 1)]


def _mean(values: Sequence[float], decimals: int = 2) -> str:
    """Return the mean of some values and its 95 % interval over seeds."""
    mean = student(values)
    return NOTHING if mean is None else f"{mean.mean:z.{decimals}f} {interval_text(mean, decimals)}"
