"""The data of the charts in plain values: tables by name, with a list per column.

Their size is bounded: they hold at most `looks.MOST_CELLS` cells, `MOST_MEMBERS` members, and
`MOST_POINTS` values in a mean. A mean is over all members, also over those that are left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.charts.cells import ChartCell
from analysis.charts.control import ControlNames
from analysis.statistics.curves import curves_of, mean_curve
from analysis.statistics.scale import Scale
from analysis.tables.schema import Row
from analysis.text.words import ends_within
from ouvae.declared import ORDER_PARAMETERS, OrderParameter

Columns: TypeAlias = dict[str, list[Any]]
"""A table: a list per column, all of one length."""

MOST_MEMBERS = 3_000
"""Maximum number of members that are drawn: with more, a page takes seconds to answer."""

MOST_LINES = 600
"""Maximum number of members whose training a figure draws."""

MOST_POINTS = 60
"""Maximum number of values of the control parameter in a mean curve; a longer curve is thinned evenly."""

MOST_SEEDS = 24
"""Maximum number of seeds that are shown and hidden one by one; the others are switched together."""

NEAR_MEMBERS = 8
"""Members per cell, the nearest to the critical value, whose training is drawn."""

PROBES, OTHERS = "probes", "other seeds"

_DIGITS = 6


@dataclass(frozen=True)
class Quantity:
    """A quantity in a chart: a metric, or a metric's entry for one layer, counted from 1.

    `title` has the unit; `order` is the order parameter with this metric, if there is one.
    """

    metric: str
    title: str
    layer: int | None = None
    order: OrderParameter | None = None

    @property
    def name(self) -> str:
        """The name of its column."""
        if self.order is not None:
            return self.order.curve
        return self.metric if self.layer is None else f"{self.metric}_{self.layer}"

    @property
    def label(self) -> str:
        """The title with a small letter, for an axis."""
        return self.title[:1].lower() + self.title[1:]

    def values(self, members: pa.Table) -> list[float | None]:
        """Return its value for each member; None where there is none."""
        if self.order is not None:
            columns = {"status", "active_units_top", self.metric}
            rows = members.select(sorted(columns)).to_pylist()
            return [finite(self.order.value(row)) for row in rows]
        values = members[self.metric].to_pylist()
        if self.layer is not None:
            place = self.layer - 1
            values = [None if layers is None or len(layers) <= place else layers[place] for layers in values]
        return [finite(value) for value in values]


def quantities(cells: Sequence[ChartCell]) -> list[Quantity]:
    """Return what charts draw: order parameters, terms of the layers, ELBO and active units."""
    layers = range(1, max(cell.rows[0]["depth"] for cell in cells) + 1)
    return [
        *order_quantities(cells),
        *(Quantity("kl_nats", f"Term of z_{layer} in the bound (nats)", layer) for layer in layers),
        Quantity("elbo_nats", "ELBO (nats)"),
        *(Quantity("active_units", f"Active units of z_{layer}", layer) for layer in layers),
    ]


def order_quantities(cells: Sequence[ChartCell]) -> list[Quantity]:
    """Return the order parameters that the cells watch."""
    watched = dict.fromkeys(row["order_parameter"] for cell in cells for row in cell.rows)
    return [order_quantity(ORDER_PARAMETERS[name]) for name in watched]


def order_quantity(order: OrderParameter) -> Quantity:
    """Return an order parameter as a quantity."""
    unit = f" ({order.unit})" if order.unit != "1" else ""
    return Quantity(order.metric, f"{order.words[:1].upper()}{order.words[1:]}{unit}", None, order)


@dataclass(frozen=True)
class Drawn:
    """The tables that the charts share, by name, with `drawn` of the runs' `members`.

    `groups` are names of the groups of seeds that are switched together; `group` in the table `members` is an
    index.
    """

    tables: Mapping[str, Columns]
    groups: Sequence[str]
    drawn: int
    members: int


def drawn_tables(cells: Sequence[ChartCell], quantities: Sequence[Quantity], control: ControlNames) -> Drawn:
    """Return the tables of the cells that are drawn.

    They are `members`, `thresholds`, `seeds` (the thresholds of seeds), and `mean-NAME` for each quantity.
    """
    shown = [cell for cell in cells if cell.look is not None]
    tables = [_members_of(cell) for cell in shown]
    groups = _groups(tables)
    drawn: Columns = {}
    means: dict[str, list[Row]] = {quantity.name: [] for quantity in quantities}
    thresholds: list[Row] = []
    seed_thresholds: list[Row] = []
    for place, (cell, members) in enumerate(zip(shown, tables, strict=True)):
        values = {quantity.name: quantity.values(members) for quantity in quantities}
        bounds = _bounds(members, quantities)
        places, seeds = members["value"].to_pylist(), members["seed"].to_pylist()
        for quantity in quantities:
            estimate = {"value": values[quantity.name]}
            if quantity.order and quantity.order.bounds:
                lower, upper = quantity.order.bounds
                estimate |= {"lower": bounds[lower], "upper": bounds[upper]}
            means[quantity.name] += _mean_rows(place, seeds, places, estimate, control)
        kinds = _kinds(seeds)
        group_of = {seed: groups.index(kind if kind in groups else OTHERS) for seed, kind in kinds.items()}
        columns: Columns = {
            "member": members["member_id"].to_pylist(),
            "cell": [place] * len(places),
            "seed": seeds,
            "group": [group_of[seed] for seed in seeds],
            "curve": [kinds[seed] != PROBES for seed in seeds],
            "x": [finite(x) for x in places],
            "status": members["status"].to_pylist(),
            **values,
            **bounds,
        }
        picked = _picked(seeds, kinds, max(1, MOST_MEMBERS // len(shown)))
        for name, column in columns.items():
            drawn.setdefault(name, []).extend(column[index] for index in picked)
        reach, picked_seeds = _reach(members), {seeds[index] for index in picked}
        for row in cell.rows:
            thresholds.append(_threshold(place, cell, row, reach, control))
            seed_thresholds += [
                {
                    "cell": place,
                    "order": row["order_parameter"],
                    "seed": seed["seed"],
                    "critical_value": seed["critical_value"],
                    "low": seed["low"],
                    "high": seed["high"],
                }
                for seed in row["seeds"]
                if seed["seed"] in picked_seeds and seed["critical_value"] is not None
            ]
    by_name = {
        "members": drawn,
        **{f"mean-{name}": columns_of(rows) for name, rows in means.items()},
        "thresholds": columns_of(thresholds),
        "seeds": columns_of(seed_thresholds),
    }
    runs = {id(cell.results): cell.results for cell in cells}.values()
    total = sum(results.members.num_rows for results in runs)
    return Drawn(by_name, groups, len(drawn.get("member", [])), total)


def columns_of(rows: Iterable[Row]) -> Columns:
    """Return rows as columns; numbers are rounded to six digits."""
    columns: Columns = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(finite(value) if isinstance(value, float) else value)
    return columns


def rows_of(columns: Columns) -> list[Row]:
    """Return a table's rows."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def finite(value: float | None) -> float | None:
    """Return a number rounded to six digits, enough to draw; None if it is missing or not finite."""
    if value is None or not isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")


def _members_of(cell: ChartCell) -> pa.Table:
    members = cell.results.members
    return members.filter(pc.equal(members["cell_id"], cell.cell_id))


def _kinds(seeds: Sequence[int]) -> dict[int, str]:
    """Return the name of each seed of a cell, or `PROBES` for a seed with a single member."""
    return {seed: f"seed {seed}" if count > 1 else PROBES for seed, count in Counter(seeds).items()}


def _groups(tables: Sequence[pa.Table]) -> list[str]:
    """Return the names of the groups of seeds that are switched together: seeds, others, probes."""
    kinds = {kind: seed for members in tables for seed, kind in _kinds(members["seed"].to_pylist()).items()}
    curves = sorted((seed, kind) for kind, seed in kinds.items() if kind != PROBES)
    named = [kind for _, kind in curves[:MOST_SEEDS]]
    return [*named, *[OTHERS] * (len(curves) > MOST_SEEDS), *[PROBES] * (PROBES in kinds)]


def _picked(seeds: Sequence[int], kinds: Mapping[int, str], most: int) -> list[int]:
    """Return the indices of at most `most` members of a cell: whole seeds, seeds with a curve first.

    If the first seed has more members than that, every k-th of them is taken.
    """
    places: dict[int, list[int]] = {}
    for place, seed in enumerate(seeds):
        places.setdefault(seed, []).append(place)
    picked: list[int] = []
    for seed in sorted(places, key=lambda seed: kinds[seed] == PROBES):
        count = len(places[seed])
        if not picked:
            picked += places[seed][:: -(-count // most)]
        elif len(picked) + count <= most:
            picked += places[seed]
    return sorted(picked)


def _mean_rows(
    place: int,
    seeds: Sequence[int],
    values: Sequence[float],
    estimate: Mapping[str, Sequence[float | None]],
    control: ControlNames,
) -> Iterator[Row]:
    """Yield the means over the seeds of a cell of one quantity and its bounds, at most `MOST_POINTS`."""
    means = {
        name: mean_curve(curves_of(zip(seeds, values, of_members, strict=True)), control.scale)
        for name, of_members in estimate.items()
    }
    trained, _ = means["value"]
    by_value = {
        name: dict(zip(*(array.tolist() for array in mean), strict=True)) for name, mean in means.items()
    }
    thinned = np.unique(np.linspace(0, trained.size - 1, min(trained.size, MOST_POINTS)).round().astype(int))
    for x in trained[thinned].tolist():
        yield {"cell": place, "x": x, **{name: of_name.get(x) for name, of_name in by_value.items()}}


def _bounds(members: pa.Table, quantities: Sequence[Quantity]) -> Columns:
    """Return the columns of bounds, for order parameters that are estimated between two bounds."""
    names = [name for quantity in quantities if quantity.order for name in quantity.order.bounds or ()]
    return {name: [finite(value) for value in members[name].to_pylist()] for name in names}


def _reach(members: pa.Table) -> tuple[float, float]:
    """Return the lowest and highest value of the completed members, or of all if none is completed."""
    counting = members.filter(pc.equal(members["status"], "completed"))
    trained = (counting if counting.num_rows else members)["value"].to_numpy()
    return float(trained.min()), float(trained.max())


def _threshold(
    place: int, cell: ChartCell, row: Row, reach: tuple[float, float], control: ControlNames
) -> Row:
    """Return a cell's threshold for drawing: its interval within the trained range, or its bound."""
    low, high = ends_within(row, reach)
    has_estimate, bounded = row["critical_value"] is not None, row["critical_low"] is not None
    end = "critical_low" if bounded else "critical_high"
    bound = None if has_estimate or row["status"] == "unresolved" else row[end]
    return {
        "cell": place,
        "order": row["order_parameter"],
        "critical_value": row["critical_value"],
        "low": low if has_estimate else None,
        "high": high if has_estimate else None,
        "bound": bound,
        "side": "above" if bounded else "below",
        "exact": row["critical_exact"],
        "active_from": row["active_from"],
        "text": control.sentence(row, cell.name),
    }


def histories(cells: Sequence[ChartCell]) -> Columns:
    """Return the evaluations of members of the cells that are drawn: `MOST_LINES` members, whole seeds."""
    shown = [cell for cell in cells if cell.look is not None]
    rows: list[Row] = []
    for place, cell in enumerate(shown):
        members = _members_of(cell)
        seeds = members["seed"].to_pylist()
        picked = members.take(_picked(seeds, _kinds(seeds), max(1, MOST_LINES // len(shown))))
        rows += [row for row in _evaluations(place, cell, picked) if row["kl_top_nats"] is not None]
    return columns_of(rows)


def near_histories(cells: Sequence[ChartCell]) -> Columns:
    """Return the evaluations of the members of each cell that are nearest to its critical value."""
    shown = enumerate(cell for cell in cells if cell.look is not None)
    return columns_of(row for place, cell in shown for row in _near(place, cell))


def _near(index: int, cell: ChartCell) -> Iterator[Row]:
    """Yield the evaluations after the start, for the members nearest to the critical value or its bound."""
    row = cell.rows[0]
    centre = next(
        (row[name] for name in ("critical_value", "critical_low", "critical_high") if row[name] is not None),
        None,
    )
    if centre is None:
        return
    members = _members_of(cell)
    completed = members.filter(pc.equal(members["status"], "completed"))
    completed = completed.select(["member_id", "value", "seed"]).to_pylist()
    place = Scale(row["scale"]).place
    near = sorted(
        completed, key=lambda member: (abs(place(member["value"]) - place(centre)), member["seed"])
    )[:NEAR_MEMBERS]
    picked = members.filter(
        pc.is_in(members["member_id"], pa.array([member["member_id"] for member in near]))
    )
    yield from (row for row in _evaluations(index, cell, picked) if row["step"] > 0)


def _evaluations(place: int, cell: ChartCell, members: pa.Table) -> list[Row]:
    """Return the evaluations of members of a cell, by step."""
    history = cell.results.history.select(["member_id", "seed", "value", "step", "kl_top_nats"])
    history = history.filter(pc.is_in(history["member_id"], members["member_id"].combine_chunks()))
    return [
        {
            "member": row.pop("member_id"),
            "cell": place,
            "x": row.pop("value"),
            **row,
            "kl_top_nats": finite(row["kl_top_nats"]),
        }
        for row in sorted(history.to_pylist(), key=lambda row: row["step"])
    ]
