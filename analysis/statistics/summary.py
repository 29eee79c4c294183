"""What the members of a run say: the thresholds of its cells, and how they compare."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis import TableError
from analysis.statistics.censored import Marginal
from analysis.statistics.comparisons import compare
from analysis.statistics.curves import curves
from analysis.statistics.estimate import ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION, CellThreshold
from analysis.statistics.rule import Rules, rules_of
from analysis.tables.files import read_settings, rows_of, table_of
from analysis.tables.schema import COMPARISONS, LOST, MEMBERS, THRESHOLDS, Row
from ouvae.declared import ORDER_PARAMETERS, OrderParameter
from ouvae.declared.controls import RHO
from ouvae.declared.order_parameters import PAPERS
from ouvae.declared.pairs import Pair, comparable, corresponding
from ouvae.declared.retained_variance import retained_variance

METHOD = (
    "median over seeds of thresholds known to intervals, two-piece normal; interval: posterior, equal tails"
)
"""The entry of the column `method`."""


def read_rule(run: str | Path) -> Rules:
    """Return the rule of a run, from its settings. Raises TableError as `read_settings`, and without one."""
    settings = read_settings(run)
    try:
        return rules_of(settings)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise TableError(
            f"the space.yaml of {run} does not say active_from and confidence; give the folder that a sweep "
            "wrote"
        ) from None


class Summary:
    """The thresholds of members by a rule, and their comparisons.

    Cells come in the order of first appearance, the order parameters of each in that of the rule.

    Raises TableError as `analysis.statistics.curves.curves` does; ValueError for a threshold or a
    confidence out of range.
    """

    def __init__(self, members: pa.Table, rule: Rules) -> None:
        """Estimate the threshold of each cell and order parameter; its first member tells a cell's keys."""
        self._rule = rule
        self._statuses: dict[str, Counter[str]] = {}
        firsts: list[int] = []
        places = members.select(["cell_id", "status"]).to_pydict()
        for row, (cell_id, status) in enumerate(zip(*places.values(), strict=True)):
            if cell_id not in self._statuses:
                self._statuses[cell_id] = Counter()
                firsts.append(row)
            self._statuses[cell_id][status] += 1
        self._cells = [
            {**row, row["control"]: None} for row in rows_of(members.take(pa.array(firsts, pa.int64())))
        ]
        self._watched = [ORDER_PARAMETERS[name] for name in rule.active_from]
        self._estimates: dict[tuple[str, str], tuple[float, CellThreshold]] = {}
        for order in self._watched:
            of_order = rule.of(order.name)
            for cell_id, seeds in curves(members, order).items():
                self._estimates[cell_id, order.name] = of_order.level(seeds), of_order.threshold(seeds)

    def median(self, cell_id: str, order: str) -> Marginal | None:
        """Return the posterior of a cell's threshold; None where nothing is known of it."""
        posterior = self._estimates[cell_id, order][1].population
        return None if posterior is None else posterior.median

    @cached_property
    def thresholds(self) -> pa.Table:
        """The thresholds table: a row per cell and order parameter."""
        rows = []
        for cell in self._cells:
            of_cell = [self._threshold_row(cell, order) for order in self._watched]
            rows += [row | {"remark": _remark(row, of_cell)} for row in of_cell]
        return table_of(rows, THRESHOLDS)

    @cached_property
    def comparisons(self) -> pa.Table:
        """The comparisons table: a row an order parameter and pair of cells that differ in one key."""
        return self._compared(
            [(self, cell) for cell in self._cells], comparable(self._cells, self._rule.control)
        )

    def comparisons_with(self, members: pa.Table) -> pa.Table:
        """Return the comparisons of these cells with those of other members, by the rule of this summary.

        Cells are compared that are `corresponding`. The posteriors of two cells are taken as independent,
        which asks for other members.

        Raises:
            TableError: the members are of another control parameter; as `analysis.statistics.curves.curves`.
        """
        others = {*members["control"].unique().to_pylist()} - {self._rule.control}
        if others:
            raise TableError(
                f"one run sweeps {self._rule.control}, the other {' and '.join(sorted(others))}: their "
                "critical values have no difference; give runs of the same control parameter"
            )
        other, places = Summary(members, self._rule), len(self._cells)
        sides = [(summary, cell) for summary in (self, other) for cell in summary._cells]
        pairs = corresponding(self._cells, other._cells, self._rule.control)
        return self._compared(sides, [Pair(i, places + j, key) for i, j, key in pairs])

    def _compared(self, sides: Sequence[tuple["Summary", Row]], pairs: Sequence[Pair]) -> pa.Table:
        """Return the comparisons table of pairs of cells, each beside the summary that it is of."""
        rows = []
        for order in self._watched:
            medians = [summary.median(cell["cell_id"], order.name) for summary, cell in sides]
            for pair, comparison in zip(
                pairs,
                compare(pairs, medians, self._rule.confidence, self._rule.margin, self._rule.scale),
                strict=True,
            ):
                first, second = sides[pair.first][1], sides[pair.second][1]
                rows.append(
                    {
                        "space": first["space"],
                        "control": self._rule.control,
                        "scale": self._rule.scale.kind,
                        "order_parameter": order.name,
                        "differs_in": pair.key,
                        "first_cell_id": first["cell_id"],
                        "first_cell": first["cell"],
                        "second_cell_id": second["cell_id"],
                        "second_cell": second["cell"],
                        **asdict(comparison),
                        "confidence": self._rule.confidence,
                        "margin": self._rule.margin,
                    }
                )
        return table_of(rows, COMPARISONS)

    def _threshold_row(self, cell: Row, order: OrderParameter) -> dict[str, Any]:
        active_from, estimate = self._estimates[cell["cell_id"], order.name]
        level = self._rule.active_from[order.name]
        statuses = self._statuses[cell["cell_id"]]
        return {
            **{name: cell[name] for name in _OF_CELL},
            **{name: getattr(estimate, name) for name in _OF_ESTIMATE},
            "scale": estimate.scale.kind,
            "half_width_asked": self._rule.half_widths.get(order.name),
            "seeds": [asdict(seed) for seed in estimate.seeds],
            **{name: _retained(cell, getattr(estimate, of)) for name, of in _G.items()},
            "order_parameter": order.name,
            "rule": level if isinstance(level, str) else "absolute",
            "active_from": active_from,
            "critical_exact": _exact(cell, order, active_from),
            "n_seeds": len(estimate.seeds),
            "n_resolved": sum(seed.status == TRANSITION for seed in estimate.seeds),
            "n_members": statuses.total(),
            **{f"n_{status}": statuses[status] for status in LOST},
            "method": METHOD,
        }


_OF_CELL = [name for name in THRESHOLDS.names if name in MEMBERS.names and name != "status"]
"""What a cell's row has from its members."""

_OF_ESTIMATE = {*THRESHOLDS.names} & {"half_width", *(one.name for one in fields(CellThreshold))} - {
    "seeds",
    "scale",
}
"""What a cell's row has from its estimate."""


def _exact(cell: Row, order: OrderParameter, active_from: float) -> float | None:
    """Return the exact critical value of an order parameter.

    Members of older versions have the value of the top layer's KL only, at which its first unit collapses. A
    level of k active units is the transition of the k-th unit.
    """
    rank = ceil(active_from) if order.name == "active_units_top" else order.rank
    if cell["critical_exact_of"] is None:
        return cell["critical_exact"] if rank in (None, 1) else None
    name = order.name if rank is None else f"kl_top_unit_{rank}"
    values = {exact["order_parameter"]: exact["value"] for exact in cell["critical_exact_of"]}
    return values.get(name)


_G = {"g_c": "critical_value", "g_c_low": "critical_low", "g_c_high": "critical_high"}


def _retained(member: Mapping[str, Any], value: float | None) -> float | None:
    """Return g at a critical value; None without one, and where smoothing by K draws leaves no g."""
    by_draws = member["smoothed_networks"] and member["smoothing"] != "ambient" and member["control"] == RHO
    if value is None or not by_draws or member["hermite_degree"] is not None:
        return None
    return float(retained_variance(value, member["ou_samples"]))


_ON = (TRANSITION, ALWAYS_ACTIVE)


def _remark(row: Row, of_cell: Iterable[Row]) -> str | None:
    """Return how a row of `information_top` departs from that of `kl_top` among those `of_cell`.

    Seeds with a curve are compared one by one, since they share all but the value. None where the two turn on
    in the same bracket for every seed, where either has nothing to say, and for other order parameters.
    """
    if row["order_parameter"] != "information_top":
        return None
    of_kl = next((other for other in of_cell if other["order_parameter"] == PAPERS), None)
    if of_kl is None:
        return None
    pairs = [
        (kl, information)
        for kl, information in zip(of_kl["seeds"], row["seeds"], strict=True)
        if min(kl["n_members"], information["n_members"]) > 1
    ]
    active = [(kl, information) for kl, information in pairs if kl["status"] in _ON]
    never = sum(information["status"] == ALWAYS_COLLAPSED for _, information in active)
    later = sum(_apart(kl, information) for kl, information in active)
    if not (never or later):
        return None
    parts = [f"at another {row['control']} in {later}"] * bool(later) + [f"nowhere in {never}"] * bool(never)
    return (
        f"the KL turns on in {len(active)} of {len(pairs)} seeds, the information {' and '.join(parts)} of "
        f"them: a KL without information is what z_{row['depth']} says of the noise of the layers below"
    )


def _apart(kl: Mapping[str, Any], information: Mapping[str, Any]) -> bool:
    """Tell whether a seed's two thresholds lie in brackets that do not overlap."""
    if TRANSITION not in (kl["status"], information["status"]) or information["status"] not in _ON:
        return False
    if kl["status"] != information["status"]:
        return True
    return bool(information["high"] <= kl["low"] or kl["high"] <= information["low"])


def thresholds_table(members: pa.Table, rule: Rules) -> pa.Table:
    """Return the thresholds table of members by a rule: see `Summary`."""
    return Summary(members, rule).thresholds
