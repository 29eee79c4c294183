"""The thresholds of a run: recompute `thresholds.parquet` from `members.parquet`, and print it.

    python analysis/thresholds.py RUN [--kl-threshold-nats X] [--confidence C] [--out FILE]

RUN is the folder of a run or the path of a members.parquet. With the settings of the run, the
folder's thresholds.parquet is rewritten. With a threshold or a confidence of one's own, or given a
file in place of a folder, the table is only printed, unless --out says where to write it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import TableError
from analysis.labels import STATUS, aligned, cell_names, interval, lost_of_cell
from analysis.schema import Row
from analysis.tables import Rule, read_members, read_rule, thresholds_table, write_table


def format_thresholds(table: pa.Table) -> str:
    """Return a thresholds table as aligned text, a line a cell, without a final newline.

    The columns are the cell, its budget, the status, rho_c with its interval, the mean width of the
    brackets, the jump of the top-layer KL across them (nats), the number of members and of those that
    diverged or failed, and the rho_c of each seed (or its status). A column with the exact rho_c follows
    where one is known.
    """
    rows = table.to_pylist()
    columns: dict[str, Callable[[Row], str]] = {
        "steps": lambda row: str(row["steps"]),
        "status": _status,
        "rho_c": lambda row: _number(row["rho_c"]),
        "interval": _interval,
        "width": lambda row: _number(row["width"]),
        "jump/nats": lambda row: _number(row["jump_nats"]),
        "members": lambda row: f"{row['n_members']}{lost_of_cell(row)}",
        "rho_c of seeds": _seeds,
    }
    if any(row["rho_c_exact"] is not None for row in rows):
        columns["exact"] = lambda row: _number(row["rho_c_exact"], 4)
    lines = [["cell", *columns]]
    for name, row in zip(cell_names(rows), rows, strict=True):
        lines.append([name, *(text(row) for text in columns.values())])
    nats = sorted({row["kl_threshold_nats"] for row in rows})
    note = f"rho_c: where the top-layer KL reaches {', '.join(f'{n:g}' for n in nats)} nats"
    return "\n".join([*aligned(lines), note])


def _number(value: float | None, decimals: int = 3) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _status(row: Row) -> str:
    side = "" if row["collapsed_side"] == "high" else f", collapsed at {row['collapsed_side']} rho"
    return STATUS[row["status"]] + side


def _interval(row: Row) -> str:
    if row["rho_c_low"] is None:
        return "-"
    kind = "bracket" if row["confidence"] is None else f"{100 * row['confidence']:g}%"
    return f"{interval(row, 3)} {kind}"


def _seeds(row: Row) -> str:
    texts = (
        f"{seed['seed']}: " + (STATUS[seed["status"]] if seed["rho_c"] is None else _number(seed["rho_c"]))
        for seed in row["seeds"]
    )
    return ", ".join(texts)


def _destination(arguments: argparse.Namespace) -> Path | None:
    """Where the table goes: never over a run's own table unless by that run's own settings."""
    if arguments.out is not None:
        return Path(arguments.out)
    own_settings = arguments.kl_threshold_nats is None and arguments.confidence is None
    if own_settings and Path(arguments.run).is_dir():
        return Path(arguments.run) / "thresholds.parquet"
    return None


def _rule(arguments: argparse.Namespace) -> Rule:
    """Return the rule of the run, or what is given in place of it."""
    nats, confidence = arguments.kl_threshold_nats, arguments.confidence
    if nats is not None and confidence is not None:
        return Rule(nats, confidence)
    own = read_rule(arguments.run)
    return Rule(own.kl_threshold_nats if nats is None else nats, confidence or own.confidence)


def _check_destination(path: Path) -> None:
    """Raise TableError if `path` holds anything else than a thresholds table."""
    if not path.exists():
        return
    try:
        table = (pq.read_schema(path).metadata or {}).get(b"table")
    except (pa.ArrowException, OSError):
        table = None
    if table != b"thresholds":
        raise TableError(f"{path} exists and is no thresholds table; give --out a new file, or remove it")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of nats")
    return value


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Recompute and print the thresholds of a run.")
    parser.add_argument("run", metavar="RUN", help="folder of a run, or a members.parquet")
    parser.add_argument(
        "--kl-threshold-nats",
        type=_positive,
        metavar="X",
        help="top-layer KL from which a member is active (default: the run's own)",
    )
    parser.add_argument(
        "--confidence",
        type=_fraction,
        metavar="C",
        help="nominal coverage of the interval of rho_c (default: the run's own)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where to write the table; needed to write one with other settings than the run's",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    arguments = _parser().parse_args(argv)
    try:
        members = read_members(arguments.run)
        table = thresholds_table(members, _rule(arguments))
        destination = _destination(arguments)
        if destination is not None:
            _check_destination(destination)
            write_table(table, destination)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(format_thresholds(table))
    if destination is None:
        print("not written; give --out FILE to keep this table")
    else:
        print(f"wrote {destination}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
