"""What of table 6 is reproduced, by which reading, and how much of the top KL is about x, in words."""

from dataclasses import dataclass

from analysis.appendix.compare import QUANTITIES, selected
from analysis.appendix.layers import histories, information_text, share_about_x, snapshots
from analysis.appendix.published import PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.appendix.text import significant

PUBLISHED_LATENTS = [40] * 4


@dataclass(frozen=True)
class Measure:
    """A published number, by its column, and ours beside it, a quantity of `analysis.appendix.compare`.

    `limit` is the largest distance of our mean over seeds, averaged over layers, that is called reproduced.
    """

    words: str
    column: str
    quantity: str
    limit: float


MEASURES = (
    Measure("L_100", "bound", "bound", 1.0),
    Measure("top KL", "kl_top", "kl_top", 3.0),
    Measure("active units", "active", "active", 4.0),
    Measure("active units by one draw", "active", "active_one_draw", 4.0),
)
"""Limits in nats, and in units per layer. Set before any run at the published sizes."""


@dataclass(frozen=True)
class Beside:
    """Our mean over seeds beside the published numbers, one per layer or a single one."""

    ours: tuple[float, ...]
    published: tuple[float, ...]

    @property
    def distance(self) -> float:
        """The mean distance over layers."""
        pairs = zip(self.ours, self.published, strict=True)
        return sum(abs(ours - published) for ours, published in pairs) / len(self.ours)

    def __str__(self) -> str:
        ours, published = (", ".join(map(significant, numbers)) for numbers in (self.ours, self.published))
        return f"{ours}, published {published}"


def words(table: PublishedTable, run: PaperRun) -> list[str]:
    """Return paragraphs: what is reproduced, what is not, the nearer reading, and what is about x."""
    if not run.rows:
        return []
    if any(row["latents"] != PUBLISHED_LATENTS for row in run.rows):
        paragraphs = [
            "Nothing is called reproduced at this budget: the published models have 4 layers of 40 units, "
            "these do not."
        ]
    else:
        paragraphs = [*_reproduced(table, run), *_nearer_reading(table, run)]
    return [*paragraphs, *_about_x(table, run)]


def _beside(run: PaperRun, row: PublishedRow, measure: Measure) -> Beside | None:
    seeds = QUANTITIES[measure.quantity].replicates(selected(run.rows, row.where)).values()
    means = tuple(sum(layer) / len(layer) for layer in zip(*seeds, strict=True))
    value = row.values[measure.column]
    return Beside(means, value if isinstance(value, tuple) else (value,)) if means else None


def _reproduced(table: PublishedTable, run: PaperRun) -> list[str]:
    texts: dict[bool, list[str]] = {True: [], False: []}
    for row in table.rows:
        for measure in MEASURES if row.values else ():
            beside = _beside(run, row, measure)
            if beside is not None:
                texts[beside.distance <= measure.limit].append(f"{row.label}: {measure.words} {beside}")
    bound, kl_top, active, _ = (f"{measure.limit:g}" for measure in MEASURES)
    return [
        "A published number is called reproduced where our mean over seeds, on the test split, lies within "
        f"{kl_top} nats (top KL), {active} units per layer on average, or {bound} nat (L_100) of it. The "
        f"limits were set before any run at the published sizes. The published models were trained for "
        f"{table.budget}.",
        f"Reproduced: {'; '.join(texts[True]) or 'nothing'}.",
        f"Not reproduced: {'; '.join(texts[False]) or 'nothing'}.",
    ]


def _nearer_reading(table: PublishedTable, run: PaperRun) -> list[str]:
    texts = []
    for row in table.rows:
        for measure in MEASURES if row.reading_of else ():
            first, second = (_beside(run, reading, measure) for reading in (table.row(row.reading_of), row))
            if first is not None and second is not None:
                nearer = "p(z_l|z_l+1) only" if first.distance <= second.distance else "p(x|z_1) too"
                texts.append(f"{row.reading_of}, {measure.words}: {nearer}")
    return [f"Nearer to the published number is smoothing: {'; '.join(texts)}."] if texts else []


def _about_x(table: PublishedTable, run: PaperRun) -> list[str]:
    evaluations, texts = histories(run), []
    for row in table.rows:
        shown = snapshots(selected(run.rows, row.where), evaluations) if row.values else []
        share = share_about_x(shown[-1]) if shown and row.label.startswith("OU-VAE") else None
        published = row.values.get("kl_top")
        if share is None or not isinstance(published, float):
            continue
        information, kl = information_text(shown[-1]), shown[-1].mean("kl_top_nats")
        texts.append(
            f"{row.label} ({shown[-1].when}): {information} of {kl:.1f} nats, {share.mean:.0%} "
            f"({share.low:.0%} to {share.high:.0%}), which would be {share.mean * published:.1f} of the "
            f"published {published:g} nats"
        )
    if not texts:
        return []
    return [
        "How much of the top KL is about x, by the information between x and z_4 with its bounds. The rest "
        f"encodes the noise of the layer below: {'; '.join(texts)}."
    ]
