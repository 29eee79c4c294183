"""Figure 5: the top-layer KL against rho on OMNIGLOT, whose threshold falls with the size of the latents."""

from functools import partial
from itertools import pairwise

import numpy as np

from analysis.appendix.claims import STATED, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.runs import PaperRun
from analysis.appendix.transition_drawing import CAPTION, plot_transitions
from analysis.appendix.transitions import sizes, status_words, threshold_lines, unequal_cells
from analysis.estimate import ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION
from analysis.intervals import Interval, welch_margin
from analysis.schema import Row
from analysis.tables import curves


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Differences of rho_c between neighbouring latent sizes of a depth, smaller less larger."""
    evidence = []
    if run.members is not None:
        rows, swept = run.thresholds, _swept(run)
        for depth in sorted({row["depth"] for row in rows}):
            own = sorted((row for row in rows if row["depth"] == depth), key=lambda row: sum(row["latents"]))
            evidence += [_falls(run, small, large, swept) for small, large in pairwise(own)]
    statement = "At each depth, ρ_c is lower for larger latents (each size against the next larger one)."
    return (Claim(statement, STATED, tuple(evidence), run.missing),)


def _swept(run: PaperRun) -> dict[str, tuple[float, float]]:
    """The lowest and highest rho of each cell."""
    found = {}
    for cell_id, seeds in curves(run.members).items():
        values = [value for rho, _ in seeds.values() for value in rho]
        if values:
            found[cell_id] = min(values), max(values)
    return found


def _falls(run: PaperRun, small: Row, large: Row, swept: dict[str, tuple[float, float]]) -> Evidence:
    what = f"depth {small['depth']}: ρ_c of {sizes(small)} minus that of {sizes(large)}"
    unusable = unequal_cells(run, small, large, apart_from=("latents",))
    found = threshold_difference(small, large)
    if found is None and not unusable:
        found, unusable = _one_sided(small, large, swept)
    return Evidence(what, found, Region(low=0), unusable=unusable)


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


def _one_sided(small: Row, large: Row, swept: dict[str, tuple[float, float]]) -> tuple[Interval | None, str]:
    """The difference where one cell has a transition and the other none within the rho that were swept.

    The rho_c of a cell that is always active lies at or above its highest rho, of one that is always
    collapsed at or below its lowest.
    """
    statuses = {small["status"], large["status"]}
    known = statuses <= {ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION} and len(statuses) == 2
    if not known or "low" in (small["collapsed_side"], large["collapsed_side"]):
        return None, f"no difference of thresholds: {status_words(small, large)}"
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


EXHIBIT = Exhibit(
    name="figure5",
    title="Top-layer KL against ρ on OMNIGLOT",
    shows="MLP models of 3, 4 and 5 stochastic layers, with several latent sizes each.",
    claims=claims,
    cells=threshold_lines,
    plot=partial(plot_transitions, panel="depth"),
    caption=CAPTION,
)
