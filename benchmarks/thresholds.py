"""Critical thresholds: coverage, members and bias of the search `locate`, and what others need.

python benchmarks/thresholds.py
python benchmarks/thresholds.py --peers --runs 100
python benchmarks/thresholds.py --peers grid TPE --settings 0.08:0.05 --families normal skewed-left
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

With `--replay`, searches are served from a table of trained members in place of a simulation
(`threshold_replay`): each seed at each value of a fine grid of rho, as in the space `replayed.yaml`.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis import TableError
from benchmarks.threshold_peers import PEERS
from benchmarks.threshold_realisations import CONFIDENCE, FAMILIES, Drawn, Found, Way, locate
from benchmarks.threshold_replay import replays, trained_cells
from benchmarks.threshold_tables import LOCATE, Run, Setting, print_located, print_peers
from ouvae.declared import ORDER_PARAMETERS
from sweeps.progress import duration

WAYS: Mapping[str, Way] = {LOCATE: locate, **PEERS}
SETTINGS = (Setting(0.08, 0.05), Setting(0.08, 0.02), Setting(0.03, 0.01))
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
    task: Callable[[str, int], Run], families: Sequence[str], runs: int, workers: int, label: str
) -> dict[str, list[Run]]:
    """Return the runs of each family, made in so many processes (one: in this), and say how far that is."""
    places = [(family, run) for run in range(runs) for family in families]
    by_family: dict[str, list[Run]] = {family: [] for family in families}
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        made = (map if pool is None else pool.map)(task, *zip(*places, strict=True))
        for (family, _), run in zip(places, followed(made, len(places), label), strict=True):
            by_family[family].append(run)
    return by_family


def followed(made: Iterable[Run], total: int, label: str) -> Iterator[Run]:
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
    add("--runs", type=count, metavar="N", help="runs a family, default 400; replays of a cell, default 200")
    add("--seed", type=int, default=0, metavar="N", help="of the dice, default 0")
    shown = " ".join(f"{one.scatter:g}:{one.half_width:g}" for one in SETTINGS)
    add(
        "--settings",
        type=setting,
        nargs="+",
        default=SETTINGS,
        metavar="SCATTER:HALF_WIDTH",
        help=f"default {shown}",
    )
    add(
        "--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES), metavar="FAMILY", help="some"
    )
    add("--peers", nargs="*", choices=list(PEERS), metavar="PEER", help=f"of {', '.join(PEERS)}; default all")
    add("--most", type=count, default=2000, metavar="N", help="most members of a search, default 2000")
    add("--workers", type=count, default=len(os.sched_getaffinity(0)), metavar="N", help="processes")
    add("--replay", type=Path, metavar="RUN", help="folder of a run, or a members.parquet")
    add("--half-width", type=fraction, default=0.05, metavar="H", help="of the replays, default 0.05")
    names = list(ORDER_PARAMETERS)
    add("--order-parameter", default=names[0], choices=names, help=f"of the replays, default {names[0]}")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = parser().parse_args(arguments)
    if given.replay:
        try:
            runs = given.runs or 200
            print_replays(given.replay, given.order_parameter, given.half_width, runs, given.seed)
        except (TableError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0
    runs = given.runs or 400
    peers = [] if given.peers is None else given.peers or list(PEERS)
    ways = [LOCATE, *peers]
    print(f"{runs} runs a family, intervals of {CONFIDENCE:.0%}, seed {given.seed}")
    for one in given.settings:
        task = partial(simulate, one, ways, given.most, given.seed)
        by_family = simulated(task, given.families, runs, given.workers, str(one))
        print_located(one, by_family, given.most)
        if peers:
            print_peers(one, by_family, ways, given.most)
    return 0


if __name__ == "__main__":
    sys.exit(main())
