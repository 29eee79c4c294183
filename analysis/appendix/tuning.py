"""What the settings of `quick` were chosen on, and whether a run is of other seeds: said of each exhibit.

Sizes, learning rates, measures and numbers of seeds were chosen while looking at claims, so that the seeds
that were looked at are no test of them. The spaces in `search_spaces/paper/` take seeds that were not.
"""

from collections.abc import Sequence

from analysis.appendix.exhibit import Exhibit
from analysis.appendix.loading import DEFAULT_BUDGET
from analysis.appendix.runs import PaperRun


def tuning(exhibit: Exhibit, run: PaperRun) -> str:
    """Return what was chosen on which seeds, and which are shown; empty where no member is trained."""
    if run.source != "members":
        return ""
    said = []
    if run.budget == DEFAULT_BUDGET:
        said.append(
            f"Settings of {run.budget}: {exhibit.chosen}; more stands in the head of "
            f"search_spaces/paper/{exhibit.name}.yaml."
        )
    if run.rows:
        said.append(_shown(sorted({row["seed"] for row in run.rows}), exhibit.fresh_from))
    return " ".join(said)


def _shown(seeds: Sequence[int], fresh_from: int) -> str:
    tuned = [seed for seed in seeds if seed < fresh_from]
    if not tuned:
        return f"Shown: seeds {_listed(seeds)}, on which nothing was chosen."
    which = "tuning seeds" if tuned == seeds else f"of which {_listed(tuned)} are tuning seeds"
    return (
        f"Shown: seeds {_listed(seeds)}, {which}: settings may have been chosen while looking at them, so "
        "that the verdicts are no independent test."
    )


def _listed(seeds: Sequence[int]) -> str:
    """`1000 to 1004`, or one by one where some are left out."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
