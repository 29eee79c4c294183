"""Measure coverage, members and bias of the search `locate`, and of other methods.

python benchmarks/thresholds.py
python benchmarks/thresholds.py --peers --runs 100
python benchmarks/thresholds.py --peers grid TPE --settings 0.08:0.05 --families normal skewed-left
python benchmarks/thresholds.py --comparisons
python benchmarks/thresholds.py --comparisons 0 0.05 --margin 0.05
python benchmarks/thresholds.py --replay
python benchmarks/thresholds.py --replay RUN

The first command simulates the search `locate` and its estimator, as sweeps use them, on realisations with a
known distribution of thresholds (`threshold_realisations`). A setting is the scatter of the thresholds and
the half-width of the interval at which a search stops. The simulation includes the stopping rule. Each
setting has a table with a line for each family of distributions:

coverage   share of runs whose 95 % interval contains the true median, with its standard error.
members    median number of trained members, and its 90th percentile over runs.
bias       mean of the estimate minus the true median, with its standard error.

`pooled` is the line of all runs; its members are the median over families of the families' medians.

With `--peers`, a second table for each setting compares other methods on the same realisations.
`threshold_peers` describes how each method searches, and which interval its user would form. A search stops
at `--most` members; `>` marks a method that stops there in half of its runs. Compare numbers of members only
between methods with similar coverage.

With `--comparisons`, the searches of two cells, whose medians differ by a known number, continue until their
comparison is decided (`threshold_comparisons`). A table for each difference has the share of each verdict,
the share of intervals that contain the true difference, and the number of members of both cells.

With `--replay`, searches are served from a table of trained members instead of a simulation
(`threshold_replay`). The table needs each seed at each value of a fine grid of rho. The default table,
`replayed.parquet`, holds the members of a run of the space `replayed.yaml`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis import TableError
from analysis.text.words import duration
from benchmarks.threshold_comparisons import Compared, comparison, print_comparisons
from benchmarks.threshold_peers import PEERS
from benchmarks.threshold_realisations import CONFIDENCE, FAMILIES, Drawn, Found, Way, locate
from benchmarks.threshold_replay import replays, trained_cells
from benchmarks.threshold_tables import LOCATE, Run, Setting, print_located, print_peers
from ouvae.declared import ORDER_PARAMETERS
from sweeps.machine.cpus import usable_cpus

Made = TypeVar("Made", Run, Compared)

WAYS: Mapping[str, Way] = {LOCATE: locate, **PEERS}
SETTINGS = (Setting(0.08, 0.05), Setting(0.08, 0.02), Setting(0.03, 0.01))
DIFFERENCES = (0.0, 0.05, 0.1)
RUNS, COMPARISONS, REPLAYS = 400, 40, 200
MOST, MOST_COMPARED = 2000, 240
REPLAYED = Path(__file__).with_name("replayed.parquet")
PROGRESS_SECONDS = 30.0


def simulate(setting: Setting, ways: Sequence[str], most: int, seed: int, family: str, run: int) -> Run:
    """Run each method on a fresh copy of the same realisations."""
    key = [seed, list(FAMILIES).index(family), run]
    results: dict[str, Found] = {}
    for name in ways:
        drawn = Drawn(FAMILIES[family], setting.scatter, key)
        results[name] = WAYS[name](drawn, setting.half_width, most)
    return Run(drawn.median, results)


def simulated(
    task: Callable[[str, int], Made], families: Sequence[str], runs: int, workers: int, label: str
) -> dict[str, list[Made]]:
    """Return the runs of each family, and print progress. One worker means this process."""
    cases = [(family, run) for run in range(runs) for family in families]
    by_family: dict[str, list[Made]] = {family: [] for family in families}
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        made = (map if pool is None else pool.map)(task, *zip(*cases, strict=True))
        for (family, _), run in zip(cases, followed(made, len(cases), label), strict=True):
            by_family[family].append(run)
    return by_family


def followed(made: Iterable[Made], total: int, label: str) -> Iterator[Made]:
    """Yield the runs as they finish, and print from time to time how many are done and the time left."""
    started = printed = time.monotonic()
    for done, run in enumerate(made, 1):
        yield run
        now = time.monotonic()
        if now - printed >= PROGRESS_SECONDS:
            printed = now
            left = duration((now - started) / done * (total - done))
            print(f"{label}: {done} of {total} runs, {left} left", file=sys.stderr, flush=True)


def print_replays(path: Path, order_parameter: str, half_width: float, runs: int, seed: int) -> None:
    """Print, for each cell of a table, how many replays have the median of all seeds in their interval."""
    print(f"{path}: {runs} replays of {order_parameter}, half-width {half_width:g}")
    for trained in trained_cells(path, order_parameter):
        results = list(replays(trained, half_width, runs, seed))
        median = trained.median
        covered = sum(result.covers(median) for result in results)
        reached = sum(result.is_reached for result in results)
        print(
            f"{trained.name}: {len(trained.seeds)} seeds at {len(trained.rho)} values of rho, median "
            f"{median:.4f}; in the interval of {covered} ({covered / runs:.0%}); members "
            f"{np.median([result.members for result in results]):.0f}; half-width reached in {reached}",
            flush=True,
        )


# The command


def setting(text: str) -> Setting:
    """Read SCATTER:HALF_WIDTH."""
    scatter, _, half_width = text.partition(":")
    return Setting(fraction(scatter), fraction(half_width))


def fraction(text: str) -> float:
    """Read a number between 0 and 1."""
    if not 0 < float(text) < 1:
        raise ValueError("it must lie between 0 and 1")
    return float(text)


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    if int(text) < 1:
        raise ValueError("it must be at least 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(prog="thresholds.py", description=(__doc__ or "").split("\n", 1)[0])
    add = result.add_argument
    runs = f"runs a family, default {RUNS}, of comparisons {COMPARISONS}; of a cell, {REPLAYS} replays"
    add("--runs", type=count, metavar="N", help=runs)
    add("--seed", type=int, default=0, metavar="N", help="of the dice, default 0")
    shown = " ".join(f"{case.scatter:g}:{case.half_width:g}" for case in SETTINGS)
    add(
        "--settings",
        type=setting,
        nargs="+",
        metavar="SCATTER:HALF_WIDTH",
        help=f"default {shown}; of comparisons the first",
    )
    add(
        "--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES), metavar="FAMILY", help="some"
    )
    add("--peers", nargs="*", choices=list(PEERS), metavar="PEER", help=f"of {', '.join(PEERS)}; default all")
    most = f"most members of a search, default {MOST}, where two are compared {MOST_COMPARED}"
    add("--most", type=count, metavar="N", help=most)
    add("--workers", type=count, default=usable_cpus(), metavar="N", help="processes")
    shown = " ".join(f"{difference:g}" for difference in DIFFERENCES)
    add("--comparisons", type=float, nargs="*", metavar="DIFFERENCE", help=f"of two medians, default {shown}")
    add("--margin", type=fraction, metavar="M", help="of being alike in comparisons; default none")
    shown = f"folder of a run, or a members.parquet, default {REPLAYED.name}"
    add("--replay", type=Path, nargs="?", const=REPLAYED, metavar="RUN", help=shown)
    add("--half-width", type=fraction, default=0.05, metavar="H", help="of the replays, default 0.05")
    names = list(ORDER_PARAMETERS)
    add("--order-parameter", default=names[0], choices=names, help=f"of the replays, default {names[0]}")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = parser().parse_args(arguments)
    if args.replay:
        try:
            runs = args.runs or REPLAYS
            print_replays(args.replay, args.order_parameter, args.half_width, runs, args.seed)
        except (TableError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    elif args.comparisons is not None:
        compare_cells(args)
    else:
        locate_cells(args)
    return 0


def locate_cells(args: argparse.Namespace) -> None:
    """Simulate `locate` and the chosen peers, and print a table for each setting."""
    runs, most = args.runs or RUNS, args.most or MOST
    peers = [] if args.peers is None else args.peers or list(PEERS)
    ways = [LOCATE, *peers]
    print(f"{runs} runs a family, intervals of {CONFIDENCE:.0%}, seed {args.seed}")
    for case in args.settings or SETTINGS:
        task = partial(simulate, case, ways, most, args.seed)
        by_family = simulated(task, args.families, runs, args.workers, str(case))
        print_located(case, by_family, most)
        if peers:
            print_peers(case, by_family, ways, most)


def compare_cells(args: argparse.Namespace) -> None:
    """Simulate comparisons of two cells, and print a table for each difference."""
    runs, most = args.runs or COMPARISONS, args.most or MOST_COMPARED
    alike = "no margin" if args.margin is None else f"alike within {args.margin:g}"
    print(f"{runs} runs a family, at most {most} members a cell, {alike}, seed {args.seed}")
    for case, difference in product(args.settings or SETTINGS[:1], args.comparisons or DIFFERENCES):
        label = f"{case}, difference {difference:g}"
        task = partial(comparison, case, difference, args.margin, most, args.seed)
        print_comparisons(label, simulated(task, args.families, runs, args.workers, label))


if __name__ == "__main__":
    sys.exit(main())
