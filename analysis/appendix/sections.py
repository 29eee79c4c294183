"""One section a table or figure of the paper: the run, ours beside the published, claims, the figure."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis import style
from analysis.appendix.claims import Claim
from analysis.appendix.claims_figures import FIGURE_CLAIMS, Row, steepness, thresholds
from analysis.appendix.claims_tables import TABLE_CLAIMS
from analysis.appendix.compare import ComparedRow, compare
from analysis.appendix.figures import draw
from analysis.appendix.published import FIGURES, TABLES
from analysis.appendix.runs import PaperRun, load
from analysis.appendix.text import significant
from analysis.labels import STATUS, cell_names, lost_of_cell
from analysis.tables import CellCurves, curves


@dataclass(frozen=True)
class Section:
    """What there is to say of a table or figure.

    `rows` are those of a table, `cells` the thresholds of figures 5 and 6 as a head and lines of text;
    both are empty elsewhere. `figure` is None where the run has nothing to draw.
    """

    name: str
    run: PaperRun
    claims: tuple[Claim, ...]
    rows: Sequence[ComparedRow] = ()
    cells: Sequence[Sequence[str]] = ()
    figure: Figure | None = None

    @property
    def heading(self) -> str:
        """The number and the title, `Table 6. Posterior collapse …`."""
        title = TABLES[self.name].title if self.name in TABLES else FIGURES[self.name].title
        return f"{title_of(self.name)}. {title}"

    @property
    def verdicts(self) -> str:
        """The verdicts of its claims in their order, or the command that makes the run."""
        if self.run.missing:
            return f"not run: {self.run.missing}"
        return ", ".join(claim.verdict for claim in self.claims) or "no claims"


def title_of(name: str) -> str:
    """Return `Table 6` for `table6`."""
    kind = name.rstrip("0123456789")
    return f"{kind.capitalize()} {name.removeprefix(kind)}"


def build(name: str, folder: str | Path, budget: str | None = None) -> Section:
    """Return the section of a table or figure, from a run that may be missing.

    Raises TableError as `analysis.appendix.runs.load` and `analysis.appendix.compare.compare` do.
    """
    run = load(name, folder, budget)
    claims_of = {**TABLE_CLAIMS, **FIGURE_CLAIMS}.get(name)
    return Section(
        name,
        run,
        claims_of(run) if claims_of else (),
        compare(TABLES[name], run) if name in TABLES else (),
        _cells(run) if name in ("figure5", "figure6") and run.members is not None else (),
        draw(run),
    )


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, the same bytes each time."""
    file = io.BytesIO()
    with style.figure_style():
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


_CELLS_HEAD = (
    "cell", "budget", "status", "ρ_c", "95 % interval", "bracket width", "jump (nats)",
    "steepness (nats per unit of ρ)",
)  # fmt: skip


def _cells(run: PaperRun) -> list[Sequence[str]]:
    """The thresholds of a run as lines of text under a head."""
    rows, by_cell = thresholds(run), curves(run.members)
    lines: list[Sequence[str]] = [_CELLS_HEAD]
    for label, row in zip(cell_names(rows), rows, strict=True):
        seeds = f"{row['n_seeds']} seed{'' if row['n_seeds'] == 1 else 's'}"
        budget = f"{row['steps']:,} steps, {seeds}{lost_of_cell(row, 'members lost: ')}"
        lines.append([label, budget, STATUS[row["status"]], *_numbers(row, by_cell)])
    return lines


def _numbers(row: Row, by_cell: CellCurves) -> list[str]:
    if row["rho_c"] is None:
        return ["-"] * 5
    interval = f"[{row['rho_c_low']:.3f}, {row['rho_c_high']:.3f}]"
    if row["confidence"] is None:
        interval += " (the bracket of one seed)"
    slopes = steepness(row, by_cell[row["cell_id"]])
    return [
        f"{row['rho_c']:.3f}",
        interval,
        f"{row['width']:.3f}",
        significant(row["jump_nats"]),
        significant(sum(slopes) / len(slopes)) if slopes else "-",
    ]
