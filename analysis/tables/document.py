"""The columns of all tables for the documentation, which follow from their schemas.

python -m analysis.tables.document docs/tables.md
"""

import sys

import pyarrow as pa

from analysis.tables.schema import SCHEMAS
from ouvae.declared.documents import write_between

BEGIN, END = "<!-- columns, from their schemas -->\n", "<!-- end of columns -->\n"

_OF_ROWS = {
    "members": "One row per member, that is, per trained model.",
    "history": "One row per member and evaluation.",
    "thresholds": "One row per cell and order parameter: one curve.",
    "comparisons": "One row per order parameter and pair of cells that differ in one key, size or depth.",
    "costs": "One row per cell and value of its control parameter, in runs that measure time and memory.",
    "sheets": "A file per cell, with one row per member that was drawn. A column of images as an array: "
    "`np.frombuffer(row['samples'], np.uint8).reshape(-1, *row['image_shape'])`.",
}

_TITLES = {"sheets": "sheets/CELL_ID"}
"""Paths of the tables that are not named like their files."""

_TYPES = {
    pa.string(): "text",
    pa.int32(): "whole number",
    pa.int64(): "whole number",
    pa.float64(): "number",
    pa.binary(): "bytes",
}


def tables() -> str:
    """Return the columns of every table in Markdown, in the order in which a file has them."""
    return "\n".join(line for name, schema in SCHEMAS.items() for line in _section(name, schema))


def _section(name: str, schema: pa.Schema) -> list[str]:
    head = ["| column | unit | type | |", "| --- | --- | --- | --- |"]
    return [f"## {_TITLES.get(name, name)}.parquet", "", _OF_ROWS[name], "", *head, *map(_row, schema), ""]


def _row(field: pa.Field) -> str:
    unit, description = (field.metadata[key].decode() for key in (b"unit", b"description"))
    kind = f"{_type(field.type)}{', or null' if field.nullable else ''}"
    text = description.replace("|", "\\|")
    return f"| `{field.name}` | {'' if unit == 'none' else unit} | {kind} | {text} |"


def _type(dtype: pa.DataType) -> str:
    if pa.types.is_list(dtype):
        return f"list of: {_type(dtype.value_type)}"
    if pa.types.is_struct(dtype):
        return f"({', '.join(field.name for field in dtype)})"
    if pa.types.is_timestamp(dtype):
        return f"timestamp, {dtype.tz}"
    return _TYPES[dtype]


def main() -> None:
    """Write the tables into the file that is named, between its marks."""
    write_between(sys.argv[1], BEGIN, tables(), END)


if __name__ == "__main__":
    main()
