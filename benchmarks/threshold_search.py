"""Measure the coverage of `ThresholdSearch` on a log scale: in the middle of the range, and near its end.

python benchmarks/threshold_search.py
python benchmarks/threshold_search.py --runs 400 --half-width 0.02

Realisations are those of `threshold_realisations`, at powers of ten: the range is 1 to 100, and thresholds
scatter by 0.08 decades. A line for each part of the range has the share of runs whose 95 % interval contains
the true median, with its standard error, and the median number of members. The simulation includes the
stopping rule.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis import ThresholdSearch
from benchmarks.threshold_realisations import CONFIDENCE, FAMILIES, Drawn, Found
from sweeps.plan.cells import Point

SCATTER = 0.08
"""Standard deviation of the thresholds, in decades."""

PARTS = {"middle": (0.5, 1.5), "end": (1.8, 1.97)}
"""Places between which the median of a run is drawn."""

MOST = 2000


def searched(
    family: str, part: str, run: int, half_width: float, confidence: float = CONFIDENCE
) -> tuple[Found, float]:
    """Return the result of a search for a median, in places, and the median."""
    key = [list(FAMILIES).index(family), list(PARTS).index(part), run]
    median = float(np.random.default_rng(key).uniform(*PARTS[part]))
    realisations = Drawn(FAMILIES[family], SCATTER, [*key, 1], median)
    search = ThresholdSearch(
        1, 100, scale="log", half_width=half_width, max_members=MOST, confidence=confidence
    )
    while members := search.ask():
        for value, seed in members:
            search.tell(value, seed, realisations.train(Point(float(np.log10(value)), seed)))
    low, high = search.threshold.critical_low, search.threshold.critical_high
    ends = -np.inf if low is None else np.log10(low), np.inf if high is None else np.log10(high)
    return Found(realisations.members, realisations.members < MOST, *ends), median


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each part of the range."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=60, help="runs of each family, default 60")
    parser.add_argument("--half-width", type=float, default=0.05, help="in decades, default 0.05")
    args = parser.parse_args(arguments)
    for part in PARTS:
        runs = [
            searched(family, part, run, args.half_width) for family in FAMILIES for run in range(args.runs)
        ]
        share = np.mean([found.covers(median) for found, median in runs])
        error = np.sqrt(share * (1 - share) / len(runs))
        members = np.median([found.members for found, _ in runs])
        print(f"{part}: {share:.3f} ± {error:.3f} of {len(runs)} runs, {members:.0f} members", flush=True)


if __name__ == "__main__":
    main()
