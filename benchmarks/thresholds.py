"""Critical thresholds: coverage, members and bias of the search `locate`, and what others need.

python benchmarks/thresholds.py
python benchmarks/thresholds.py --peers --runs 100
python benchmarks/thresholds.py --peers grid TPE --settings 0.08:0.05 --families normal skewed-left
python benchmarks/thresholds.py --comparisons
python benchmarks/thresholds.py --comparisons 0 0.05 --margin 0.05
python benchmarks/thresholds.py --replay
python benchmarks/thresholds.py --replay RUN

The first simulates the search `locate` and its estimator, as sweeps use them, on realisations whose
distribution of thresholds is known (`threshold_realisations`), for each setting: the scatter of the
thresholds, and the half-width of the interval at which a search stops. Stopping on the interval is part of
what is simulated. A line a family of distributions:

coverage   share of runs whose 95 % interval has the true median in it, with its standard error.
members    median over runs of the members trained, and the value below which nine runs of ten lie.
bias       mean of the estimate minus the true median, with its standard error.

`pooled` takes the runs of all families together; its members are the median over families of their medians.

With `--peers`, a table a setting says the same of others, on the same realisations: `threshold_peers` says
how each searches, and which interval its user forms. Members beyond `--most` are not trained: `>` says so,
where this is so of half of the runs. Members are worth comparing only where the coverage is alike.

With `--comparisons`, two cells whose medians differ by a known number go on until their comparison is decided
(`threshold_comparisons`), and a table a difference says which verdicts came of it, in how many the interval
has the true difference in it, and how many members both cells took.

With `--replay`, searches are served from a table of trained members in place of a simulation
(`threshold_replay`): each seed at each value of a fine grid of rho. `replayed.parquet` is the one that is
there, the members of a run of the space `replayed.yaml`.
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
    """Run each way on realisations of its own, which are the same for all of them."""
    key = [seed, list(FAMILIES).index(family), run]
    found: dict[str, Found] = {}
    for name in ways:
        drawn = Drawn(FAMILIES[family], setting.scatter, key)
        found[name] = WAYS[name](drawn, setting.half_width, most)
    return Run(drawn.median, found)


def simulated(
    task: Callable[[str, int], Made], families: Sequence[str], runs: int, workers: int, label: str
) -> dict[str, list[Made]]:
    """Return the runs of each family, made in so many processes (one: in this), and say how far that is."""
    places = [(family, run) for run in range(runs) for family in families]
    by_family: dict[str, list[Made]] = {family: [] for family in families}
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        made = (map if pool is None else pool.map)(task, *zip(*places, strict=True))
        for (family, _), run in zip(places, followed(made, len(places), label), strict=True):
            by_family[family].append(run)
    return by_family


def followed(made: Iterable[Made], total: int, label: str) -> Iterator[Made]:
    """Yield what is made, and say now and then how much of it there is and how long the rest takes."""
    started = said = time.monotonic()
    for done, one in enumerate(made, 1):
        yield one
        now = time.monotonic()
        if now - said >= PROGRESS_SECONDS:
            said = now
            left = duration((now - started) / done * (total - done))
            print(f"{label}: {done} of {total} runs, {left} left", file=sys.stderr, flush=True)


def print_replays(path: Path, order_parameter: str, half_width: float, runs: int, seed: int) -> None:
    """Print, for each cell of a table, in how many replays the interval has the median of all seeds in it."""
    print(f"{path}: {runs} replays of {order_parameter}, half-width {half_width:g}")
    for trained in trained_cells(path, order_parameter):
        found = list(replays(trained, half_width, runs, seed))
        median = trained.median
        covered = sum(one.covers(median) for one in found)
        reached = sum(one.is_reached for one in found)
        print(
            f"{trained.name}: {len(trained.seeds)} seeds at {len(trained.rho)} values of rho, median "
            f"{median:.4f}; in the interval of {covered} ({covered / runs:.0%}); members "
            f"{np.median([one.members for one in found]):.0f}; half-width reached in {reached}",
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
    """Read a whole number from 1 on."""
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
    shown = " ".join(f"{one.scatter:g}:{one.half_width:g}" for one in SETTINGS)
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
    shown = " ".join(f"{one:g}" for one in DIFFERENCES)
    add(
        "--comparisons",
        type=float,
        nargs="*",
        metavar="DIFFERENCE",
        help=f"of two medians, default {shown}",
    )
    add("--margin", type=fraction, metavar="M", help="of being alike in comparisons; default none")
    shown = f"folder of a run, or a members.parquet, default {REPLAYED.name}"
    add("--replay", type=Path, nargs="?", const=REPLAYED, metavar="RUN", help=shown)
    add("--half-width", type=fraction, default=0.05, metavar="H", help="of the replays, default 0.05")
    names = list(ORDER_PARAMETERS)
    add("--order-parameter", default=names[0], choices=names, help=f"of the replays, default {names[0]}")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = parser().parse_args(arguments)
    if given.replay:
        try:
            runs = given.runs or REPLAYS
            print_replays(given.replay, given.order_parameter, given.half_width, runs, given.seed)
        except (TableError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    elif given.comparisons is not None:
        compare_cells(given)
    else:
        locate_cells(given)
    return 0


def locate_cells(given: argparse.Namespace) -> None:
    """Simulate `locate`, and its peers where they are asked for, and print what came of it."""
    runs, most = given.runs or RUNS, given.most or MOST
    peers = [] if given.peers is None else given.peers or list(PEERS)
    ways = [LOCATE, *peers]
    print(f"{runs} runs a family, intervals of {CONFIDENCE:.0%}, seed {given.seed}")
    for one in given.settings or SETTINGS:
        task = partial(simulate, one, ways, most, given.seed)
        by_family = simulated(task, given.families, runs, given.workers, str(one))
        print_located(one, by_family, most)
        if peers:
            print_peers(one, by_family, ways, most)


def compare_cells(given: argparse.Namespace) -> None:
    """Simulate comparisons of two cells, and print what came of them."""
    runs, most = given.runs or COMPARISONS, given.most or MOST_COMPARED
    alike = "no margin" if given.margin is None else f"alike within {given.margin:g}"
    print(f"{runs} runs a family, at most {most} members a cell, {alike}, seed {given.seed}")
    for one, difference in product(given.settings or SETTINGS[:1], given.comparisons or DIFFERENCES):
        label = f"{one}, difference {difference:g}"
        task = partial(comparison, one, difference, given.margin, most, given.seed)
        print_comparisons(label, simulated(task, given.families, runs, given.workers, label))


if __name__ == "__main__":
    sys.exit(main())
