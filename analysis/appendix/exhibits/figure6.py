"""Figure 6: the top-layer KL against rho on MNIST, whose transition is steep in a convolutional model."""

from collections.abc import Sequence
from functools import partial
from itertools import product

from analysis.appendix.charts import TRANSITIONS_CAPTION, plot_transitions
from analysis.appendix.claims import MEASURE, STATED, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.runs import PaperRun
from analysis.appendix.transitions import (
    STEEPNESS_WINDOW,
    sizes,
    status_words,
    steepness,
    threshold_lines,
    unequal_cells,
)
from analysis.statistics.curves import CellCurves, curves
from analysis.statistics.estimate import TRANSITION
from analysis.statistics.intervals import ratio_of_groups
from analysis.tables.schema import Row


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Steepness of the convolutional transition over that of the MLP, absolute and relative to the plateaus.

    Geometric means of `steepness` over seeds are compared, between cells of the same latents, or between
    all cells of the two architectures where no latents are shared.
    """
    pairs: Sequence[tuple[Row, Row]] = ()
    by_cell: CellCurves = {}
    if run.members is not None:
        rows, by_cell = run.thresholds, curves(run.members)
        mlp, conv = ([row for row in rows if row["architecture"] == name] for name in ("mlp", "conv"))
        all_pairs = list(product(conv, mlp))
        same = [
            (conv_row, mlp_row)
            for conv_row, mlp_row in all_pairs
            if conv_row["latents"] == mlp_row["latents"]
        ]
        pairs = same or all_pairs
    decided = []
    for relative, measure in (
        (False, f"the slope of a seed's top-layer KL over {STEEPNESS_WINDOW:g} of ρ from its onset on"),
        (True, "that slope divided by the seed's plateau, its largest top-layer KL"),
    ):
        statement = (
            f"The transition of the convolutional model is{' for its height' if relative else ''} steeper "
            "than that of the MLP model. Steepness, a measure of ours as the appendix names none: "
            f"{measure}; geometric mean over seeds."
        )
        evidence = tuple(_steeper(run, conv_row, mlp_row, by_cell, relative) for conv_row, mlp_row in pairs)
        decided.append(Claim(statement, f"{STATED}; {MEASURE}", evidence))
    return tuple(decided)


def _steeper(run: PaperRun, conv: Row, mlp: Row, by_cell: CellCurves, relative: bool) -> Evidence:
    word = "relative steepness" if relative else "steepness"
    what = f"{word} of conv {sizes(conv)} divided by that of mlp {sizes(mlp)}"
    region = Region(low=1)
    if not conv["status"] == mlp["status"] == TRANSITION:
        return Evidence(what, None, region, unusable=f"no two transitions: {status_words(conv, mlp)}")
    slopes = [steepness(row, by_cell[row["cell_id"]], relative) for row in (conv, mlp)]
    if any(
        len(values) < row["n_seeds"] or min(values) <= 0
        for values, row in zip(slopes, (conv, mlp), strict=True)
    ):
        why = f"within {STEEPNESS_WINDOW:g} of ρ_c a seed's values of ρ end, or its KL falls again"
        return Evidence(what, None, region, unusable=why)
    unusable = unequal_cells(run, conv, mlp, apart_from=("architecture", "hidden", "latents"))
    return Evidence(what, ratio_of_groups(*slopes), region, unusable=unusable)


EXHIBIT = Exhibit(
    name="figure6",
    title="Top-layer KL against ρ on MNIST, MLP and convolutional",
    shows="An MLP model (left) and a convolutional one (right).",
    chosen="latents and the first measure of steepness were chosen on seeds 0 to 2, the number of seeds "
    "after seeds 1000 to 1002, the activation, steps, values of ρ and the level on seeds 0 and 1 after runs "
    "of ReLU on seeds 1000 to 3005, all before any seed from 4000 on",
    fresh_from=4000,
    claims=claims,
    cells=threshold_lines,
    plot=partial(plot_transitions, panel="architecture"),
    caption=TRANSITIONS_CAPTION,
)
