"""Reading, checking and writing the tables of a run.

A run is a folder with `members.parquet`, `history.parquet` and `thresholds.parquet`, and with
`costs.parquet` where time and memory are measured. Files are read by their exact schema
(`analysis.tables.schema`) and never by guessing one, and are written atomically. Each carries a seal
(`analysis.tables.seal`): a file that was changed later is refused.
"""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from analysis import TableError
from analysis.tables.earlier import of_today
from analysis.tables.replacing import replacing
from analysis.tables.schema import COSTS, HISTORY, MEMBERS, SCHEMAS, SHEETS, Row
from analysis.tables.seal import BLANK, CHANGED, is_intact, sealed
from ouvae.declared import Cell, keys_of

_TAIL_BYTES = 8
"""After the footer of a Parquet file: its length in four bytes, and the magic number."""


class DamagedError(TableError):
    """A file is missing, cut or changed since it was written."""


def read_members(run: str | Path) -> pa.Table:
    """Read the members table of a run folder, or of a path to a `members.parquet`.

    Raises TableError with every problem found: no such folder or file, not parquet, another schema
    version, columns missing, unknown or of another type, nulls where none may be, no rows.
    """
    return read_table(table_path(run, "members"), MEMBERS, may_be_empty=False)


def read_history(run: str | Path) -> pa.Table:
    """Read the history table as `read_members` does; it may have no rows."""
    return read_table(table_path(run, "history"), HISTORY)


def read_settings(run: str | Path) -> Mapping[str, Any]:
    """Return what a run was made with: the keys of its space.yaml.

    Raises TableError where there is no such file, or one that cannot be read or was changed.
    """
    path = (Path(run) if Path(run).is_dir() else Path(run).parent) / "space.yaml"
    try:
        check_settings(path)
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TableError(f"{path} cannot be read ({reason}); give the folder that a sweep wrote") from error
    if not isinstance(settings, dict):
        raise TableError(f"{path} holds no keys; give the folder that a sweep wrote")
    return settings


def check_settings(path: Path) -> None:
    """Raise TableError where a run's settings have changed since they were written, OSError for no file."""
    if not is_intact(path.read_bytes()):
        raise TableError(
            f"{path} cannot be used: {CHANGED}; delete the file, and the sweep's command writes it anew, or "
            "delete the line with the digest in it, if the change is yours"
        )


def read_costs(run: str | Path) -> pa.Table:
    """Read the costs table of a run folder. Raises TableError as `read_members` does."""
    return read_table(table_path(run, "costs"), COSTS, may_be_empty=False)


def read_sheet(run: str | Path, cell_id: str) -> pa.Table:
    """Read the images of a cell's members; no rows where the run keeps none.

    Raises TableError as `read_table` does.
    """
    path = (Path(run) if Path(run).is_dir() else Path(run).parent) / "sheets" / f"{cell_id}.parquet"
    return read_table(path, SHEETS) if path.exists() else SHEETS.empty_table()


def table_path(run: str | Path, table: str) -> Path:
    """Return the path of a table of a run; TableError if the run or the file does not exist."""
    run, name = Path(run), f"{table}.parquet"
    if run.is_file():
        path = run if table == "members" else run.with_name(name)
    elif run.is_dir():
        path = run / name
    else:
        raise TableError(f"no such run: {run}; give the folder that a sweep wrote, or its members.parquet")
    if not path.is_file():
        names = ", ".join(sorted(p.name for p in path.parent.iterdir())) or "nothing"
        raise TableError(
            f"{path.parent} holds no {name} (found: {names}); "
            "give the folder that a sweep wrote, after its end"
        )
    return path


def read_table(path: Path, schema: pa.Schema, may_be_empty: bool = True) -> pa.Table:
    """Read a parquet file by one of the schemas; TableError with everything that is wrong with it.

    What a table of this version lacks because it is older than a key or a metric is filled in: a key's
    neutral value, and null where that is allowed. A file that is missing, cut or changed since it was written
    raises a DamagedError, which is a TableError.
    """
    try:
        content = path.read_bytes()
        if not is_intact(content):
            raise pa.ArrowInvalid(CHANGED)
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        damaged = isinstance(error, FileNotFoundError) or not (isinstance(error, OSError) and error.errno)
        raise (DamagedError if damaged else TableError)(
            f"{path} is not a readable parquet file ({error}); rewrite it by resuming its sweep"
        ) from error
    table = _with_later_columns(of_today(table, schema), schema)
    problems = _problems(table, schema)
    if table.num_rows == 0 and not may_be_empty:
        problems.append("it has no rows: nothing of the run is finished")
    if problems:
        raise TableError(
            listed(f"{path} cannot be read as a {_name(schema)} table", problems)
            + "\nread it with the version of the project that wrote it, or run its sweep again"
        )
    return table.select(schema.names).cast(schema)


def _with_later_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table of this version with the columns that were declared after it was written."""
    if _version(table.schema) != _version(schema):
        return table
    keys = keys_of(Cell)
    for field in schema:
        key = keys.get(field.name)
        if field.name in table.column_names or not (field.nullable or (key and key.has_neutral)):
            continue
        value = key.neutral if key else None
        table = table.append_column(field, pa.array([value] * table.num_rows, field.type))
    return table


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table of one of the schemas.

    Raises TableError for a row that lacks a column or has what is none: nothing is dropped or made up.
    """
    columns = set(schema.names)
    for row in rows:
        if row.keys() != columns:
            problems = [f"columns missing: {', '.join(sorted(columns - row.keys()))}"]
            problems += [f"columns unknown: {', '.join(sorted(row.keys() - columns))}"]
            wrong = [problem for problem in problems if not problem.endswith(": ")]
            raise TableError(listed(f"a row is none of a {_name(schema)} table", wrong))
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def rows_of(table: pa.Table) -> list[Row]:
    """Return the rows of a table, with moments in UTC.

    `to_pylist` needs a time zone database even for UTC, and slim images have none.
    """
    moments = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    for name in moments:
        place, without_zone = table.schema.get_field_index(name), pa.timestamp(table.field(name).type.unit)
        table = table.set_column(place, name, table[name].cast(without_zone))
    return [
        row | {name: row[name] and row[name].replace(tzinfo=UTC) for name in moments}
        for row in table.to_pylist()
    ]


def _name(schema: pa.Schema) -> str:
    return _metadata(schema, "table")


def _version(schema: pa.Schema) -> str:
    return _metadata(schema, "schema_version")


def _metadata(schema: pa.Schema, key: str) -> str:
    """An entry of the metadata of a schema, `none` where it has no such entry."""
    value: bytes = (schema.metadata or {}).get(key.encode(), b"none")
    return value.decode(errors="replace")


def listed(head: str, problems: list[str]) -> str:
    """Return a heading and problems, one a line."""
    return "\n".join([f"{head}:", *(f"  - {problem}" for problem in problems)])


def _problems(table: pa.Table, schema: pa.Schema) -> list[str]:
    """Everything in which a table departs from a schema; the order of the columns is free."""
    problems: list[str] = []
    if _name(table.schema) not in (_name(schema), "none"):
        return [f"it is a {_name(table.schema)} table"]
    version = _version(table.schema)
    if version != _version(schema):
        return [f"its schema_version is {version}, this project reads {_version(schema)}"]
    columns = set(table.column_names)
    if missing := [name for name in schema.names if name not in columns]:
        problems.append("columns missing: " + ", ".join(missing))
    if unknown := [name for name in table.column_names if name not in schema.names]:
        problems.append("columns unknown: " + ", ".join(unknown))
    if repeated := sorted(name for name in columns if table.column_names.count(name) > 1):
        problems.append("columns repeated: " + ", ".join(repeated))
    for field in schema:
        if field.name in missing or field.name in repeated:
            continue
        column = table.column(field.name)
        if column.type != field.type:
            problems.append(f"column {field.name} is {column.type}, it must be {field.type}")
        elif column.null_count and not field.nullable:
            problems.append(f"column {field.name} has {column.null_count} nulls, it may have none")
    return problems


def write_table(table: pa.Table, path: str | Path) -> None:
    """Write a table of one of the schemas to a parquet file, atomically.

    The schema is the one named in the table's own metadata. Raises TableError with every departure
    from it, and where the file cannot be written.
    """
    schema = SCHEMAS.get(_name(table.schema))
    if schema is None:
        raise TableError(
            f"cannot write {path}: the table's schema is none of {', '.join(SCHEMAS)}; "
            "build it with a schema of analysis.tables.schema"
        )
    if problems := _problems(table, schema):
        raise TableError(listed(f"cannot write {path} as a {_name(schema)} table", problems))
    with replacing(path) as file:
        file.write(_parquet(table.select(schema.names).cast(schema)))


def _parquet(table: pa.Table) -> bytes:
    """Return a table as a sealed Parquet file.

    The seal lies between the last page and the footer. All offsets count from the start of the file: no
    reader looks there, and a program that rewrites the table drops the seal.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    footer = len(content) - _TAIL_BYTES - int.from_bytes(content[-_TAIL_BYTES:-4], "little")
    return sealed(content[:footer] + BLANK + content[footer:])
