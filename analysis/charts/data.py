"""The data of the charts in plain values: tables by name, with a list per column.

Their size is bounded: they hold at most `looks.MOST_CELLS` cells, `MOST_MEMBERS` members, and
`MOST_POINTS` values of rho in a mean. A mean is over all members, also over those that are left out.
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
from analysis.statistics.curves import curves_of, mean_curve
from analysis.tables.schema import Row
from analysis.text.words import ends_within, threshold_sentence
from ouvae.declared import ORDER_PARAMETERS, OrderParameter, curve_value

Columns: TypeAlias = dict[str, list[Any]]
"""A table: a list per column, all of one length."""

MOST_MEMBERS = 3_000
"""Maximum number of members that are drawn: with more, a page takes seconds to answer."""

MOST_LINES = 600
"""Maximum number of members whose training a figure draws."""

MOST_POINTS = 60
"""Maximum number of values of rho in a mean curve; a longer curve is thinned evenly."""

MOST_SEEDS = 24
"""Maximum number of seeds that are shown and hidden one by one; the others are switched together."""

NEAR_MEMBERS = 8
"""Members per cell, the nearest to rho_c, whose training is drawn."""

PROBES, OTHERS = "probes", "other seeds"

_DIGITS = 6


@dataclass(frozen=True)
class Quantity:
    """A quantity that a chart draws against rho: a metric, or a metric's entry for one layer.

    Attributes:
        metric: the column of the members table.
        title: with its unit.
        layer: counted from 1; None if the metric is not a list.
        order: the order parameter with this metric, if there is one.
    """

    metric: str
    title: str
    layer: int | None = None
    order: OrderParameter | None = None

    @property
    def name(self) -> str:
        """The name of its column."""
        return self.metric if self.layer is None else f"{self.metric}_{self.layer}"

    @property
    def label(self) -> str:
        """The title with a small letter, for an axis."""
        return self.title[:1].lower() + self.title[1:]

    def values(self, members: pa.Table) -> list[float | None]:
        """Return its value for each member; None where there is none."""
        column = members[self.metric]
        if self.layer is not None:
            place = self.layer - 1
            lists = column.to_pylist()
            return [None if own is None or len(own) <= place else finite(own[place]) for own in lists]
        if self.order is not None:
            rows = members.select(list({"status": 0, "active_units_top": 0, self.metric: 0})).to_pylist()
            return [finite(curve_value(row, self.metric)) for row in rows]
        return [finite(value) for value in column.to_pylist()]


def quantities(cells: Sequence[ChartCell]) -> list[Quantity]:
    """Return what is drawn against rho: order parameters, terms of the layers, ELBO and active units."""
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
    return Quantity(order.metric, _with_unit(order.words, order.unit), None, order)


def _with_unit(words: str, unit: str) -> str:
    return words[:1].upper() + words[1:] + (f" ({unit})" if unit != "1" else "")


@dataclass(frozen=True)
class Drawn:
    """The tables that the charts share, and how many of the members are in them.

    Attributes:
        tables: by name.
        groups: names of the groups of seeds that are switched together; `group` in `members` is an index.
        drawn: number of members that are in the tables.
        members: number of members that the runs have.
    """

    tables: Mapping[str, Columns]
    groups: Sequence[str]
    drawn: int
    members: int


def drawn_tables(cells: Sequence[ChartCell], asked: Sequence[Quantity]) -> Drawn:
    """Return the tables of the cells that are drawn.

    They are `members`, `thresholds`, `seeds` (the thresholds of seeds), and `mean-NAME` for each quantity.
    """
    shown = [cell for cell in cells if cell.look is not None]
    tables = [_members_of(cell) for cell in shown]
    groups = _groups(tables)
    members: Columns = {}
    means: dict[str, list[Row]] = {one.name: [] for one in asked}
    thresholds: list[Row] = []
    seeds: list[Row] = []
    for place, (cell, own) in enumerate(zip(shown, tables, strict=True)):
        values = {one.name: one.values(own) for one in asked}
        bounds = _bounds(own, asked)
        rho, seed = own["rho"].to_pylist(), own["seed"].to_pylist()
        for one in asked:
            drawn_of_it = {"value": values[one.name]}
            if one.order and one.order.bounds:
                drawn_of_it |= {"lower": bounds[one.order.bounds[0]], "upper": bounds[one.order.bounds[1]]}
            means[one.name] += _mean_rows(place, seed, rho, drawn_of_it)
        kinds = _kinds(seed)
        columns: Columns = {
            "member": own["member_id"].to_pylist(),
            "cell": [place] * len(rho),
            "seed": seed,
            "group": [groups.index(_group(one, kinds, groups)) for one in seed],
            "curve": [kinds[one] != PROBES for one in seed],
            "rho": [finite(one) for one in rho],
            "status": own["status"].to_pylist(),
            **values,
            **bounds,
        }
        picked = _picked(seed, kinds, max(1, MOST_MEMBERS // len(shown)))
        for name, column in columns.items():
            members.setdefault(name, []).extend(column[index] for index in picked)
        reach, own_seeds = _reach(cell, own), {seed[index] for index in picked}
        thresholds += [_threshold(place, cell, row, reach) for row in cell.rows]
        seeds += [
            _seed(place, row, one) for row in cell.rows for one in row["seeds"] if one["seed"] in own_seeds
        ]
    found = {
        "members": members,
        **{f"mean-{name}": columns_of(rows) for name, rows in means.items()},
        "thresholds": columns_of(thresholds),
        "seeds": columns_of(row for row in seeds if row["rho_c"] is not None),
    }
    runs = {id(cell.results): cell.results for cell in cells}.values()
    counted = sum(results.members.num_rows for results in runs)
    return Drawn(found, groups, len(members.get("member", [])), counted)


def columns_of(rows: Iterable[Row]) -> Columns:
    """Return rows as columns; numbers are rounded to six digits."""
    found: Columns = {}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, []).append(finite(value) if isinstance(value, float) else value)
    return found


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
    kinds = {kind: seed for own in tables for seed, kind in _kinds(own["seed"].to_pylist()).items()}
    own = sorted((seed, kind) for kind, seed in kinds.items() if kind != PROBES)
    named = [kind for _, kind in own[:MOST_SEEDS]]
    return [*named, *[OTHERS] * (len(own) > MOST_SEEDS), *[PROBES] * (PROBES in kinds)]


def _group(seed: int, kinds: Mapping[int, str], groups: Sequence[str]) -> str:
    return kinds[seed] if kinds[seed] in groups else OTHERS


def _picked(seeds: Sequence[int], kinds: Mapping[int, str], most: int) -> list[int]:
    """Return the indices of at most `most` members of a cell: whole seeds, seeds with a curve first.

    If the first seed has more members than that, every k-th of them is taken.
    """
    places: dict[int, list[int]] = {}
    for place, seed in enumerate(seeds):
        places.setdefault(seed, []).append(place)
    picked: list[int] = []
    for own in sorted(places.values(), key=lambda own: kinds[seeds[own[0]]] == PROBES):
        if not picked:
            picked += own[:: -(-len(own) // most)]
        elif len(picked) + len(own) <= most:
            picked += own
    return sorted(picked)


def _mean_rows(
    place: int, seeds: Sequence[int], rhos: Sequence[float], drawn: Mapping[str, Sequence[float | None]]
) -> Iterator[Row]:
    """Yield the means over the seeds of a cell of one quantity and its bounds, at most `MOST_POINTS`."""
    means = {
        name: mean_curve(curves_of(zip(seeds, rhos, values, strict=True))) for name, values in drawn.items()
    }
    rho, _ = means["value"]
    found = {
        name: dict(zip(*(array.tolist() for array in mean), strict=True)) for name, mean in means.items()
    }
    taken = np.unique(np.linspace(0, rho.size - 1, min(rho.size, MOST_POINTS)).round().astype(int))
    for at in rho[taken].tolist():
        yield {"cell": place, "rho": at, **{name: values.get(at) for name, values in found.items()}}


def _bounds(members: pa.Table, asked: Sequence[Quantity]) -> Columns:
    """Return the columns of bounds, for order parameters that are estimated between two bounds."""
    names = [name for one in asked if one.order for name in one.order.bounds or ()]
    return {name: [finite(value) for value in members[name].to_pylist()] for name in names}


def _reach(cell: ChartCell, members: pa.Table) -> tuple[float, float]:
    """Return the lowest and highest rho of the completed members, or of all if none is completed."""
    counting = members.filter(pc.equal(members["status"], "completed"))
    rho = (counting if counting.num_rows else members)["rho"].to_numpy()
    return float(rho.min()), float(rho.max())


def _threshold(place: int, cell: ChartCell, row: Row, reach: tuple[float, float]) -> Row:
    """Return a cell's threshold for drawing: its interval within the trained range, or its bound."""
    low, high = ends_within(row, reach)
    known, bounded = row["rho_c"] is not None, row["rho_c_low"] is not None
    bound = None if known or row["status"] == "unresolved" else row["rho_c_low" if bounded else "rho_c_high"]
    return {
        "cell": place,
        "order": row["order_parameter"],
        "rho_c": row["rho_c"],
        "low": low if known else None,
        "high": high if known else None,
        "bound": bound,
        "side": "above" if bounded else "below",
        "exact": row["rho_c_exact"],
        "active_from": row["active_from"],
        "text": threshold_sentence(row, cell.name),
    }


def _seed(place: int, row: Row, seed: Mapping[str, Any]) -> Row:
    order = row["order_parameter"]
    ends = {"low": seed["rho_low"], "high": seed["rho_high"]}
    return {"cell": place, "order": order, "seed": seed["seed"], "rho_c": seed["rho_c"], **ends}


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
    """Return the evaluations of the members of each cell that are nearest to its rho_c."""
    shown = enumerate(cell for cell in cells if cell.look is not None)
    return columns_of(row for place, cell in shown for row in _near(place, cell))


def _near(place: int, cell: ChartCell) -> Iterator[Row]:
    """Yield the evaluations after the start, for the members nearest to rho_c or its bound."""
    row = cell.rows[0]
    centre = next((row[name] for name in ("rho_c", "rho_c_low", "rho_c_high") if row[name] is not None), None)
    if centre is None:
        return
    members = _members_of(cell)
    completed = members.filter(pc.equal(members["status"], "completed"))
    completed = completed.select(["member_id", "rho", "seed"]).to_pylist()
    near = sorted(completed, key=lambda member: (abs(member["rho"] - centre), member["seed"]))[:NEAR_MEMBERS]
    picked = members.filter(pc.is_in(members["member_id"], pa.array([one["member_id"] for one in near])))
    yield from (row for row in _evaluations(place, cell, picked) if row["step"] > 0)


def _evaluations(place: int, cell: ChartCell, members: pa.Table) -> list[Row]:
    """Return the evaluations of members of a cell, by step."""
    by_id = {row["member_id"]: row for row in members.select(["member_id", "seed", "rho"]).to_pylist()}
    history = cell.results.history.select(["member_id", "step", "kl_top_nats"])
    history = history.filter(pc.is_in(history["member_id"], pa.array(list(by_id), pa.string())))
    return [
        {
            "member": entry["member_id"],
            "cell": place,
            "seed": by_id[entry["member_id"]]["seed"],
            "rho": by_id[entry["member_id"]]["rho"],
            "step": entry["step"],
            "kl_top_nats": finite(entry["kl_top_nats"]),
        }
        for entry in sorted(history.to_pylist(), key=lambda entry: entry["step"])
    ]
