"""The tables of a run, made of all its fragments."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from analysis.statistics.rule import Rules
from analysis.statistics.summary import Summary
from analysis.tables.files import rows_of, table_of, write_table
from analysis.tables.schema import MEMBERS, Row
from ouvae.declared import labels
from sweeps.record.ledger import Ledger


def write_tables(
    ledger: Ledger, cell_ids: Sequence[str], rules: Rules, compared: bool = True
) -> dict[str, pa.Table]:
    """Write and return members, history, thresholds and comparisons by name.

    Rows go by cell, seed, value and step, in whatever order packs finished. Members and history are written
    before anything is estimated from them. Cells of the space come in the order of `cell_ids`, others after
    them.

    Cells have as many pairs as their number squared, and are compared if `compared`. Tables with comparisons
    are the last of a sweep, and may take the reserve on a full disk.
    """
    run = ledger.run
    run.follow()
    order = {cell_id: index for index, cell_id in enumerate(cell_ids)}
    results = ledger.results()
    failed = table_of(list(ledger.failed.values()), MEMBERS)
    members = _named(pa.concat_tables([results.members, failed]))
    places = pa.array([order.get(cell_id, len(order)) for cell_id in members["cell_id"].to_pylist()])
    members = _ordered(members, places, ("cell_id", "seed", "value"))
    places = pc.index_in(results.history["member_id"], value_set=members["member_id"].combine_chunks())
    history = _ordered(results.history, places, ("step",))
    tables: dict[str, pa.Table] = {}

    def write(name: str, table: pa.Table) -> None:
        (run.write if compared else write_table)(table, run.table(name))
        tables[name] = table

    write("history", history)
    write("members", members)
    summary = Summary(members, rules)
    write("thresholds", summary.thresholds)
    if compared:
        write("comparisons", summary.comparisons)
    return tables


def cell_rows(ledger: Ledger) -> dict[str, Row]:
    """Return the first member's row of each cell, by the cell's id."""
    members = ledger.results().members
    first = _firsts(members)
    return dict(zip(first, rows_of(members.take(list(first.values()))), strict=True))


def _firsts(members: pa.Table) -> dict[str, int]:
    """Return the place of the first member of each cell, by the cell's id."""
    first: dict[str, int] = {}
    for row, cell_id in enumerate(members["cell_id"].to_pylist()):
        first.setdefault(cell_id, row)
    return first


def _named(members: pa.Table) -> pa.Table:
    """Return members with names of their cells that tell all cells of the table apart."""
    first = _firsts(members)
    cells = pa.array(list(first), pa.string())
    rows = [{**row, row["control"]: None} for row in rows_of(members.take(list(first.values())))]
    names = pa.array(labels(rows), pa.string())
    named = names.take(pc.index_in(members["cell_id"].combine_chunks(), value_set=cells))
    return members.set_column(members.schema.get_field_index("cell"), members.schema.field("cell"), named)


def _ordered(table: pa.Table, places: pa.Array | pa.ChunkedArray, keys: Sequence[str]) -> pa.Table:
    """Return a table's rows in increasing order of places and, where these are equal, of columns."""
    by = pa.table({"place": places} | {key: table[key] for key in keys})
    return table.take(pc.sort_indices(by, sort_keys=[(key, "ascending") for key in by.column_names]))
