"""Published tables beside ours: our members or costs for each published row, with means and intervals.

A *replicate* is what an interval is taken over: a seed of the members, a round of the costs. Numbers
of a row are kept by replicate, so that differences and ratios between rows can be paired. A number is
a tuple with a single entry, or with an entry per layer, top to bottom.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from analysis import TableError
from analysis.appendix.matching import Where, matches, settled
from analysis.appendix.published import Column, PublishedRow, PublishedTable, Value
from analysis.appendix.runs import PaperRun
from analysis.statistics.intervals import Interval, ratio, student
from analysis.tables.schema import Row
from analysis.text.words import join, lost, plural
from ouvae.declared import Cell, keys_of

BUDGET = ("data_digest", *(name for name, key in keys_of(Cell).items() if not key.method))
"""Keys in which compared rows must agree unless a claim varies them: all of a cell but its method."""

Replicates: TypeAlias = dict[int, tuple[float, ...]]

Measured: TypeAlias = tuple[Interval, ...]
"""A number of ours: an interval per entry; empty without replicates."""


@dataclass(frozen=True)
class Quantity:
    """A quantity of our runs that is compared with a published number.

    `of` takes a completed member and returns its numbers, None where it has none; or it takes a row of costs
    and returns a number per round. It is printed with `decimals` decimals.
    """

    decimals: int
    of: Callable[[Row], Sequence[float] | None]

    def replicates(self, rows: Sequence[Row]) -> Replicates:
        """Return the numbers of members of one cell and rho by seed, or of one row of costs by round."""
        by_replicate: Replicates = {}
        for row in rows:
            if "seed" not in row:
                by_replicate |= {index: (number,) for index, number in enumerate(self.of(row) or ())}
            elif row["status"] == "completed" and (numbers := self.of(row)) is not None:
                by_replicate[row["seed"]] = tuple(map(float, numbers))
        return by_replicate


def _scalar(column: str) -> Callable[[Row], Sequence[float] | None]:
    return lambda row: None if row[column] is None else (row[column],)


def _top_first(column: str) -> Callable[[Row], Sequence[float] | None]:
    return lambda row: None if row.get(column) is None else row[column][::-1]


QUANTITIES: Mapping[str, Quantity] = {
    "bound": Quantity(2, _scalar("test_bound_nats")),
    "elbo": Quantity(2, _scalar("test_elbo_nats")),
    "kl": Quantity(2, lambda row: None if row["test_kl_nats"] is None else (sum(row["test_kl_nats"]),)),
    "kl_top": Quantity(2, _scalar("test_kl_top_nats")),
    "active": Quantity(1, _top_first("test_active_units")),
    "active_one_draw": Quantity(1, _top_first("test_active_units_one_draw")),
    "seconds": Quantity(3, lambda row: row["seconds_per_epoch"]),
    "memory": Quantity(3, lambda row: (row["memory_bytes"] / 2**30,)),
    "parameters": Quantity(2, lambda row: (row["parameters"] / 1e6,)),
    "layers": Quantity(0, lambda row: (float(row["depth"]),)),
}
"""Quantities by name, in nats, units, seconds, GiB or millions of parameters.

Members are measured on the test split. Lists are reversed: the top layer comes first.
"""

WITHOUT_REPLICATES = frozenset({"memory", "parameters", "layers"})
"""Quantities that are counted once, and have no interval."""


@dataclass(frozen=True)
class ComparedRow:
    """A published row and our numbers for it, by the columns' keys.

    `budget` says how our rows were trained or timed; empty if the run has no such rows.
    """

    published: PublishedRow
    ours: Mapping[str, Measured]
    budget: str


def compare(table: PublishedTable, run: PaperRun) -> list[ComparedRow]:
    """Return the rows of a published table with the numbers of a run beside them.

    Rows of our own are left out where the run has no such members.

    Raises TableError where a row's selector finds members of several cells or rho, or several costs.
    """
    budget_of = _cost_budget if run.source == "costs" else _training_budget
    compared = []
    for row in shown_rows(table, run.rows):
        ours = {column.key: measured(table, row, column, run.rows) for column in table.columns}
        selections = filter(None, (selected(run.rows, where) for where in _wheres(table, row)))
        budget = join(budget_of(table, rows) + _networks(run, rows[0]) for rows in selections)
        compared.append(ComparedRow(row, ours, budget))
    return compared


def shown_rows(table: PublishedTable, rows: Sequence[Row]) -> list[PublishedRow]:
    """Return the published rows of a table, and the rows of our own that a run has."""
    return [
        row for row in table.rows if row.values or any(selected(rows, where) for where in _wheres(table, row))
    ]


def measured(table: PublishedTable, row: PublishedRow, column: Column, rows: Sequence[Row]) -> Measured:
    """Return our number for a row and a column of a published table."""
    ours = replicates(rows, row, column)
    if not column.ratio:
        return intervals(ours.values())
    if not row.baseline:
        return ()
    base = replicates(rows, table.row(row.baseline), column)
    interval = ratio(*({key: numbers[0] for key, numbers in side.items()} for side in (ours, base)))
    return () if interval is None else (interval,)


def intervals(replicates: Iterable[Sequence[float]]) -> Measured:
    """Return the mean of each entry over replicates with its interval."""
    entries = (student(values) for values in zip(*replicates, strict=True))
    return tuple(entry for entry in entries if entry is not None)


def published_value(table: PublishedTable, row: PublishedRow, column: Column) -> Value | None:
    """Return the published number of a row, or the ratio of two; None where there is none."""
    if not column.ratio:
        return row.values.get(column.key)
    if not row.baseline:
        return None
    number, base = (published.values[column.quantity] for published in (row, table.row(row.baseline)))
    assert not isinstance(number, tuple)
    assert not isinstance(base, tuple)
    return number / base


def replicates(rows: Sequence[Row], row: PublishedRow, column: Column) -> Replicates:
    """Return a column's quantity by replicate, from our rows for a published row."""
    return QUANTITIES[column.quantity].replicates(selected(rows, {**row.where, **column.where}))


def selected(rows: Sequence[Row], where: Where) -> list[Row]:
    """Return the rows that a selector finds: members of one cell and rho, or one row of costs.

    Raises TableError if it finds more: a mean over several models describes none of them.
    """
    where = settled(where, rows)
    chosen = [row for row in rows if matches(row, where)]
    names = list(dict.fromkeys(f"{row['cell']} at rho {row['rho']:g} ({row['cell_id']})" for row in chosen))
    if len(names) > 1:
        raise TableError(
            f"several models are one row of the paper's table: {'; '.join(names)}; "
            "give a run that has one of them"
        )
    keys = [row.get("seed") for row in chosen]
    if len(set(keys)) < len(keys):
        raise TableError(f"{names[0]} is there more than once; give a run that has it once")
    return chosen


def unequal(rows: Sequence[Row], apart_from: Collection[str] = ()) -> str:
    """Return in which keys of `BUDGET` members or costs differ, in words; empty if in none.

    A key that rows lack, as costs lack the steps, is None for all of them.
    """
    differing = [
        key
        for key in BUDGET
        if key not in apart_from and any(row.get(key) != rows[0].get(key) for row in rows)
    ]
    return f"they differ in {', '.join(differing)}" if differing else ""


def _wheres(table: PublishedTable, row: PublishedRow) -> list[Where]:
    """The selectors of a row, one for each restriction that the table's columns add to it."""
    wheres: list[Where] = []
    for column in table.columns:
        where = {**row.where, **column.where}
        if where not in wheres:
            wheres.append(where)
    return wheres


def _networks(run: PaperRun, row: Row) -> str:
    """The activation, initial weights and normalisation of a row, if rows of the run differ in them."""
    keys = ("activation", "initialisation", "normalisation")
    words = (row[key] for key in keys if len({other[key] for other in run.rows}) > 1)
    return "".join(f", {word}" for word in words)


def _cost_budget(table: PublishedTable, rows: Sequence[Row]) -> str:
    rounds = len(rows[0]["seconds_per_epoch"])
    timed = f"{plural(rounds, 'round')} of timing, " if rounds else ""
    counted = any(column.quantity == "memory" for column in table.columns)
    kind = f", {rows[0]['memory_kind']}" if counted else ""
    return f"{timed}batch size {rows[0]['batch_size']}, {rows[0]['device']}{kind}"


def _training_budget(table: PublishedTable, rows: Sequence[Row]) -> str:
    return f"{rows[0]['steps']:,} steps, {seeds_text(rows)}"


def seeds_text(rows: Sequence[Row]) -> str:
    """Return how many members are completed, and how many more were lost: `2 seeds (1 more diverged)`."""
    statuses = Counter(row["status"] for row in rows)
    return f"{plural(statuses['completed'], 'seed')}{lost(statuses, more=' more')}"
