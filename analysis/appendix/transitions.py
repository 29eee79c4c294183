"""Transitions of the top-layer KL over rho, of which figures 5 and 6 are: thresholds and steepness."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from analysis.appendix.budget import unequal
from analysis.appendix.exhibit import Lines
from analysis.appendix.runs import PaperRun
from analysis.appendix.text import NOTHING, significant
from analysis.appendix.words import plural
from analysis.estimate import TRANSITION, Array
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
