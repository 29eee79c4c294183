"""The curves of a table of any columns: its groups as cells of the project's charts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest

import pyarrow as pa

from analysis.charts.cells import ChartCell
from analysis.charts.chart import Chart
from analysis.charts.control import ControlNames
from analysis.charts.curves import transitions
from analysis.charts.data import Drawn, Quantity, drawn_tables
from analysis.charts.looks import MOST_CELLS, looks
from analysis.foreign import TableThresholds
from analysis.results import Results
from analysis.text.foreign import estimate, heading, sentence
from ouvae.declared import OrderParameter

ALL_ROWS = "all rows"
"""The name of the only group of a table."""


@dataclass(frozen=True)
class GroupCurves:
    """What charts of a table's groups share.

    `cells` are the groups as cells, `quantity` the order parameter, `drawn` the tables of the charts.
    """

    cells: Sequence[ChartCell]
    quantity: Quantity
    order: OrderParameter
    control: ControlNames
    drawn: Drawn

    @property
    def shown(self) -> list[ChartCell]:
        """The cells that are drawn."""
        return [cell for cell in self.cells if cell.look is not None]


def curves_of_groups(thresholds: TableThresholds) -> GroupCurves:
    """Return the curves of the groups of a table; a diverged row is not drawn."""
    columns = thresholds.columns
    name = columns.control
    control = ControlNames(name, f"critical {name}", name, thresholds.rule.scale, ".4~g", estimate, sentence)
    level = max(row["active_from"] for row in thresholds.rows)
    order = replace(thresholds.rule.order, active_from=level)
    quantity = Quantity(order.metric, columns.value, None, order)
    cells = _cells(thresholds)
    return GroupCurves(cells, quantity, order, control, drawn_tables(cells, [quantity], control))


def curves_figure(thresholds: TableThresholds) -> Chart:
    """Return the figure of a table: a panel per group, of up to `MOST_CELLS` groups."""
    curves = curves_of_groups(thresholds)
    text = heading(thresholds.rows)
    return transitions(curves.cells, [curves.quantity], curves.drawn, text, curves.control)


def _cells(thresholds: TableThresholds) -> list[ChartCell]:
    """Return the groups as cells of a run whose members are the finite rows."""
    groups = thresholds.groups
    results = Results(thresholds.name, {"members": _members(thresholds)})
    looked = zip_longest(range(len(groups)), looks(min(len(groups), MOST_CELLS)))
    return [
        ChartCell(results, thresholds.names[place] or ALL_ROWS, (_row(thresholds, place),), look)
        for place, look in looked
    ]


def _row(thresholds: TableThresholds, place: int) -> dict[str, object]:
    """Return a group's row with the columns of a run's thresholds table that charts read."""
    estimate = thresholds.estimates[place]
    return {
        **thresholds.rows[place],
        "cell_id": str(place),
        "order_parameter": thresholds.rule.order.name,
        "critical_exact": None,
        "seeds": [asdict(seed) for seed in estimate.seeds],
    }


def _members(thresholds: TableThresholds) -> pa.Table:
    rows = [
        (str(place), seed, *point)
        for place, group in enumerate(thresholds.groups)
        for seed, curve in group.curves.items()
        for point in zip(*(array.tolist() for array in curve), strict=True)
    ]
    cells, seeds, places, values = map(list, zip(*rows, strict=True))
    return pa.table(
        {
            "member_id": [f"seed {seed}" for seed in seeds],
            "cell_id": cells,
            "seed": pa.array(seeds, pa.int64()),
            "value": pa.array(places, pa.float64()),
            "status": ["completed"] * len(rows),
            "active_units_top": pa.nulls(len(rows), pa.int32()),
            thresholds.rule.order.metric: pa.array(values, pa.float64()),
        }
    )
