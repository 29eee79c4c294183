"""The claims of figures 4 to 6, decided by runs, and the numbers that the figures are drawn from."""

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise, product
from typing import Any

import numpy as np
import pyarrow as pa

from analysis import TableError
from analysis.appendix.budget import unequal
from analysis.appendix.claims import Claim, ClaimsOf, Evidence, Region
from analysis.appendix.published import FIGURES
from analysis.appendix.runs import PaperRun
from analysis.estimate import ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION, Array
from analysis.intervals import Interval, ratio, ratio_of_groups, welch_margin
from analysis.tables import CellCurves, curves, thresholds_table

Row = dict[str, Any]
VarianceCurves = dict[tuple[str, float], dict[int, tuple[Array, Array, Array]]]

STEEPNESS_WINDOW = 0.1
"""Over how much of rho a transition's steepness is taken: our choice, no less than the brackets at `quick`.
The rise within a bracket would depend on where in it the threshold happens to lie."""


def gradient_variances(history: pa.Table) -> VarianceCurves:
    """Return `{(cell_id, rho): {seed: (steps, variance, variance smoothed)}}`, each array by step.

    `rho` is that of the member in training; what it is measured with is the column `gradient_rho` of the
    members. Evaluations are left out unless both variances are there and positive.
    """
    points: dict[tuple[str, float], dict[int, list[tuple[float, float, float]]]] = {}
    columns = ["cell_id", "rho", "seed", "step", "gradient_variance", "gradient_variance_smoothed"]
    for row in history.select(columns).to_pylist():
        plain, smoothed = row["gradient_variance"], row["gradient_variance_smoothed"]
        if plain is None or smoothed is None or not (plain > 0 and smoothed > 0):
            continue
        seeds = points.setdefault((row["cell_id"], row["rho"]), {})
        seeds.setdefault(row["seed"], []).append((row["step"], plain, smoothed))
    found: VarianceCurves = {}
    for key, by_seed in points.items():
        for seed, values in by_seed.items():
            steps, plain, smoothed = np.array(sorted(values), dtype=np.float64).T
            found.setdefault(key, {})[seed] = (steps, plain, smoothed)
    return found


def figure4(run: PaperRun) -> tuple[Claim, ...]:
    """Smoothed over plain gradient variance: geometric means over training, paired by seed."""
    evidence = []
    if run.history is not None:
        for (cell_id, rho), seeds in gradient_variances(run.history).items():
            plain, smoothed = (
                {seed: float(np.exp(np.log(values[column]).mean())) for seed, values in seeds.items()}
                for column in (1, 2)
            )
            what = f"variance with smoothing divided by that without, {measured_at(run, cell_id, rho)}"
            evidence.append(Evidence(what, ratio(smoothed, plain), Region(high=1)))
    return (_claim("figure4", evidence, run),)


def measured_at(run: PaperRun, cell_id: str, rho: float) -> str:
    """Return what a gradient variance was measured of: the cell, its rho, and the smoothing's rho."""
    for row in run.rows:
        if (row["cell_id"], row["rho"]) == (cell_id, rho):
            trained = "without smoothing" if rho == 1 else f"with ρ = {rho:g}"
            return f"{row['cell']} trained {trained}, measured with ρ = {row['gradient_rho']:g}"
    raise TableError(
        f"the history is of another run than the members: it has the cell {cell_id} at rho {rho:g}"
    )


def figure5(run: PaperRun) -> tuple[Claim, ...]:
    """Differences of rho_c between neighbouring latent sizes of a depth, smaller less larger."""
    evidence = []
    if run.members is not None:
        rows, swept = thresholds(run), _swept(run)
        for depth in sorted({row["depth"] for row in rows}):
            own = sorted((row for row in rows if row["depth"] == depth), key=lambda row: sum(row["latents"]))
            evidence += [_falls(run, small, large, swept) for small, large in pairwise(own)]
    return (_claim("figure5", evidence, run),)


def figure6(run: PaperRun) -> tuple[Claim, ...]:
    """Steepness of the convolutional transition over that of the MLP.

    Geometric means of `steepness` over seeds are compared, between cells of the same latents, or between
    all cells of the two architectures where no latents are shared.
    """
    evidence = []
    if run.members is not None:
        rows, by_cell = thresholds(run), curves(run.members)
        mlp, conv = ([row for row in rows if row["architecture"] == name] for name in ("mlp", "conv"))
        pairs = list(product(conv, mlp))
        same = [(one, other) for one, other in pairs if one["latents"] == other["latents"]]
        evidence = [_steeper(run, one, other, by_cell) for one, other in same or pairs]
    return (_claim("figure6", evidence, run),)


def _claim(name: str, evidence: Iterable[Evidence], run: PaperRun) -> Claim:
    return Claim(name, FIGURES[name].claim, "stated in the appendix", tuple(evidence), run.missing)


def thresholds(run: PaperRun) -> list[Row]:
    """Return the rows of the thresholds table of a run, computed from its members."""
    rows: list[Row] = thresholds_table(run.members).to_pylist()
    return rows


def steepness(row: Row, seeds: Mapping[int, tuple[Array, Array]]) -> list[float]:
    """Return how steeply the top-layer KL of each seed rises at its threshold, in nats per unit of rho.

    It is the mean slope over `STEEPNESS_WINDOW` of rho, from rho_c into the active side, of the curve with
    straight lines between the values that were trained. `seeds` are the curves of the cell of `row` as in
    `analysis.tables.curves`. Seeds without a transition, or with no values that far, are left out.
    """
    inwards = -STEEPNESS_WINDOW if row["collapsed_side"] == "high" else STEEPNESS_WINDOW
    found = []
    for seed in row["seeds"]:
        if seed["status"] != TRANSITION:
            continue
        rho, kl = seeds[seed["seed"]]
        ends = seed["rho_c"], seed["rho_c"] + inwards
        if rho[0] <= ends[1] <= rho[-1]:
            at_threshold, beyond = np.interp(ends, rho, kl)
            found.append(float(beyond - at_threshold) / STEEPNESS_WINDOW)
    return found


def threshold_difference(first: Row, second: Row) -> Interval | None:
    """Return rho_c of a cell minus that of another with its interval; None unless both have one.

    With s^2 as in `cell_threshold` (scatter of the seeds and a twelfth of the brackets' width squared),
    the interval is the difference of the mean brackets, widened by Welch's margin: the scatter of both
    cells' seeds plus the whole resolution of both grids.
    """
    if first["status"] != TRANSITION or second["status"] != TRANSITION:
        return None
    centre = first["rho_c"] - second["rho_c"]
    n = min(first["n_seeds"], second["n_seeds"])
    if n < 2:
        return Interval(centre, None, None, n)
    margin = welch_margin((_variance(first), _variance(second)), (first["n_seeds"], second["n_seeds"]))
    low = first["bracket_low"] - second["bracket_high"] - margin
    return Interval(centre, low, first["bracket_high"] - second["bracket_low"] + margin, n)


def _variance(row: Row) -> float:
    rho_c, low, high = np.array(
        [(seed["rho_c"], seed["rho_low"], seed["rho_high"]) for seed in row["seeds"]], dtype=np.float64
    ).T
    return float(rho_c.var(ddof=1) + ((high - low) ** 2).mean() / 12)


def _swept(run: PaperRun) -> dict[str, tuple[float, float]]:
    """The lowest and highest rho of each cell."""
    found = {}
    for cell_id, seeds in curves(run.members).items():
        values = [value for rho, _ in seeds.values() for value in rho]
        if values:
            found[cell_id] = min(values), max(values)
    return found


def _falls(run: PaperRun, small: Row, large: Row, swept: dict[str, tuple[float, float]]) -> Evidence:
    what = f"depth {small['depth']}: ρ_c of {_sizes(small)} minus that of {_sizes(large)}"
    unlike = _unequal(run, small, large, apart_from=("latents",))
    found = threshold_difference(small, large)
    if found is None and not unlike:
        found, unlike = _one_sided(small, large, swept)
    return Evidence(what, found, Region(low=0), unusable=unlike)


def _one_sided(small: Row, large: Row, swept: dict[str, tuple[float, float]]) -> tuple[Interval | None, str]:
    """The difference where one cell has a transition and the other none within the rho that were swept.

    The rho_c of a cell that is always active lies at or above its highest rho, of one that is always
    collapsed at or below its lowest.
    """
    statuses = [small["status"], large["status"]]
    words = " and ".join(status.replace("_", " ") for status in statuses)
    one_sided = {ALWAYS_ACTIVE, ALWAYS_COLLAPSED}
    known = set(statuses) <= one_sided | {TRANSITION} and len(set(statuses)) == 2
    if not known or "low" in (small["collapsed_side"], large["collapsed_side"]):
        return None, f"no difference of thresholds: {words}"
    ranges = []
    for row in (small, large):
        if row["status"] == TRANSITION:
            ranges.append((row["rho_c_low"], row["rho_c_high"]))
        else:
            lowest, highest = swept[row["cell_id"]]
            ranges.append((highest, 1.0) if row["status"] == ALWAYS_ACTIVE else (0.0, lowest))
    (low, high), (other_low, other_high) = ranges
    centre = (low + high - other_low - other_high) / 2
    n = min(small["n_seeds"], large["n_seeds"])
    if n < 2:
        return Interval(centre, None, None, n), ""
    return Interval(centre, low - other_high, high - other_low, n), ""


def _steeper(run: PaperRun, conv: Row, mlp: Row, by_cell: CellCurves) -> Evidence:
    what = f"steepness of conv {_sizes(conv)} divided by that of mlp {_sizes(mlp)}"
    if TRANSITION not in (conv["status"], mlp["status"]) or conv["status"] != mlp["status"]:
        words = " and ".join(row["status"].replace("_", " ") for row in (conv, mlp))
        return Evidence(what, None, Region(low=1), unusable=f"no two transitions: {words}")
    slopes = [steepness(row, by_cell[row["cell_id"]]) for row in (conv, mlp)]
    if any(len(own) < row["n_seeds"] or min(own) <= 0 for own, row in zip(slopes, (conv, mlp), strict=True)):
        why = f"within {STEEPNESS_WINDOW:g} of ρ_c a seed's values of ρ end, or its KL falls again"
        return Evidence(what, None, Region(low=1), unusable=why)
    unlike = _unequal(run, conv, mlp, apart_from=("architecture", "hidden", "latents"))
    return Evidence(what, ratio_of_groups(*slopes), Region(low=1), unusable=unlike)


def _unequal(run: PaperRun, one: Row, other: Row, apart_from: Collection[str]) -> str:
    """In which keys of the budget the members of two cells differ, in words; empty if in none."""
    cells = {one["cell_id"], other["cell_id"]}
    return unequal([row for row in run.rows if row["cell_id"] in cells], apart_from)


def _sizes(row: Row) -> str:
    return ",".join(map(str, row["latents"]))


FIGURE_CLAIMS: dict[str, ClaimsOf] = {"figure4": figure4, "figure5": figure5, "figure6": figure6}
"""The claims of the figures by name."""
