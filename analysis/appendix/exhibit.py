"""An exhibit: a table, figure or claim of the paper, and how our run is compared with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from analysis.appendix.charts import Panel, plot_table
from analysis.appendix.claims import Claim
from analysis.appendix.published import PublishedTable
from analysis.appendix.runs import Lines, PaperRun, Source
from analysis.charts.chart import Chart


def _nothing(run: PaperRun) -> tuple[()]:
    return ()


def _nothing_to_draw(run: PaperRun) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table, a figure or a claim. Each is a module, which `analysis.appendix.exhibits` lists.

    Attributes:
        name: the name of its space, `table6`.
        stands_in: for a claim, where it stands in the paper; empty for a table or figure.
        title: what it is about, in a few words.
        plot: draws a run that is not missing; returns None if there is nothing to draw. Not of a table.
        panels: the panels in which a table is drawn.
        caption: what the drawing shows of ours.
        claims: decides the claims of the exhibit from a run; the run may be missing.
        source: the table of our run that the numbers come from.
        needs_history: whether the history of the run is read too.
        table: the published numbers of a table; None for a figure.
        shows: what the published figure shows, or the claim says; empty for a table, and for our own
            controls, which the paper does not have.
        chosen: which settings of its budget `quick` were chosen on which seeds.
        fresh_from: first seed that was not used for tuning.
        budgets: the budgets of its space.
        cells: returns a second table as text, such as thresholds, one line per cell.
        words: returns the results of a run in sentences, one string per paragraph.
    """

    name: str
    stands_in: str = ""
    title: str
    plot: Callable[[PaperRun], Chart | None] = _nothing_to_draw
    caption: str = "Ours beside the published numbers."
    claims: Callable[[PaperRun], tuple[Claim, ...]] = _nothing
    source: Source = "members"
    needs_history: bool = False
    table: PublishedTable | None = None
    panels: Sequence[Panel] = ()
    shows: str = ""
    chosen: str = ""
    fresh_from: int = 1000
    cells: Callable[[PaperRun], Lines] = _nothing
    words: Callable[[PaperRun], Sequence[str]] = _nothing
    budgets: tuple[str, ...] = ("quick", "paper")

    @property
    def number(self) -> str:
        """Its kind and number, `Table 6`, or where its claim stands."""
        if self.stands_in:
            return self.stands_in
        kind = self.name.rstrip("0123456789")
        return f"{kind.capitalize()} {self.name.removeprefix(kind)}"

    @property
    def heading(self) -> str:
        """The number and the title, `Table 6. Posterior collapse …`."""
        return f"{self.number}. {self.title}"

    def decide(self, run: PaperRun) -> tuple[Claim, ...]:
        """Return the claims, decided by a run that may be missing."""
        return tuple(replace(claim, missing=run.missing) for claim in self.claims(run))

    def draw(self, run: PaperRun) -> Chart | None:
        """Return the chart of a run; None where there is nothing to draw."""
        if run.missing:
            return None
        return self.plot(run) if self.table is None else plot_table(self.table, self.panels, run)
