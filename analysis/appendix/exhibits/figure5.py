"""Figure 5: the top-layer KL against rho on OMNIGLOT, whose threshold falls with the size of the latents."""

from functools import partial
from itertools import pairwise

from analysis.appendix.charts import TRANSITIONS_CAPTION, plot_transitions
from analysis.appendix.claims import STATED, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.runs import PaperRun
from analysis.appendix.transitions import sizes, threshold_difference, threshold_lines, unequal_cells
from analysis.tables.schema import Row


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Differences of rho_c between neighbouring latent sizes of a depth, smaller less larger."""
    evidence = []
    if run.members is not None:
        rows = sorted(run.thresholds, key=lambda row: sum(row["latents"]))
        for depth in sorted({row["depth"] for row in rows}):
            cells = [row for row in rows if row["depth"] == depth]
            evidence += [_falls(run, small, large) for small, large in pairwise(cells)]
    statement = "At each depth, ρ_c is lower for larger latents (each size against the next larger one)."
    return (Claim(statement, STATED, tuple(evidence)),)


def _falls(run: PaperRun, small: Row, large: Row) -> Evidence:
    what = f"depth {small['depth']}: ρ_c of {sizes(small)} minus that of {sizes(large)}"
    unusable = unequal_cells(run, small, large, apart_from=("latents",))
    return Evidence(what, threshold_difference(run, small, large), Region(low=0), unusable=unusable)


EXHIBIT = Exhibit(
    name="figure5",
    title="Top-layer KL against ρ on OMNIGLOT",
    shows="MLP models of 3, 4 and 5 stochastic layers, with several latent sizes each.",
    chosen="sizes were chosen on seeds 0 to 6, the activation, steps, values of ρ and the level on seeds 0 "
    "and 1, after runs of ReLU on seeds 1000 to 2002 and before any seed from 3000 on",
    fresh_from=3000,
    claims=claims,
    cells=threshold_lines,
    plot=partial(plot_transitions, panel="depth"),
    caption=TRANSITIONS_CAPTION,
)
