"""Tables of runs that another program wrote: which columns they need, and the curves of their groups.

A row is a trained model, a *member*: a value of the control parameter, a value of the order parameter, and a
seed. Rows that agree in the columns `by` are a *group*, whose threshold is estimated. A row whose control
parameter or order parameter is not finite counts as diverged.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count
from math import isfinite, nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from analysis import TableError
from analysis.statistics.curves import Curves, curves_of
from analysis.tables.files import listed

SUFFIXES = (".csv", ".parquet")
"""Kinds of files that are read."""

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
"""Texts of a cell without a number, in small letters."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they hold.

    Attributes:
        control: values of the control parameter.
        value: values of the order parameter, small in the collapsed phase.
        seed: seeds, as numbers or names; None makes each row a seed of its own.
        by: what tells groups apart.
    """

    control: str
    value: str
    seed: str | None = None
    by: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns in the order of their roles."""
        seed = [] if self.seed is None else [self.seed]
        return [self.control, self.value, *seed, *self.by]


@dataclass(frozen=True)
class Group:
    """The members that agree in the columns `by`.

    Attributes:
        key: their values in these columns.
        curves: by seed; a diverged member is in none.
        diverged: number of members whose row is not finite.
    """

    key: tuple[Any, ...]
    curves: Curves
    diverged: int

    @property
    def members(self) -> int:
        """The number of members, with the diverged ones."""
        return self.diverged + sum(x.size for x, _ in self.curves.values())


def read_foreign(path: str | Path) -> pa.Table:
    """Read a CSV or Parquet file of any columns. Raises TableError where there is no such file."""
    path = Path(path)
    if not path.is_file():
        raise TableError(f"no such file: {path}; give a CSV or Parquet file with a row per trained model")
    if path.suffix.lower() not in SUFFIXES:
        raise TableError(f"{path} is neither of {' and '.join(SUFFIXES)}; save the table as one of them")
    try:
        return pq.read_table(path) if path.suffix.lower() == ".parquet" else pyarrow.csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if "Empty CSV" in str(error):
            raise TableError(f"{path} has no rows; it needs a line of names and a row per model") from None
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TableError(f"{path} cannot be read as {path.suffix[1:].lower()}: {reason}") from error


def arrow_table(frame: Any) -> pa.Table:
    """Return a frame as an Arrow table: an Arrow table, a frame of pandas or polars, or a dict of lists.

    A column of several types becomes text. Raises TableError for whatever is no table.
    """
    if isinstance(frame, pa.Table):
        return frame
    try:
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError):
        try:
            return pa.table({str(name): _texts(frame[name]) for name in frame.keys()})  # noqa: SIM118
        except (pa.ArrowException, AttributeError, TypeError, ValueError, KeyError) as error:
            raise TableError(
                f"no table: {type(frame).__name__} ({error}); give a pandas or polars frame, an Arrow table, "
                "a dict of lists of one length, or the path of a file"
            ) from None


def _texts(column: Iterable[Any]) -> pa.Array:
    values = list(column)
    try:
        return pa.array(values)
    except pa.ArrowException:
        return pa.array([None if value is None else str(value) for value in values])


def groups_of(table: pa.Table, columns: Columns, name: str, on_log_scale: bool) -> list[Group]:
    """Return the groups of a table in the order of first appearance.

    Args:
        table: with a row per member.
        columns: what its columns hold.
        name: of the table, for messages.
        on_log_scale: whether the control parameter must be positive.

    Raises:
        TableError: a column is missing, has two roles or holds no numbers; there is no finite row; the
            control parameter has a single value, or one that is not positive on a log scale; two rows of a
            group have the same seed and value.
    """
    _refuse(name, _problems_of_names(table, columns))
    if not table.num_rows:
        raise TableError(f"{name} has no rows; it needs a row per trained model")
    numbers = {column: _numbers(table, column) for column in (columns.control, columns.value)}
    _refuse(name, [found for found in numbers.values() if isinstance(found, str)])
    controls, values = (list(map(float, numbers[column])) for column in (columns.control, columns.value))
    seeds = _seeds(table, columns.seed)
    keys = list(zip(*(table[column].to_pylist() for column in columns.by), strict=True))
    keys = keys or [()] * table.num_rows
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(tuple(map(str, key)), []).append(row)
    usable = {row for row in range(table.num_rows) if isfinite(controls[row]) and isfinite(values[row])}
    _refuse(name, _problems_of_values(columns, controls, usable, on_log_scale))
    for of_group in rows.values():
        finite = [row for row in of_group if row in usable]
        _refuse(name, _repeated(table, columns, controls, seeds, finite))
    return [
        Group(
            keys[of_group[0]],
            curves_of(
                (seeds[row], controls[row], values[row] if row in usable else None) for row in of_group
            ),
            sum(row not in usable for row in of_group),
        )
        for of_group in rows.values()
    ]


def _refuse(name: str, problems: Sequence[str]) -> None:
    """Raise TableError for problems, in one line if there is one."""
    if len(problems) == 1:
        raise TableError(f"{name}: {problems[0]}")
    if problems:
        raise TableError(listed(f"{name} cannot be used", list(problems)))


def _problems_of_names(table: pa.Table, columns: Columns) -> list[str]:
    problems = []
    for column in dict.fromkeys(columns.names):
        if column not in table.column_names:
            near = get_close_matches(column, table.column_names, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            problems.append(f"no column '{column}', the columns are {', '.join(table.column_names)}{hint}")
        elif table.column_names.count(column) > 1:
            problems.append(f"several columns are named '{column}'; rename all but one")
    repeated = [column for column, roles in Counter(columns.names).items() if roles > 1]
    return problems + [f"column '{column}' has two roles; give each role a column" for column in repeated]


def _numbers(table: pa.Table, column: str) -> list[float] | str:
    """Return the numbers of a column, NaN for none; or what is wrong with its first bad cell."""
    numbers = []
    for row, cell in enumerate(table[column].to_pylist(), 1):
        is_missing = cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING)
        try:
            numbers.append(nan if is_missing else float(cell))
        except (TypeError, ValueError):
            return f"column '{column}' must hold numbers, found {cell!r} in row {row}; correct the cell"
    return numbers


def _seeds(table: pa.Table, column: str | None) -> list[int]:
    """Return a number for each row's seed: its own if it is whole, else one above all of these."""
    labels = [None] * table.num_rows if column is None else table[column].to_pylist()
    labels = [int(label) if isinstance(label, float) and label.is_integer() else label for label in labels]
    fresh = count(max((label for label in labels if isinstance(label, int)), default=-1) + 1)
    numbers: dict[Any, int] = {}
    seeds = []
    for label in labels:
        if isinstance(label, int):
            seeds.append(label)
        elif label is None or label != label or not str(label).strip():
            seeds.append(next(fresh))
        else:
            if label not in numbers:
                numbers[label] = next(fresh)
            seeds.append(numbers[label])
    return seeds


def _problems_of_values(
    columns: Columns, controls: Sequence[float], usable: Iterable[int], on_log_scale: bool
) -> list[str]:
    trained = {controls[row] for row in usable}
    if not trained:
        return [f"no row has both a finite {columns.control} and a finite {columns.value}; train more"]
    if on_log_scale and min(trained) <= 0:
        row = min(row for row in usable if controls[row] <= 0)
        return [
            f"'{columns.control}' must be positive on a log scale, found {controls[row]:g} in row {row + 1}; "
            "leave the row out, or use the linear scale"
        ]
    if len(trained) == 1:
        return [
            f"'{columns.control}' has a single value, {min(trained):g}, and a threshold lies between two; "
            "train at another value too"
        ]
    return []


def _repeated(
    table: pa.Table, columns: Columns, controls: Sequence[float], seeds: Sequence[int], rows: Iterable[int]
) -> list[str]:
    """Return a problem for the first two rows of a group that have the same seed and value."""
    first: dict[tuple[int, float], int] = {}
    for row in rows:
        before = first.setdefault((seeds[row], controls[row]), row)
        if before != row:
            return [
                f"rows {before + 1} and {row + 1} both have {columns.control} {controls[row]:g} and seed "
                f"{table[columns.seed][row]}; keep one, or name the column that tells them apart (by)"
            ]
    return []
