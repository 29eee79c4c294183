"""A claim of the abstract: rho_c is similar for one model across data sets.

It is tested for equivalence: two one-sided tests at 5 % for each pair of data sets, which are one 90 %
interval.
"""

from functools import partial
from itertools import combinations

from analysis.appendix.charts import TRANSITIONS_CAPTION, plot_transitions
from analysis.appendix.claims import ABSTRACT, OURS, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.runs import PaperRun
from analysis.appendix.transitions import threshold_difference, threshold_lines, unequal_cells
from analysis.tables.schema import Row

MARGIN = 0.05
"""Thresholds are alike that differ by no more: set before any run."""

CONFIDENCE = 0.90
"""Coverage of the interval that is two one-sided tests at 5 %."""


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Differences of rho_c between every two data sets, each to lie within the margin."""
    evidence = []
    if run.members is not None:
        pairs = combinations(run.thresholds, 2)
        evidence = [_alike(run, first, second) for first, second in pairs]
    statement = (
        "ρ_c of one model is alike on all data sets. Two are alike where the "
        f"{100 * CONFIDENCE:g} % interval of their difference lies within ±{MARGIN:g}, set before any run "
        "(two one-sided tests at 5 %), and not alike where it lies outside; else the pair is undecided."
    )
    return (Claim(statement, f"{ABSTRACT}; {OURS}", tuple(evidence)),)


def _alike(run: PaperRun, first: Row, second: Row) -> Evidence:
    unusable = unequal_cells(run, first, second, apart_from=("dataset", "data_digest"))
    interval = threshold_difference(run, first, second, CONFIDENCE)
    what = f"ρ_c on {first['dataset']} minus that on {second['dataset']}"
    return Evidence(what, interval, Region(-MARGIN, MARGIN, closed=True), unusable=unusable)


EXHIBIT = Exhibit(
    name="datasets",
    stands_in="Abstract",
    title="ρ_c of one model on several data sets",
    shows="The value at which the top layer's KL drops to zero is similar for one model across data sets.",
    chosen="the activation, values of ρ and the level were chosen on seeds 0 to 2, after a run of ReLU on "
    "seeds 1000 to 1009, and before any seed from 2000 on; the margin was set before any run",
    fresh_from=2000,
    claims=claims,
    cells=threshold_lines,
    plot=partial(plot_transitions, panel="dataset"),
    caption=TRANSITIONS_CAPTION,
)
