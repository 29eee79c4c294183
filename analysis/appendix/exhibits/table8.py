"""Table 8: latent sizes of a VAE with four layers, to tell selection of variables from collapse."""

import numpy as np

from analysis.appendix.charts import Panel
from analysis.appendix.claims import OURS, STATED, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.matching import ACTIVATION
from analysis.appendix.published import (
    ACTIVE_UNITS,
    BOUND_NOTE,
    Column,
    PublishedRow,
    PublishedTable,
    Value,
    with_relu,
)
from analysis.appendix.runs import PaperRun
from analysis.appendix.table_evidence import Rows
from analysis.statistics.intervals import student

SHARE_OF_WIDTHS = 0.10
"""Active units hardly change if they range over at most this share of what the widths allow."""

BOUND_RANGE_NATS = 5.0
"""The ELBO varies if it ranges over more than this."""


def _row(size: int, bound: float, kl: float, kl_top: float, active: tuple[int, ...]) -> PublishedRow:
    latents = (size,) * 4
    values: dict[str, Value] = {"bound": bound, "kl": kl, "kl_top": kl_top, "active": active}
    return PublishedRow("-".join(map(str, latents)), values, {"latents": latents, **ACTIVATION})


TABLE = PublishedTable(
    columns=(
        Column("bound", "V. ELBO, L_100 (nats)", "bound"),
        Column("kl", "KLD (nats)", "kl"),
        Column("kl_top", "Top KLD (nats)", "kl_top"),
        ACTIVE_UNITS,
    ),
    rows=with_relu(
        _row(40, -84.73, 28.07, 1.13, (1, 6, 15, 40)),
        _row(30, -88.7, 26.5, 0.69, (1, 6, 13, 30)),
        _row(20, -85.4, 23.9, 1.38, (1, 5, 12, 20)),
        _row(10, -90.47, 18.38, 1.30, (2, 3, 9, 10)),
        _row(5, -104.36, 12.59, 0.636, (1, 3, 5, 5)),
    ),
    budget="1,000,000 steps",
    note=BOUND_NOTE,
)


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Latent sizes: the range of the top two layers' active units beside that of the ELBO."""
    rows = Rows(TABLE, run)
    sizes = [int(label.split("-")[0]) for label in _labels()]
    # Active units that followed the sizes would range over twice their difference, in two layers.
    allowed = 2 * (max(sizes) - min(sizes))
    units = _range_over_sizes(
        rows,
        "active",
        f"range of the top two layers' active units over the sizes, of {allowed} that the sizes allow",
        Region(high=SHARE_OF_WIDTHS * allowed, closed=True),
        "units",
        layers=2,
    )
    bound = _range_over_sizes(
        rows, "bound", "range of the V. ELBO over the sizes", Region(low=BOUND_RANGE_NATS), "nats"
    )
    statement = (
        "Over the latent sizes the active units of the top two layers hardly change (they range over at most "
        f"{SHARE_OF_WIDTHS:.0%} of what the sizes allow) while the V. ELBO varies (over more than "
        f"{BOUND_RANGE_NATS:g} nats)."
    )
    return (Claim(statement, f"{STATED}; {OURS}", (units, bound)),)


def _labels() -> list[str]:
    return [row.label for row in TABLE.rows if row.values]


def _range_over_sizes(
    rows: Rows, key: str, what: str, region: Region, unit: str, layers: int = 1
) -> Evidence:
    """The range over the sizes of a number, summed over the top layers, of each seed that has all sizes."""
    labels = _labels()
    ours = [rows.all_of(label, key) for label in labels]
    seeds = [seed for seed in ours[0] if all(seed in by_seed for by_seed in ours)]
    ranges = [float(np.ptp([sum(by_seed[seed][:layers]) for by_seed in ours])) for seed in seeds]
    published = [sum(rows.published(label, key, layer) for layer in range(layers)) for label in labels]
    unusable = rows.unequal(key, *labels, apart_from=("latents",))
    return Evidence(what, student(ranges), region, unit, float(np.ptp(published)), unusable)


EXHIBIT = Exhibit(
    name="table8",
    title="Latent sizes of a 4-layer MLP model on MNIST, trained with KL annealing",
    table=TABLE,
    panels=(
        Panel("active", "active units, top two layers", entries=2),
        Panel("bound", "bound (nats)"),
        Panel("kl_top", "top-layer KL (nats)"),
    ),
    chosen="hidden layers and learning rate were chosen on seeds 0 to 4, the activation after a run of ReLU "
    "on seeds 1000 to 1002",
    fresh_from=2000,
    claims=claims,
)
