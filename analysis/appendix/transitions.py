"""Transitions of the top-layer KL over rho: thresholds, their differences, and steepness."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from analysis.appendix.compare import unequal
from analysis.appendix.runs import Lines, PaperRun
from analysis.appendix.text import significant
from analysis.statistics.censored import Array, difference
from analysis.statistics.curves import CellCurves, curves
from analysis.statistics.estimate import TRANSITION
from analysis.statistics.intervals import CONFIDENCE, Interval
from analysis.tables.schema import Row
from analysis.text.words import NOTHING, STATUS, cell_names, interval, lost_of_cell, plural
from ouvae.declared.order_parameters import PAPERS

STEEPNESS_WINDOW = 0.1
"""Over how much of rho a transition's steepness is taken: our choice, no less than the brackets at `quick`.
The rise within a bracket would depend on where in it the threshold happens to lie."""


def unequal_cells(run: PaperRun, first: Row, second: Row, apart_from: Collection[str]) -> str:
    """Return in which keys of the budget the members of two cells differ, in words; empty if in none.

    The cells are rows of the thresholds; `apart_from` as in `analysis.appendix.compare.unequal`.
    """
    cells = {first["cell_id"], second["cell_id"]}
    return unequal([row for row in run.rows if row["cell_id"] in cells], apart_from)


def status_words(*rows: Row) -> str:
    """Return the statuses of cells, `always collapsed and transition`."""
    return " and ".join(STATUS[row["status"]] for row in rows)


def sizes(row: Row) -> str:
    """Return the latent sizes of a cell, `20,20,20`."""
    return ",".join(map(str, row["latents"]))


def threshold_difference(
    run: PaperRun, first: Row, second: Row, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return rho_c of a cell minus that of another with its interval; None where nothing is known of one.

    It is the difference of the posteriors of two independent medians. Where one of them may lie beyond what
    was trained, an end of the interval may be infinite. A single seed gives no interval.
    """
    medians = [run.results.summary.median(row["cell_id"], PAPERS) for row in (first, second)]
    if medians[0] is None or medians[1] is None:
        return None
    posterior = difference(medians[0], medians[1])
    seeds = min(first["n_seeds"], second["n_seeds"])
    low, high = posterior.interval(confidence)
    values = [value for value in (posterior.median, low, high) if value is not None]
    if not values:
        return None
    if seeds < 2:
        return Interval(values[0], None, None, seeds)
    return Interval(values[0], -np.inf if low is None else low, np.inf if high is None else high, seeds)


def steepness(row: Row, seeds: Mapping[int, tuple[Array, Array]], relative: bool = False) -> list[float]:
    """Return how steeply the top-layer KL of each seed rises at its threshold, in nats per unit of rho.

    It is the mean slope over `STEEPNESS_WINDOW` of rho, from where the layer becomes active into the active
    side, of the curve with straight lines between the values that were trained. `seeds` are the curves of the
    cell of `row` as in `analysis.statistics.curves.curves`. Seeds without a transition, or with no values
    that far, are left out. What is `relative` is divided by the seed's plateau, its largest top-layer KL,
    and is per unit of rho.
    """
    inwards = -STEEPNESS_WINDOW if row["collapsed_side"] == "high" else STEEPNESS_WINDOW
    slopes = []
    for seed in row["seeds"]:
        if seed["status"] != TRANSITION:
            continue
        rho, kl = seeds[seed["seed"]]
        bracket = np.array([seed["low"], seed["high"]])
        rising = np.sort(np.interp(bracket, rho, kl))
        onset = np.interp(row["active_from"], rising, bracket if inwards > 0 else bracket[::-1])
        ends = onset, onset + inwards
        if rho[0] <= ends[1] <= rho[-1]:
            at_threshold, beyond = np.interp(ends, rho, kl)
            height = kl.max() if relative else 1.0
            slopes.append(float((beyond - at_threshold) / height) / STEEPNESS_WINDOW)
    return slopes


_HEAD = (
    "cell", "budget", "status", "ρ_c", "95 % interval", "spread below", "spread above", "jump (nats)",
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
    ends = interval(row, 3) or NOTHING
    if row["critical_value"] is None:
        return [NOTHING, ends, *[NOTHING] * (len(_HEAD) - 5)]
    slopes = (steepness(row, by_cell[row["cell_id"]], relative) for relative in (False, True))
    return [
        f"{row['critical_value']:.3f}",
        ends,
        f"{row['spread_left']:.3f}",
        f"{row['spread_right']:.3f}",
        NOTHING if row["jump"] is None else significant(row["jump"]),
        *(significant(sum(values) / len(values)) if values else NOTHING for values in slopes),
    ]
