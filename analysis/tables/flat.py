"""Tables without lists, for whatever has no lists in a column: pandas' groupby, CSV, spreadsheets.

What has an entry a layer becomes a column a layer, counted from z_1, next to the data: `kl_1_nats`,
`kl_2_nats`, … to that of the deepest cell, null where a cell has no such layer; `kl_top_nats` is that of the
top layer, whatever the depth. `latents` gives `latent_1`, …, `latent_top`, and stays as text besides,
`10,10`; all other lists are only text, as labels write them. Moments are in UTC and do not say so, since
spreadsheets know no time zone.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from analysis.tables.replacing import replacing
from analysis.tables.schema import MEMBERS
from ouvae.declared import METRICS, TEST_METRICS
from ouvae.declared.labels import text

if TYPE_CHECKING:
    import pandas as pd

_LAYERED = {"latents": "latent_{}"} | {
    metric.name: metric.name.removesuffix("_nats") + "_{}" + "_nats" * metric.name.endswith("_nats")
    for metric in (*METRICS, *TEST_METRICS)
    if metric.per_layer
}
"""The columns with an entry a layer, and how the column of one layer is named."""

_OF_CURVE = (*({*MEMBERS.names} - {"status"}), "order_parameter", "active_from", "collapsed_side")
"""What the threshold of a seed has from its cell's row."""


def flat(table: pa.Table) -> pa.Table:
    """Return a table of a run without lists.

    Lists of records are left out: the `seeds` of thresholds (see `seed_thresholds`), and `critical_exact_of`
    of members. Fields keep their units and descriptions.

    Examples:
        >>> from analysis import load
        >>> from analysis.tables.flat import flat
        >>> table = flat(load("runs/digits").arrow.members)
        >>> table.select(["latents", "latent_1", "latent_2", "latent_top"]).to_pylist()[0]
        {'latents': '8,8', 'latent_1': 8, 'latent_2': 8, 'latent_top': 8}
    """
    layered = [name for name in _LAYERED if name in table.column_names]
    depth = max((pc.max(pc.list_value_length(table[name])).as_py() or 0 for name in layered), default=0)
    columns = [
        (field, column)
        for name in table.column_names
        for field, column in _without_lists(table.field(name), table[name].combine_chunks(), depth)
        if field.name == name or field.name not in table.column_names
    ]
    fields, arrays = zip(*columns, strict=True)
    return pa.table(list(arrays), schema=pa.schema(fields, metadata=table.schema.metadata))


def _without_lists(field: pa.Field, column: pa.Array, depth: int) -> Iterator[tuple[pa.Field, pa.Array]]:
    """Yield the columns that stand for one: itself, its text, or a column a layer and that of the top."""
    if not pa.types.is_list(field.type):
        if pa.types.is_timestamp(field.type):
            field = field.with_type(pa.timestamp(field.type.unit))
        yield field, column.cast(field.type)
        return
    template = _LAYERED.get(field.name)
    if field.name == "latents" or not (template or pa.types.is_struct(field.type.value_type)):
        texts = [None if value is None else text(value) for value in column.to_pylist()]
        yield field.with_type(pa.string()), pa.array(texts, pa.string())
    if template:
        of_layer = field.with_type(field.type.value_type).with_nullable(True)
        for layer in range(depth):
            yield of_layer.with_name(template.format(layer + 1)), _entries(column, layer)
        yield of_layer.with_name(template.format("top")), _entries(column, -1)


def _entries(lists: pa.ListArray, place: int) -> pa.Array:
    """Return the entry of each list at a place, of which -1 is the last; null where there is none."""
    begin = lists.offsets[1:] if place < 0 else lists.offsets[:-1]
    is_there = pc.greater(lists.value_lengths(), max(place, 0))
    return lists.values.take(pc.if_else(is_there, pc.add(begin, pa.scalar(place, pa.int32())), None))


def seed_thresholds(thresholds: pa.Table) -> pa.Table:
    """Return the thresholds of seeds, a row per cell, order parameter and seed, from a thresholds table."""
    seeds = thresholds["seeds"].combine_chunks()
    of_curve = [name for name in thresholds.column_names if name in _OF_CURVE]
    table = thresholds.select(of_curve).take(pc.list_parent_indices(seeds))
    for field, column in zip(seeds.type.value_type, pc.list_flatten(seeds).flatten(), strict=True):
        table = table.append_column(field, column)
    return table


def pandas_frame(table: pa.Table) -> "pd.DataFrame":
    """Return a table without its lists as a pandas frame; whole numbers stay whole where some are null."""
    table = flat(table)
    whole = [field for field in table.schema if pa.types.is_integer(field.type)]
    frame = table.to_pandas(integer_object_nulls=True)
    return frame.astype({field.name: "Int64" if field.nullable else "int64" for field in whole})


def write_csv(tables: Mapping[str, pa.Table], folder: str | Path) -> list[Path]:
    """Write tables without their lists as `NAME.csv` into a folder, atomically; return the paths.

    One line names the columns, null is an empty field, numbers have all their digits.
    Raises TableError where a file cannot be written.
    """
    paths = []
    for name, table in tables.items():
        path = Path(folder) / f"{name}.csv"
        with replacing(path) as file:
            pandas_frame(table).to_csv(file, index=False, lineterminator="\n")
        paths.append(path)
    return paths
