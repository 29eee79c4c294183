"""One section a table or figure of the paper: the run, ours beside the published, claims, the figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.appendix.claims import Claim
from analysis.appendix.compare import ComparedRow, compare
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.loading import load
from analysis.appendix.names import DEFAULT_BUDGET
from analysis.appendix.runs import Lines, PaperRun
from analysis.charts.chart import Chart


@dataclass(frozen=True)
class Section:
    """What there is to say of a table or figure by a run.

    `rows` are those of a published table, `cells` the lines of a second table and `words` paragraphs; each
    may be empty. `chart` is None where the run has nothing to draw.
    """

    exhibit: Exhibit
    run: PaperRun
    claims: tuple[Claim, ...]
    rows: Sequence[ComparedRow]
    cells: Lines
    words: Sequence[str]
    chart: Chart | None

    @property
    def verdicts(self) -> str:
        """The verdicts of its claims in their order, or the command that makes the run."""
        if self.run.missing:
            return f"not run: {self.run.missing}"
        return ", ".join(claim.verdict for claim in self.claims) or "no claims"

    @property
    def tuning(self) -> str:
        """What was chosen on which seeds, and which seeds are shown; empty where no member is trained.

        Sizes, learning rates, measures and numbers of seeds were chosen while looking at claims, so that
        these seeds are no test of the claims. The spaces in `search_spaces/paper/` take other seeds.
        """
        if self.run.source != "members":
            return ""
        sentences = []
        if self.run.budget == DEFAULT_BUDGET:
            sentences.append(
                f"Settings of {self.run.budget}: {self.exhibit.chosen}; more stands in the head of "
                f"search_spaces/paper/{self.exhibit.name}.yaml."
            )
        if self.run.rows:
            seeds = sorted({row["seed"] for row in self.run.rows})
            sentences.append(_shown(seeds, self.exhibit.fresh_from))
        return " ".join(sentences)


def build(exhibit: Exhibit, folder: str | Path, budget: str | None = None) -> Section:
    """Return the section of a table or figure, from a run that may be missing.

    Raises TableError as `analysis.appendix.loading.load` and `analysis.appendix.compare.compare` do.
    """
    run = load(exhibit, folder, budget)
    return Section(
        exhibit,
        run,
        exhibit.decide(run),
        () if exhibit.table is None else compare(exhibit.table, run),
        exhibit.cells(run),
        exhibit.words(run),
        exhibit.draw(run),
    )


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
