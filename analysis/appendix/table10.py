"""Table 10: the memory of a training step, and the number of parameters."""

from collections.abc import Mapping
from functools import partial

from analysis.appendix.claims import OURS, READ_OFF, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.matching import Condition
from analysis.appendix.models import IWAE, OU_VAE, VAE
from analysis.appendix.published import Column, PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.appendix.table_drawing import Panel, plot_table
from analysis.appendix.table_evidence import Rows
from analysis.intervals import exact

PARAMETERS_TOLERANCE = 0.10
"""Counts of parameters agree if they differ by at most this share of the published one."""


def _row(
    model: str, layers: int, memory: float, parameters: float, where: Mapping[str, Condition]
) -> PublishedRow:
    own = where.get("system") == "vae"
    return PublishedRow(
        f"{model}, {layers} layers",
        {"layers": layers, "memory": memory, "parameters": parameters},
        {**where, "depth": layers} if own else where,
        baseline=f"VAE, {layers} layers" if own else "VAE, 4 layers",
    )


TABLE = PublishedTable(
    columns=(
        Column("layers", "Layers", "layers"),
        Column("memory", "Memory (G)", "memory"),
        Column("memory_ratio", "Relative to the VAE", "memory", ratio=True),
        Column("parameters", "Parameters (M)", "parameters"),
    ),
    rows=(
        _row("VAE", 4, 2.12, 12.4, VAE),
        _row("VAE", 6, 2.45, 16.8, VAE),
        _row("IWAE", 4, 8.59, 12.4, IWAE),
        _row("IWAE", 6, 10.5, 16.8, IWAE),
        _row("LVAE", 15, 6.4, 59.5, {"system": "lvae"}),
        _row("BIVA", 15, 10.3, 103, {"system": "biva"}),
        _row("OU-VAE", 4, 3.74, 12.4, OU_VAE),
        _row("OU-VAE", 6, 4.6, 16.8, OU_VAE),
    ),
    budget="batch size 64",
    note="Ours is in GiB. Memory is relative to the VAE of as many layers, that of LVAE and BIVA to the "
    "4-layer VAE.",
)

PANELS = (Panel("memory_ratio", "memory / VAE's"), Panel("parameters", "parameters (millions)"))


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Memory of the OU-VAE relative to VAE and IWAE of as many layers, and counts of parameters."""
    rows = Rows(TABLE, run)
    found = []
    for layers in (4, 6):
        ou_vae, vae, iwae = (f"{model}, {layers} layers" for model in ("OU-VAE", "VAE", "IWAE"))
        text = f"With {layers} layers the OU-VAE takes at most 1.76 times the memory of the VAE."
        of_vae = rows.cost_ratio(ou_vae, vae, "memory", Region(high=1.76, closed=True))
        found.append(Claim(text, OURS, (of_vae,), run.missing))
        text = f"With {layers} layers the OU-VAE takes less than half the memory of the IWAE."
        of_iwae = rows.cost_ratio(ou_vae, iwae, "memory", Region(high=0.5))
        found.append(Claim(text, READ_OFF, (of_iwae,), run.missing))
    text = f"The models have the published number of parameters, within {PARAMETERS_TOLERANCE:.0%}."
    found.append(Claim(text, OURS, tuple(_parameters(rows, row.label) for row in TABLE.rows), run.missing))
    return tuple(found)


def _parameters(rows: Rows, label: str) -> Evidence:
    own, published = rows.ours(label, "parameters"), rows.published(label, "parameters")
    return Evidence(
        f"{label}: ours divided by the published count",
        exact(own[0] / published) if own else None,
        Region(1 - PARAMETERS_TOLERANCE, 1 + PARAMETERS_TOLERANCE, closed=True),
        "",
        1.0,
    )


EXHIBIT = Exhibit(
    name="table10",
    title="Maximum memory on CIFAR-10, batches of 64, 5 OU or importance samples",
    source="costs",
    table=TABLE,
    claims=claims,
    plot=partial(plot_table, TABLE, PANELS),
)
