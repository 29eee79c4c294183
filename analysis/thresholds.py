"""The thresholds of a run and their comparisons: recompute both from `members.parquet`, and print them.

    python analysis/thresholds.py RUN [--active-from NAME=RULE ...] [--confidence C] [--out FILE]
                                      [--csv FOLDER]

RUN is the folder of a run or the path of a members.parquet. With the settings of the run, the folder's
thresholds.parquet and comparisons.parquet are rewritten. With rules or a confidence of one's own, or given a
file in place of a folder, they are only printed, unless --out says where to write the thresholds. Another
table says how rho_c depends on the rule; a search puts its members where its own rule needs them, so that
the intervals of other rules are wider.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import TableError
from analysis.command import run_script
from analysis.statistics.rule import Rules
from analysis.statistics.summary import Summary, read_rule
from analysis.tables.files import read_history, read_members, write_table
from analysis.tables.flat import seed_thresholds, write_csv
from analysis.tables.replacing import user_path
from analysis.text.lines import format_results, format_sensitivity
from ouvae.declared import ORDER_PARAMETERS
from ouvae.declared.order_parameters import HALF_PLATEAU


def _destination(arguments: argparse.Namespace) -> Path | None:
    """Where the table goes: never over a run's own table unless by that run's own settings."""
    if arguments.out is not None:
        return Path(arguments.out)
    by_run = not arguments.active_from and arguments.confidence is None
    if by_run and Path(arguments.run).is_dir():
        return Path(arguments.run) / "thresholds.parquet"
    return None


def _rule(arguments: argparse.Namespace) -> Rules:
    """Return the rule of the run, or what is given in place of it."""
    levels = dict(arguments.active_from)
    try:
        rules = read_rule(arguments.run)
    except TableError:
        if not levels or arguments.confidence is None:
            raise
        return Rules(levels, arguments.confidence)
    confidence = arguments.confidence or rules.confidence
    half_widths = {} if levels else rules.half_widths
    return Rules(levels or rules.active_from, confidence, half_widths, rules.margin)


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


def _order_rule(text: str) -> tuple[str, float | str]:
    name, _, rule = text.partition("=")
    if name not in ORDER_PARAMETERS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(ORDER_PARAMETERS)}")
    if rule == HALF_PLATEAU:
        return name, rule
    try:
        value = float(rule)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{rule!r} of {name} is no positive number, and not {HALF_PLATEAU}")
    return name, value


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Recompute and print the thresholds of a run.")
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of a run, or a members.parquet")
    parser.add_argument(
        "--active-from",
        type=_order_rule,
        action="append",
        default=[],
        metavar="NAME=RULE",
        help="an order parameter, and the value from which a member is active, or half_plateau; several may "
        "be given (default: the run's own)",
    )
    parser.add_argument(
        "--confidence",
        type=_fraction,
        metavar="C",
        help="nominal coverage of the interval of rho_c (default: the run's own)",
    )
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="FILE",
        help="where to write the table; needed to write one with other settings than the run's",
    )
    parser.add_argument(
        "--csv",
        type=user_path,
        metavar="FOLDER",
        help="write members.csv, history.csv, thresholds.csv, comparisons.csv, and seeds.csv with the "
        "threshold of each seed, to FOLDER: a line of names, null is empty, what is of a layer has a column "
        "a layer (latent_1, ..., latent_top, kl_1_nats, ...), other lists are text such as 64,64",
    )
    return parser


def _recompute(arguments: argparse.Namespace) -> list[Path]:
    """Write and print the tables of a run; return the paths of those that are written."""
    members = read_members(arguments.run)
    rule = _rule(arguments)
    summary = Summary(members, rule)
    thresholds, comparisons = summary.thresholds, summary.comparisons
    written = []
    if arguments.csv is not None:
        history, seeds = read_history(arguments.run), seed_thresholds(thresholds)
        tables = {
            "members": members,
            "history": history,
            "thresholds": thresholds,
            "comparisons": comparisons,
        }
        written += write_csv(tables | {"seeds": seeds}, arguments.csv)
    destination = _destination(arguments)
    if destination is not None:
        _check_destination(destination)
        write_table(thresholds, destination)
        if arguments.out is None:
            write_table(comparisons, destination.with_name("comparisons.parquet"))
        written.append(destination)
    print(format_results(thresholds, comparisons))
    if sensitivity := format_sensitivity(members, rule):
        print("\n" + sensitivity)
    if not written:
        print("not written; give --out FILE to keep this table")
    return written


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    return run_script(_parser(), argv, _recompute)


if __name__ == "__main__":
    sys.exit(main())
