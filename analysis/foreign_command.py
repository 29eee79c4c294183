"""`ouvae-thresholds TABLE`: the thresholds of a table of your own runs, as a command.

TABLE is a CSV or Parquet file with a row per trained model: its value of a control parameter (`--control`),
of an order parameter that is small where the model has collapsed (`--value`), and its seed. Rows that agree
in the columns `--by` are a group with a critical value; groups that differ in one of these columns are
compared. `--next` prints which members to train next instead.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import TableError
from analysis.statistics.scale import SCALE_KINDS
from analysis.tables.replacing import replacing, user_path

if TYPE_CHECKING:
    from analysis.foreign import TableThresholds

_OF_TABLE = ("control", "value", "seed", "by", "scale", "collapsed", "page", "figure", "next")
"""Options of a table."""

_FIGURES = (".png", ".svg", ".pdf")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a table to a parser."""
    group = parser.add_argument_group("a table of your own runs, CSV or Parquet with a row per trained model")
    add = group.add_argument
    add("--control", metavar="COLUMN", help="the control parameter, such as beta")
    add("--value", metavar="COLUMN", help="the order parameter, small in collapsed models, such as the KL")
    add("--seed", metavar="COLUMN", help="the seed, a number or a name (default: each row is its own seed)")
    add(
        "--by",
        type=_names,
        metavar="COLUMN,...",
        help="columns that tell groups apart, such as model,dataset",
    )
    add("--scale", choices=SCALE_KINDS, help="spacing of the control parameter's values (default: linear)")
    add("--collapsed", choices=("low", "high"), help="end at which models collapse (default: what rows say)")
    add("--page", type=user_path, metavar="FILE", help="write a page of HTML that loads nothing")
    figures = ", ".join(_FIGURES)
    add("--figure", type=user_path, metavar="FILE", help=f"draw the curves, in the format of {figures}")
    add("--next", type=_count, metavar="N", help="print where to train next, N members per group, as CSV")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return count


def is_of_table(arguments: argparse.Namespace) -> bool:
    """Tell whether the arguments are of a table: it is a CSV file, or an option says so."""
    return arguments.run.suffix.lower() == ".csv" or any(
        getattr(arguments, name) is not None for name in _OF_TABLE
    )


def print_table_thresholds(arguments: argparse.Namespace) -> list[Path]:
    """Print the thresholds of a table, or its next members; return the paths of the files that are written.

    Raises TableError as `thresholds_of`, and for options that do not fit a table.
    """
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.foreign import ACTIVE_FROM, thresholds_of

    _check(arguments)
    result = thresholds_of(
        arguments.run,
        control=arguments.control,
        value=arguments.value,
        seed=arguments.seed,
        by=arguments.by or (),
        scale=arguments.scale or "linear",
        active_from=arguments.active_from[0][1] if arguments.active_from else ACTIVE_FROM,
        collapsed=arguments.collapsed,
        confidence=arguments.confidence or 0.95,
    )
    written = _write(result, arguments)
    text = _next(result, arguments.next) if arguments.next else _printed(result, arguments.format)
    if arguments.next or arguments.format != "text":
        for note in result.notes:
            print(f"note: {note}", file=sys.stderr)
    print(text)
    return written


def _check(arguments: argparse.Namespace) -> None:
    """Raise TableError for options that are missing, of a run, or name files of another kind."""
    from analysis.tables.foreign import read_foreign

    if arguments.control is None or arguments.value is None:
        columns = ", ".join(read_foreign(arguments.run).column_names)
        raise TableError(
            f"{arguments.run} is a table: name its columns with --control and --value, and --seed; there are "
            f"{columns}"
        )
    if arguments.write or arguments.csv is not None:
        raise TableError("--write and --csv are for a run; a table has --out FILE.parquet and --format csv")
    if len(arguments.active_from) > 1 or any(name for name, _ in arguments.active_from):
        raise TableError("--active-from of a table is one level without a name: --active-from 0.1")
    suffixes = {"out": (".parquet",), "figure": _FIGURES}
    for option, allowed in suffixes.items():
        path = getattr(arguments, option)
        if path is not None and path.suffix not in allowed:
            raise TableError(f"--{option} {path} must end in {' or '.join(allowed)}")


def _write(result: "TableThresholds", arguments: argparse.Namespace) -> list[Path]:
    import pyarrow.parquet as pq

    written: list[Path] = []
    if arguments.out is not None:
        _refuse_other_file(arguments.out)
        with replacing(arguments.out) as file:
            pq.write_table(result.thresholds, file, compression="zstd")
        written.append(arguments.out)
    if arguments.figure is not None:
        written.append(result.plot().save(arguments.figure))
    if arguments.page is not None:
        page = result.page().encode()
        with replacing(arguments.page) as file:
            file.write(page)
        written.append(arguments.page)
    return written


def _refuse_other_file(path: Path) -> None:
    """Raise TableError if `path` holds anything else than such thresholds: it may be the table itself."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return
    try:
        is_alike = {"critical_value", "critical_low"} <= {*pq.read_schema(path).names}
    except (pa.ArrowException, OSError):
        is_alike = False
    if not is_alike:
        raise TableError(f"{path} exists and holds no critical values; give --out a new file, or remove it")


def _next(result: "TableThresholds", count: int) -> str:
    """Return the next members as CSV, with a line of names."""
    from analysis.text.printed import PrintedTable

    members = result.next(count)
    lines: Sequence[Sequence[str]] = [list(map(str, row.values())) for row in members.to_pylist()]
    return PrintedTable(members.column_names, lines).to_csv()


def _printed(result: "TableThresholds", name: str) -> str:
    from analysis.text.printed import FORMATS

    if name == "text":
        return str(result)
    if name == "json":
        tables = {"thresholds": result.thresholds, "comparisons": result.comparisons}
        return json.dumps({name: table.to_pylist() for name, table in tables.items()}, default=str)
    return FORMATS[name](result.table())
