"""Table 10: the memory of a training step, and the number of parameters.

The appendix does not say which networks are smoothed. Each smoothed network takes memory: from 4 to 6 layers,
what the OU-VAE takes above the VAE grows by a factor that depends on what is smoothed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from analysis.appendix.charts import Panel
from analysis.appendix.claims import OURS, READ_OFF, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.matching import (
    GENERATIVE,
    IWAE,
    OU_VAE,
    VAE,
    WITH_INFERENCE,
    WITH_LIKELIHOOD,
    Condition,
)
from analysis.appendix.published import Column, PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.appendix.table_evidence import Rows
from analysis.statistics.intervals import exact

PARAMETERS_TOLERANCE = 0.10
"""Counts of parameters agree if they differ by at most this share of the published one."""

READING_TOLERANCE = 0.10
"""A reading fits if its factor differs by at most this share of the published one."""

OF_VAE: Mapping[int, float] = {4: 1.76, 6: 1.88}
"""Memory of the OU-VAE relative to the VAE of as many layers, as printed."""

READINGS: Mapping[str, tuple[str, float, Mapping[str, Condition]]] = {
    "": ("p(z_l|z_l+1) only", 5 / 3, GENERATIVE),
    ", p(x|z_1) too": ("p(x|z_1) too", 1.28, WITH_LIKELIHOOD),
    ", p(x|z_1) and q too": ("p(x|z_1) and q(z_l+1|z_l) too", 1.39, WITH_INFERENCE),
}
"""What may be smoothed, by how the rows' labels end: in words, the expected factor, and the selector.

5/3 follows from the numbers of smoothed networks. The other two are earlier counts of these networks.
"""


def _row(
    model: str, layers: int, memory: float, parameters: float, where: Mapping[str, Condition]
) -> PublishedRow:
    is_vae = where.get("system") == "vae"
    return PublishedRow(
        f"{model}, {layers} layers",
        {"layers": layers, "memory": memory, "parameters": parameters},
        {**where, "depth": layers} if is_vae else where,
        baseline=f"VAE, {layers} layers" if is_vae else "VAE, 4 layers",
    )


def _readings(layers: int, memory: float, parameters: float) -> Iterator[PublishedRow]:
    """The OU-VAE of so many layers, once for each reading of what is smoothed."""
    for ending, (_, _, networks) in READINGS.items():
        first = _row("OU-VAE", layers, memory, parameters, {**OU_VAE, **networks})
        of = first.label if ending else ""
        yield replace(first, label=first.label + ending, reading_of=of)


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
        *_readings(4, 3.74, 12.4),
        *_readings(6, 4.6, 16.8),
    ),
    budget="batch size 64",
    note="Ours is in GiB. Memory is relative to the VAE of as many layers, that of LVAE and BIVA to the "
    "4-layer VAE. The appendix does not say which networks are smoothed: rows of the OU-VAE with the same "
    "published numbers are readings of it.",
)


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Memory of the OU-VAE relative to VAE and IWAE of as many layers, and counts of parameters."""
    rows = Rows(TABLE, run)
    decided = []
    for layers in (4, 6):
        ou_vae, vae, iwae = (f"{model}, {layers} layers" for model in ("OU-VAE", "VAE", "IWAE"))
        limit = OF_VAE[layers]
        text = f"With {layers} layers the OU-VAE takes at most {limit:g} times the VAE's memory, as printed."
        of_vae = rows.cost_ratio(ou_vae, vae, "memory", Region(high=limit, closed=True))
        decided.append(Claim(text, READ_OFF, (of_vae,)))
        text = f"With {layers} layers the OU-VAE takes less than half the memory of the IWAE."
        of_iwae = rows.cost_ratio(ou_vae, iwae, "memory", Region(high=0.5))
        decided.append(Claim(text, READ_OFF, (of_iwae,)))
    text = f"The models have the published number of parameters, within {PARAMETERS_TOLERANCE:.0%}."
    printed = [row.label for row in TABLE.rows if not row.reading_of]
    decided.append(Claim(text, OURS, tuple(_parameters(rows, label) for label in printed)))
    for ending, (words, expected, _) in READINGS.items():
        text = (
            f"Smoothing {words} fits the published memory: from 4 to 6 layers, what the OU-VAE takes above "
            f"the VAE grows by the published factor, within {READING_TOLERANCE:.0%} (expected: "
            f"{expected:.2f})."
        )
        decided.append(Claim(text, OURS, (_growth(rows, ending),)))
    return tuple(decided)


def _growth(rows: Rows, ending: str) -> Evidence:
    """The factor by which the memory above the VAE's grows from 4 to 6 layers, ours and published."""
    labels = [(f"OU-VAE, {layers} layers{ending}", f"VAE, {layers} layers") for layers in (4, 6)]
    ours = [[rows.ours(label, "memory").get(0) for label in pair] for pair in labels]
    above = [ou_vae - vae for ou_vae, vae in ours if ou_vae is not None and vae is not None]
    published = [rows.published(ou_vae, "memory") - rows.published(vae, "memory") for ou_vae, vae in labels]
    factor = published[1] / published[0]
    low, high = (round(share * factor, 2) for share in (1 - READING_TOLERANCE, 1 + READING_TOLERANCE))
    return Evidence(
        f"memory above the VAE's, 6 layers divided by 4{ending}",
        exact(above[1] / above[0]) if len(above) == 2 and above[0] > 0 else None,
        Region(low, high, closed=True),
        "",
        factor,
        rows.measured_unlike("memory", *(ou_vae for ou_vae, _ in labels), *(vae for _, vae in labels)),
    )


def _parameters(rows: Rows, label: str) -> Evidence:
    ours, published = rows.ours(label, "parameters"), rows.published(label, "parameters")
    return Evidence(
        f"{label}: ours divided by the published count",
        exact(ours[0] / published) if ours else None,
        Region(1 - PARAMETERS_TOLERANCE, 1 + PARAMETERS_TOLERANCE, closed=True),
        "",
        1.0,
    )


def words(run: PaperRun) -> list[str]:
    """Say what the OU-VAE takes above the VAE, as a share of what the IWAE takes above it."""
    rows = Rows(TABLE, run)

    def shares(memory: Callable[[str], float | None], ending: str = "") -> str:
        texts = []
        for layers in (4, 6):
            labels = f"OU-VAE, {layers} layers{ending}", f"IWAE, {layers} layers", f"VAE, {layers} layers"
            ou_vae, iwae, vae = map(memory, labels)
            if ou_vae is None or iwae is None or vae is None or iwae <= vae:
                return ""
            texts.append(f"{(ou_vae - vae) / (iwae - vae):.2f}")
        return " and ".join(texts)

    ours = {
        reading: shares(lambda label: rows.ours(label, "memory").get(0), ending)
        for ending, (reading, _, _) in READINGS.items()
    }
    measured = [f"{reading} {text}" for reading, text in ours.items() if text]
    if not measured:
        return []
    return [
        "A second number depends on what is smoothed: what the OU-VAE takes above the VAE, as a share of "
        "what the IWAE takes above it, with 4 and with 6 layers. Published: "
        f"{shares(lambda label: rows.published(label, 'memory'))}. Ours, by what is "
        f"smoothed: {'; '.join(measured)}. It depends on the sizes of the latents too, which are ours."
    ]


EXHIBIT = Exhibit(
    name="table10",
    title="Maximum memory on CIFAR-10, batches of 64, 5 OU or importance samples",
    source="costs",
    table=TABLE,
    panels=(Panel("memory_ratio", "memory / VAE's"), Panel("parameters", "parameters (millions)")),
    claims=claims,
    words=words,
)
