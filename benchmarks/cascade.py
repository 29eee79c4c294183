"""Compare the cascade of collapses on real data with that of the linear Gaussian VAE.

python sweeps/phase_transition.py --space cascade --set "seeds=[1000,1001,1002,1003]"
python benchmarks/cascade.py runs/cascade-beta

A line per cell and unit of the top layer, the unit with the largest KL first.

exact     critical value of the linear Gaussian VAE, from the k-th eigenvalue of the training covariance.
estimate  critical value of the cell with its interval, and whether the interval contains the exact value.
law       KL of the unit over that of the linear law, ln(exact / value) / 2: the slope of a fit through 0 to
          the members of a seed below the exact value, mean over seeds with a 95 % interval.
images    the same over the law for the images on which the KL is measured. Their variance along the
          eigenvector is r times the eigenvalue, which adds (r - 1) (1 - value / exact) / 2 to the law.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis.results import Results
from analysis.statistics.censored import Array
from analysis.statistics.intervals import student
from analysis.tables.schema import Row
from analysis.text.words import NOTHING, aligned
from ouvae.data import load
from ouvae.declared import ORDER_PARAMETERS
from ouvae.training.evaluation.information import INFORMATION_IMAGES


def variance_ratios(train: NDArray[np.floating], images: NDArray[np.floating]) -> Array:
    """Return the variance of images, [N, D], along each eigenvector of training data, over the eigenvalue.

    The eigenvectors are those of the training covariance, the largest eigenvalue first; deviations are from
    the training mean.
    """
    mean = train.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(train.T.astype(np.float64), bias=True))
    ratios: Array = (((images - mean) @ vectors) ** 2).mean(0) / values
    return ratios[::-1]


def slopes(members: Sequence[Row], rank: int, exact: float, ratio: float) -> list[float]:
    """Return the slope of a unit's KL over its law, of each seed.

    Args:
        members: of a cell.
        rank: of the unit, from 1.
        exact: its critical value.
        ratio: variance of the images along its eigenvector, over the eigenvalue; 1 is the law itself.
    """
    points: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    order = ORDER_PARAMETERS[f"kl_top_unit_{rank}"]
    for member in members:
        share, kl = member["value"] / exact, order.value(member)
        if share < 1 and kl is not None:
            points[member["seed"]].append(((-np.log(share) + (ratio - 1) * (1 - share)) / 2, kl))
    fits = [np.array(of_seed).T for of_seed in points.values()]
    return [float(law @ kl / (law @ law)) for law, kl in fits]


def interval(values: Sequence[float]) -> str:
    """Return the mean of values with the half-width of its 95 % interval, if it has one."""
    mean = student(values)
    if mean is None:
        return NOTHING
    return f"{mean.mean:.2f}" + (f" ± {mean.high - mean.mean:.2f}" if mean.high is not None else "")


def lines(run: Results, ratios: Array) -> list[list[str]]:
    """Return the table as lines of texts under a head."""
    thresholds = run.thresholds.to_pylist()
    exact = {
        row["order_parameter"]: row["critical_exact"]
        for row in thresholds
        if row["critical_exact"] is not None
    }
    members: defaultdict[str, list[Row]] = defaultdict(list)
    for member in run.members.filter(pc.equal(run.members["status"], "completed")).to_pylist():
        members[member["cell_id"]].append(member)
    table = [["cell", "unit", "exact", "estimate", "interval", "inside", "law", "images"]]
    for row in thresholds:
        rank, value = ORDER_PARAMETERS[row["order_parameter"]].rank, exact.get(row["order_parameter"])
        if rank is None or value is None:
            continue
        of_cell = members[row["cell_id"]]
        laws = [interval(slopes(of_cell, rank, value, ratio)) for ratio in (1.0, ratios[rank - 1])]
        table.append([row["cell"], str(rank), f"{value:.3f}", *_estimate(row, value), *laws])
    return table


def _estimate(row: Mapping[str, float | None], exact: float) -> list[str]:
    estimate, low, high = (row[f"critical_{name}"] for name in ("value", "low", "high"))
    ends = [f"{end:.2f}" if end is not None else "" for end in (low, high)]
    inside = (low is None or low <= exact) and (high is None or exact <= high)
    text = NOTHING if estimate is None else f"{estimate:.2f}"
    return [text, f"[{', '.join(ends)}]", "yes" if inside else "no"]


def main() -> None:
    """Print the table of a run."""
    parser = argparse.ArgumentParser(prog="cascade.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("run", type=Path, help="folder of a sweep of the space cascade")
    run = Results(parser.parse_args().run)
    data = load(run.members["dataset"][0].as_py())
    print("\n".join(aligned(lines(run, variance_ratios(data.train, data.validation[:INFORMATION_IMAGES])))))


if __name__ == "__main__":
    main()
