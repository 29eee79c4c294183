"""An exhibit: a table, figure or claim of the paper, with all that sets a run of ours beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from analysis.appendix.claims import ClaimsOf
from analysis.appendix.published import PublishedTable
from analysis.appendix.runs import PaperRun, Source
from analysis.charts.chart import Chart

Lines: TypeAlias = Sequence[Sequence[str]]
"""A table as text: a head and lines of as many cells; empty for none."""


def _nothing(run: PaperRun) -> tuple[()]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table, a figure or a claim. Each is a module, which `analysis.appendix.exhibits` lists.

    Attributes:
        name: the name of its space, `table6`.
        stands_in: where in the paper a claim stands that is no table or figure; empty for these.
        title: what it is about, in a few words.
        plot: draws a run that is there; returns None where it has nothing to draw.
        caption: what the drawing shows of ours.
        claims: decides the claims that come with it by a run, which may be missing.
        source: the table of the run that ours come from.
        needs_history: whether the history of the run is read too.
        table: the published numbers of a table; None for a figure.
        shows: what the published figure shows, or the claim says; empty for a table, and for
            controls, of which nothing is published.
        chosen: which settings of its budget `quick` were chosen on which seeds.
        fresh_from: first seed that was not used for tuning.
        budgets: the budgets of its space.
        cells: returns a second table as text, such as thresholds, one line per cell.
        words: returns in sentences what the run says, one paragraph each.
    """

    name: str
    stands_in: str = ""
    title: str
    plot: Callable[[PaperRun], Chart | None]
    caption: str = "Ours beside the published numbers."
    claims: ClaimsOf = _nothing
    source: Source = "members"
    needs_history: bool = False
    table: PublishedTable | None = None
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

    def draw(self, run: PaperRun) -> Chart | None:
        """Return the chart of a run; None where there is nothing to draw."""
        return None if run.missing else self.plot(run)
