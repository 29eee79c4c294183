"""The claims of tables 6 to 10, decided by runs. Table 5 comes with none."""

from collections.abc import Iterable, Sequence

from analysis.appendix.claims import Claim, ClaimsOf, Evidence, Region, Rows
from analysis.appendix.compare import WITHOUT_REPLICATES, Replicates
from analysis.appendix.published import TABLE6, TABLE7, TABLE8, TABLE9, TABLE10
from analysis.appendix.runs import PaperRun
from analysis.intervals import Interval, difference, exact, ratio, student

STATED = "stated in the appendix"
READ_OFF = "limit read off the published numbers"
OURS = "limit set by this project"

SHARE_OF_WIDTHS = 0.10
"""Table 8: active units hardly change if they range over at most this share of what the widths allow."""

BOUND_RANGE_NATS = 5.0
"""Table 8: the ELBO varies if it ranges over more than this."""

PARAMETERS_TOLERANCE = 0.10
"""Table 10: counts of parameters agree if they differ by at most this share of the published one."""


def table6(run: PaperRun) -> tuple[Claim, ...]:
    """OU-VAEs against the other methods: top-layer KL and active units, paired by seed."""
    rows = Rows(TABLE6, run)
    smoothed = [row.label for row in TABLE6.rows if row.label.startswith("OU-VAE")]
    others = [row.label for row in TABLE6.rows if row.label not in smoothed]
    claims = []
    for key, words, unit in (
        ("kl_top", "a higher top-layer KL", "nats"),
        ("active", "more active units in the top layer", "units"),
    ):
        evidence = tuple(_difference(rows, one, other, key, unit) for one in smoothed for other in others)
        statement = (
            f"At the same budget each OU-VAE has {words} than VAE, IWAE, KL warm-up and free bits "
            "(differences of the same seed)."
        )
        claims.append(Claim("table6", statement, STATED, evidence, run.missing))
    return tuple(claims)


def _difference(rows: Rows, first: str, second: str, key: str, unit: str) -> Evidence:
    return Evidence(
        f"{first} minus {second}",
        difference(rows.ours(first, key), rows.ours(second, key)),
        Region(low=0),
        unit,
        rows.published(first, key) - rows.published(second, key),
        rows.unequal(first, second),
    )


def table7(run: PaperRun) -> tuple[Claim, ...]:
    """The Hermite VAE against the VAE: active units of the one layer, paired by seed."""
    evidence = _difference(Rows(TABLE7, run), "HVAE", "VAE", "active", "units")
    statement = "The Hermite VAE has more active units than the VAE (differences of the same seed)."
    return (Claim("table7", statement, STATED, (evidence,), run.missing),)


def table8(run: PaperRun) -> tuple[Claim, ...]:
    """Latent sizes: the range of the top two layers' active units beside that of the ELBO.

    For each seed that has all sizes: the largest less the smallest number of active units in the top two
    layers together, and the same of the bound. Active units that followed the sizes would range over
    twice the difference of the largest and smallest size.
    """
    rows = Rows(TABLE8, run)
    labels = [row.label for row in TABLE8.rows]
    sizes = [int(label.split("-")[0]) for label in labels]
    allowed = 2 * (max(sizes) - min(sizes))
    active = [rows.all_of(label, "active") for label in labels]
    bound = [rows.all_of(label, "bound") for label in labels]
    units = [_range(sum(own[seed][:2]) for own in active) for seed in _shared(active)]
    bounds = [_range(own[seed][0] for own in bound) for seed in _shared(bound)]
    published_units = _range(
        sum(rows.published(label, "active", layer) for layer in range(2)) for label in labels
    )
    published_bound = _range(rows.published(label, "bound") for label in labels)
    unequal = rows.unequal(*labels, apart_from=("latents",))
    evidence = (
        Evidence(
            f"range of the top two layers' active units over the sizes, of {allowed} that the sizes allow",
            student(units),
            Region(high=SHARE_OF_WIDTHS * allowed, closed=True),
            "units",
            published_units,
            unequal,
        ),
        Evidence(
            "range of the V. ELBO over the sizes",
            student(bounds),
            Region(low=BOUND_RANGE_NATS),
            "nats",
            published_bound,
            unequal,
        ),
    )
    statement = (
        "Over the latent sizes the active units of the top two layers hardly change (they range over at most "
        f"{SHARE_OF_WIDTHS:.0%} of what the sizes allow) while the V. ELBO varies (over more than "
        f"{BOUND_RANGE_NATS:g} nats)."
    )
    return (Claim("table8", statement, f"{STATED}; {OURS}", evidence, run.missing),)


def _shared(rows: Sequence[Replicates]) -> list[int]:
    """The replicates that all rows have."""
    return [key for key in rows[0] if all(key in row for row in rows)]


def _range(values: Iterable[float]) -> float:
    found = list(values)
    return max(found) - min(found)


def table9(run: PaperRun) -> tuple[Claim, ...]:
    """Seconds per epoch: ratios of the same round."""
    rows = Rows(TABLE9, run)
    claims = [
        ("IWAE", Region(high=1), "An epoch of the OU-VAE takes less time than one of the IWAE.", OURS, False),
        (
            "VAE",
            Region(high=1.10, closed=True),
            "On CUDA an epoch of the OU-VAE takes at most 1.10 times that of the VAE.",
            READ_OFF,
            True,
        ),
    ]
    return tuple(
        Claim("table9", text, basis, (_ratio(rows, "OU-VAE", other, "seconds", region, cuda),), run.missing)
        for other, region, text, basis, cuda in claims
    )


def _ratio(rows: Rows, first: str, second: str, key: str, region: Region, cuda: bool = False) -> Evidence:
    own, other = rows.ours(first, key), rows.ours(second, key)
    return Evidence(
        f"{first} divided by {second}",
        _without_replicates(own, other) if key in WITHOUT_REPLICATES else ratio(own, other),
        region,
        "",
        rows.published(first, key) / rows.published(second, key),
        _unlike(rows, first, second, cuda),
    )


def _without_replicates(first: dict[int, float], second: dict[int, float]) -> Interval | None:
    return exact(first[0] / second[0]) if first and second and second[0] else None


def _unlike(rows: Rows, first: str, second: str, cuda: bool) -> str:
    """Why two costs cannot be compared; empty if they can."""
    found = [*rows.rows_of(first), *rows.rows_of(second)]
    devices = {row["device"] for row in found}
    kinds = {row["memory_kind"] for row in found}
    if len(devices) > 1 or len(kinds) > 1:
        return f"they were measured unlike: {', '.join(sorted(devices | kinds))}"
    if cuda and devices and not all(device.startswith("cuda") for device in devices):
        return f"measured on {devices.pop()}"
    return rows.unequal(first, second)


def table10(run: PaperRun) -> tuple[Claim, ...]:
    """Memory of the OU-VAE relative to VAE and IWAE of as many layers, and counts of parameters."""
    rows = Rows(TABLE10, run)
    claims = []
    for layers in (4, 6):
        text = f"With {layers} layers the OU-VAE takes at most 1.76 times the memory of the VAE."
        names = [f"{model}, {layers} layers" for model in ("OU-VAE", "VAE", "IWAE")]
        small = _ratio(rows, names[0], names[1], "memory", Region(high=1.76, closed=True))
        claims.append(Claim("table10", text, OURS, (small,), run.missing))
        text = f"With {layers} layers the OU-VAE takes less than half the memory of the IWAE."
        large = _ratio(rows, names[0], names[2], "memory", Region(high=0.5))
        claims.append(Claim("table10", text, READ_OFF, (large,), run.missing))
    evidence = tuple(_parameters(rows, row.label) for row in TABLE10.rows)
    share = f"{PARAMETERS_TOLERANCE:.0%}"
    text = f"The models have the published number of parameters, within {share}."
    claims.append(Claim("table10", text, OURS, evidence, run.missing))
    return tuple(claims)


def _parameters(rows: Rows, label: str) -> Evidence:
    own, published = rows.ours(label, "parameters"), rows.published(label, "parameters")
    return Evidence(
        f"{label}: ours divided by the published count",
        exact(own[0] / published) if own else None,
        Region(1 - PARAMETERS_TOLERANCE, 1 + PARAMETERS_TOLERANCE, closed=True),
        "",
        1.0,
    )


TABLE_CLAIMS: dict[str, ClaimsOf] = {
    "table6": table6,
    "table7": table7,
    "table8": table8,
    "table9": table9,
    "table10": table10,
}
"""The claims of the tables by name."""
