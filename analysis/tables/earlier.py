"""Tables of the version before this one, in which every run swept rho and no other control parameter."""

from collections.abc import Mapping

import pyarrow as pa

from ouvae.declared.controls import RHO

_VERSION = "4"

_NAMES: Mapping[str, Mapping[str, str]] = {
    "members": {"rho_c_exact": "critical_exact"},
    "history": {"rho": "value"},
    "costs": {},
}
"""Columns of the tables that are read, with their names of today."""

_HAS_CONTROL = ("members", "costs")


def of_today(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of today, if it is of the version before; another one as it is."""
    name, version = (schema.metadata[key].decode() for key in (b"table", b"schema_version"))
    metadata = table.schema.metadata or {}
    if name not in _NAMES or metadata.get(b"schema_version") != _VERSION.encode():
        return table
    table = table.rename_columns([_NAMES[name].get(column, column) for column in table.column_names])
    if name in _HAS_CONTROL and RHO in table.column_names:
        controls = pa.array([RHO] * table.num_rows, pa.string())
        for column, values in (("control", controls), ("value", table[RHO])):
            table = table.append_column(schema.field(column), values)
    return table.replace_schema_metadata(metadata | {b"schema_version": version.encode()})
