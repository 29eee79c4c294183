"""Transitions of the top-layer KL over rho: thresholds, their differences, and steepness."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from analysis.appendix.budget import unequal
from analysis.appendix.exhibit import Lines
from analysis.appendix.runs import PaperRun
from analysis.appendix.text import NOTHING, significant
from analysis.appendix.words import plural
from analysis.estimate import ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION, Array
from analysis.intervals import CONFIDENCE, Interval, welch_margin
from analysis.labels import STATUS, cell_names, lost_of_cell
from analysis.schema import Row
from analysis.tables import CellCurves, curves

STEEPNESS_WINDOW = 0.1
"""Over how much of rho a transition's steepness is taken: our choice, no less than the brackets at `quick`.
The rise within a bracket would depend on where in it the threshold happens to lie."""


def unequal_cells(run: PaperRun, one: Row, other: Row, apart_from: Collection[str]) -> str:
    """Return in which keys of the budget the members of two cells differ, in words; empty if in none.

    The cells are rows of the thresholds; `apart_from` as in `analysis.appendix.budget.unequal`.
    """
    cells = {one["cell_id"], other["cell_id"]}
    return unequal([row for row in run.rows if row["cell_id"] in cells], apart_from)


def status_words(*rows: Row) -> str:
    """Return the statuses of cells, `always collapsed and transition`."""
    return " and ".join(STATUS[row["status"]] for row in rows)


def sizes(row: Row) -> str:
    """Return the latent sizes of a cell, `20,20,20`."""
    return ",".join(map(str, row["latents"]))


def threshold_difference(first: Row, second: Row) -> Interval | None:
    """Return rho_c of a cell minus that of another with its interval; None unless both have one.

    The interval is the difference of the mean brackets, widened by the margin of `mean_difference`: the
    scatter of both cells' seeds plus the whole resolution of both grids.
    """
    found = mean_difference(first, second, CONFIDENCE)
    if found is None or found.low is None or found.high is None:
        return found
    margin = found.high - found.mean
    low = first["bracket_low"] - second["bracket_high"] - margin
    return Interval(found.mean, low, first["bracket_high"] - second["bracket_low"] + margin, found.n)


def mean_difference(first: Row, second: Row, confidence: float) -> Interval | None:
    """Return rho_c of a cell minus that of another with Welch's interval; None unless both have one.

    The variance of a seed's rho_c is s^2 as in `cell_threshold`: the scatter of the seeds and a twelfth of
    the brackets' width squared.
    """
    if first["status"] != TRANSITION or second["status"] != TRANSITION:
        return None
    centre = first["rho_c"] - second["rho_c"]
    seeds = first["n_seeds"], second["n_seeds"]
    if min(seeds) < 2:
        return Interval(centre, None, None, min(seeds))
    margin = welch_margin((_variance(first), _variance(second)), seeds, confidence)
    return Interval(centre, centre - margin, centre + margin, min(seeds))


def _variance(row: Row) -> float:
    rho_c, low, high = np.array(
        [(seed["rho_c"], seed["rho_low"], seed["rho_high"]) for seed in row["seeds"]], dtype=np.float64
    ).T
    return float(rho_c.var(ddof=1) + ((high - low) ** 2).mean() / 12)


def swept_ranges(run: PaperRun) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest rho of each cell."""
    found = {}
    for cell_id, seeds in curves(run.members).items():
        values = [value for rho, _ in seeds.values() for value in rho]
        if values:
            found[cell_id] = min(values), max(values)
    return found


def one_sided_difference(
    first: Row, second: Row, swept: dict[str, tuple[float, float]]
) -> tuple[Interval | None, str]:
    """Return the difference of rho_c where one cell, or neither, has a transition within what was swept.

    The rho_c of a cell that is always active lies at or above its highest rho, of one that is always
    collapsed at or below its lowest. With it comes why there is none, in words; empty where there is one.
    """
    statuses = {first["status"], second["status"]}
    known = statuses <= {ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION} and len(statuses) == 2
    if not known or "low" in (first["collapsed_side"], second["collapsed_side"]):
        return None, f"no difference of thresholds: {status_words(first, second)}"
    ranges = []
    for row in (first, second):
        if row["status"] == TRANSITION:
            ranges.append((row["rho_c_low"], row["rho_c_high"]))
        else:
            lowest, highest = swept[row["cell_id"]]
            ranges.append((highest, 1.0) if row["status"] == ALWAYS_ACTIVE else (0.0, lowest))
    (low, high), (other_low, other_high) = ranges
    centre = (low + high - other_low - other_high) / 2
    n = min(first["n_seeds"], second["n_seeds"])
    if n < 2:
        return Interval(centre, None, None, n), ""
    return Interval(centre, low - other_high, high - other_low, n), ""


def steepness(row: Row, seeds: Mapping[int, tuple[Array, Array]], relative: bool = False) -> list[float]:
    """Return how steeply the top-layer KL of each seed rises at its threshold, in nats per unit of rho.

    It is the mean slope over `STEEPNESS_WINDOW` of rho, from rho_c into the active side, of the curve with
    straight lines between the values that were trained. `seeds` are the curves of the cell of `row` as in
    `analysis.tables.curves`. Seeds without a transition, or with no values that far, are left out. What is
    `relative` is divided by the seed's plateau, its largest top-layer KL, and is per unit of rho.
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
            height = kl.max() if relative else 1.0
            found.append(float((beyond - at_threshold) / height) / STEEPNESS_WINDOW)
    return found


_HEAD = (
    "cell", "budget", "status", "ρ_c", "95 % interval", "bracket width", "jump (nats)",
    "steepness (nats per unit of ρ)", "relative to the plateau (per unit of ρ)",
)  # fmt: skip


def threshold_lines(run: PaperRun) -> Lines:
    """Return the thresholds of a run as lines of text under a head; nothing for a missing run."""
    if run.members is None:
        return ()
    rows, by_cell = run.thresholds, curves(run.members)
    lines: list[Sequence[str]] = [_HEAD]
    for label, row in zip(cell_names(rows), rows, strict=True):
        lost = lost_of_cell(row, "members lost: ")
        budget = f"{row['steps']:,} steps, {plural(row['n_seeds'], 'seed')}{lost}"
        lines.append([label, budget, STATUS[row["status"]], *_numbers(row, by_cell)])
    return lines


def _numbers(row: Row, by_cell: CellCurves) -> list[str]:
    if row["rho_c"] is None:
        return [NOTHING] * (len(_HEAD) - 3)
    interval = f"[{row['rho_c_low']:.3f}, {row['rho_c_high']:.3f}]"
    if row["confidence"] is None:
        interval += " (the bracket of one seed)"
    slopes = (steepness(row, by_cell[row["cell_id"]], relative) for relative in (False, True))
    return [
        f"{row['rho_c']:.3f}",
        interval,
        f"{row['width']:.3f}",
        significant(row["jump"]),
        *(significant(sum(own) / len(own)) if own else NOTHING for own in slopes),
    ]
