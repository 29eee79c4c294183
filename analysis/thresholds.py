"""The thresholds of a run and their comparisons: recompute both from `members.parquet`, and print them.

    python analysis/thresholds.py RUN [--active-from NAME=RULE ...] [--confidence C] [--format FORMAT]
                                      [--out FILE] [--write] [--csv FOLDER]
    python analysis/thresholds.py TABLE --control COLUMN --value COLUMN [--seed COLUMN] [--by COLUMN,...]
                                        [--scale linear|log] [--active-from RULE] [--collapsed low|high]
                                        [--confidence C] [--format FORMAT] [--out FILE] [--page FILE]
                                        [--figure FILE] [--next N]

RUN is the folder of a run or the path of a members.parquet. Nothing is written unless it is asked for: --out
writes the thresholds to a file, and --write those of the run's own rule into the run. Other rules say how
the critical value depends on the rule; a search puts its members where its own rule needs them, so that the
intervals of other rules are wider.

TABLE is a CSV or Parquet file of runs of any program, with a row per trained model: see
`analysis.foreign_command`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import TableError
from analysis.command import TABLE_FORMATS, run_script
from analysis.foreign_command import add_options, is_of_table, print_table_thresholds
from analysis.tables.replacing import user_path
from ouvae.declared import ORDER_PARAMETERS
from ouvae.declared.order_parameters import HALF_PLATEAU

if TYPE_CHECKING:
    import pyarrow as pa

    from analysis.statistics.rule import Rules
    from analysis.statistics.summary import Summary


def _rules(arguments: argparse.Namespace, members: "pa.Table") -> "Rules":
    """Return the rules of the run with the levels and the confidence that are given instead of its own.

    Members without a space.yaml tell their control parameter, and its scale is the declared one.
    """
    from analysis.statistics.rule import Rules, declared_scale
    from analysis.statistics.summary import read_rule

    levels = dict(arguments.active_from)
    try:
        rules = read_rule(arguments.run)
    except TableError:
        if not (levels and arguments.confidence and members.num_rows):
            raise
        control = members["control"][0].as_py()
        return Rules(levels, arguments.confidence, control=control, scale=declared_scale(control))
    if levels:
        rules = replace(rules, active_from=levels, half_widths={})
    return replace(rules, confidence=arguments.confidence or rules.confidence)


def _check_destination(path: Path) -> None:
    """Raise TableError if `path` holds anything else than a thresholds table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return
    try:
        table = (pq.read_schema(path).metadata or {}).get(b"table")
    except (pa.ArrowException, OSError):
        table = None
    if table != b"thresholds":
        raise TableError(f"{path} exists and is no thresholds table; give --out a new file, or remove it")


def _order_rule(text: str) -> tuple[str, float | str]:
    """Read NAME=RULE, or the RULE of a table, which has no name."""
    name, _, rule = text.rpartition("=")
    if name and name not in ORDER_PARAMETERS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(ORDER_PARAMETERS)}")
    if rule == HALF_PLATEAU:
        return name, rule
    try:
        value = float(rule)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        of_name = f" of {name}" if name else ""
        raise argparse.ArgumentTypeError(f"{rule!r}{of_name} is no positive number, and not {HALF_PLATEAU}")
    return name, value


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Print the thresholds of a run, or of a table of your own runs."
    )
    parser.add_argument(
        "run", type=user_path, metavar="RUN|TABLE", help="folder of a run, a members.parquet, or a table"
    )
    parser.add_argument(
        "--active-from",
        type=_order_rule,
        action="append",
        default=[],
        metavar="[NAME=]RULE",
        help="an order parameter, and the value from which a member is active, or half_plateau; several may "
        "be given (default: the run's own). Of a table: the RULE only (default: 0.1)",
    )
    parser.add_argument(
        "--confidence",
        type=_fraction,
        metavar="C",
        help="nominal coverage of the interval of rho_c (default: the run's own; of a table 0.95)",
    )
    parser.add_argument(
        "--format",
        choices=("text", *TABLE_FORMATS, "json"),
        default="text",
        help="of what is printed: text with comparisons and sensitivity; a table of the thresholds in latex, "
        "markdown or csv; or all numbers of both in json (default: text)",
    )
    parser.add_argument("--out", type=user_path, metavar="FILE", help="write the thresholds as parquet")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write thresholds.parquet and comparisons.parquet of the run anew, by its own rule",
    )
    parser.add_argument(
        "--csv",
        type=user_path,
        metavar="FOLDER",
        help="write members.csv, history.csv, thresholds.csv, comparisons.csv, and seeds.csv with the "
        "threshold of each seed, to FOLDER: a line of names, null is empty, what is of a layer has a column "
        "a layer (latent_1, ..., latent_top, kl_1_nats, ...), other lists are text such as 64,64",
    )
    add_options(parser)
    return parser


def _printed(name: str, members: "pa.Table", rules: "Rules", summary: "Summary") -> str:
    """Return what is printed of members, their rules and the summary in a format."""
    from analysis.text.lines import format_results, format_sensitivity
    from analysis.text.printed import FORMATS, printed_thresholds

    if name == "text":
        parts = format_results(summary.thresholds, summary.comparisons), format_sensitivity(members, rules)
        return "\n\n".join(filter(None, parts))
    if name == "json":
        tables = {"thresholds": summary.thresholds, "comparisons": summary.comparisons}
        return json.dumps({name: table.to_pylist() for name, table in tables.items()}, default=str)
    return FORMATS[name](printed_thresholds(summary.thresholds.to_pylist()))


def _recompute(arguments: argparse.Namespace) -> list[Path]:
    """Print the thresholds of a run or a table, and return the paths of what was to be written too."""
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.statistics.summary import Summary
    from analysis.tables.files import read_history, read_members, write_table
    from analysis.tables.flat import seed_thresholds, write_csv

    if is_of_table(arguments):
        return print_table_thresholds(arguments)
    run = Path(arguments.run)
    if any(not name for name, _ in arguments.active_from):
        raise TableError("--active-from of a run needs the order parameter: --active-from kl_top=0.1")
    if arguments.write and (arguments.active_from or arguments.confidence is not None or not run.is_dir()):
        raise TableError(
            "--write is for the run's own rule and its folder; give --out FILE to keep this table"
        )
    members = read_members(run)
    rules = _rules(arguments, members)
    summary = Summary(members, rules)
    tables = {"thresholds": summary.thresholds, "comparisons": summary.comparisons}
    written = []
    if arguments.csv is not None:
        seeds = seed_thresholds(summary.thresholds)
        before = {"members": members, "history": read_history(run)}
        written += write_csv({**before, **tables, "seeds": seeds}, arguments.csv)
    if arguments.out is not None:
        _check_destination(Path(arguments.out))
        write_table(summary.thresholds, arguments.out)
        written.append(Path(arguments.out))
    if arguments.write:
        for name, table in tables.items():
            write_table(table, run / f"{name}.parquet")
            written.append(run / f"{name}.parquet")
    print(_printed(arguments.format, members, rules, summary))
    return written


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    return run_script(_parser(), argv, _recompute)


if __name__ == "__main__":
    sys.exit(main())
