"""One section a table or figure of the paper: the run, ours beside the published, claims, the figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.appendix.claims import Claim
from analysis.appendix.compare import ComparedRow, compare
from analysis.appendix.exhibit import Exhibit, Lines
from analysis.appendix.loading import load
from analysis.appendix.runs import PaperRun
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


def build(exhibit: Exhibit, folder: str | Path, budget: str | None = None) -> Section:
    """Return the section of a table or figure, from a run that may be missing.

    Raises TableError as `analysis.appendix.loading.load` and `analysis.appendix.compare.compare` do.
    """
    run = load(exhibit, folder, budget)
    return Section(
        exhibit,
        run,
        exhibit.claims(run),
        () if exhibit.table is None else compare(exhibit.table, run),
        exhibit.cells(run),
        exhibit.words(run),
        exhibit.draw(run),
    )
