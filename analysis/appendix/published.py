"""The numbers of the paper's appendix as data: tables 5 to 10, and what figures 4 to 6 show.

Pervez and Gavves, "Spectral Smoothing Unveils Phase Transitions in Hierarchical Variational
Autoencoders", ICML 2021 (PMLR 139:8536-8545), appendix A. Each row of a table says with a selector
which rows of a run's members or costs are ours; see `analysis.appendix.matching`.

Units: nats, seconds, G (as printed: the appendix does not say whether 10^9 or
2^30 bytes) and millions of parameters. Active units are listed top to bottom, as the appendix does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from analysis.appendix.matching import Above, Below, Condition, OneOf, Where

Value: TypeAlias = float | tuple[int, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `quantity` names what of ours stands beside it (`analysis.appendix.compare.QUANTITIES`), `where` restricts
    the rows' selectors further. A `ratio` column is the quantity divided by that of the row's baseline.
    """

    key: str
    header: str
    quantity: str
    where: Where = field(default_factory=dict)
    ratio: bool = False


@dataclass(frozen=True)
class PublishedRow:
    """A row: its label, its numbers by the columns' keys, and which rows of our runs it is.

    `baseline` is the label of the row that ratios refer to.
    """

    label: str
    values: Mapping[str, Value]
    where: Where
    baseline: str = ""


@dataclass(frozen=True)
class PublishedTable:
    """A table of the appendix. `source` is the table of a run that ours come from, `members` or `costs`.

    `budget` says how the published models were trained or measured, as far as the appendix does, and
    `note` what a reader must know to compare.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[PublishedRow, ...]
    budget: str
    note: str = ""
    source: str = "members"

    def row(self, label: str) -> PublishedRow:
        """Return the row of that label; KeyError if there is none."""
        for row in self.rows:
            if row.label == label:
                return row
        raise KeyError(label)


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of the appendix: what it shows, and the claim that is tested."""

    name: str
    title: str
    shows: str
    claim: str


SMOOTHED = Below(1.0)
"""The condition on rho of an OU-VAE; rho = 1 is the model without smoothing."""

STATIC_MNIST = OneOf(("mnist_static", "mnist_fixed"))
"""The condition on the data set of static MNIST: the public binarization, or one of the project's own."""

_BOUND_NOTE = (
    "V. ELBO is a bound on the validation split in the appendix (its text says validation ELBO); ours is the "
    "importance-weighted bound L_k on the test split, with k and the number of images in the settings below."
)
_ACTIVE = Column("active", "Active units, top to bottom", "active")


def _latents(size: int) -> dict[str, Condition]:
    return {"latents": (size,) * 4}


TABLE5 = PublishedTable(
    "table5",
    "Test ELBO of convolutional models on static MNIST and OMNIGLOT",
    (
        Column("mnist", "MNIST (nats)", "bound", {"dataset": STATIC_MNIST}),
        Column("omniglot", "OMNIGLOT (nats)", "bound", {"dataset": "omniglot"}),
    ),
    (
        PublishedRow(
            "VAE (L=2)",
            {"mnist": -82.41, "omniglot": -97.65},
            {"system": "vae", "objective": "elbo", "rho": 1.0, "depth": 2},
        ),
        PublishedRow(
            "VampPrior (L=2)", {"mnist": -81.09, "omniglot": -97.56}, {"system": "vampprior", "depth": 2}
        ),
        PublishedRow(
            "OU-VAE (L=4)",
            {"mnist": -81.58, "omniglot": -96.08},
            {"system": "vae", "objective": "elbo", "rho": SMOOTHED, "depth": 4},
        ),
    ),
    budget="not stated",
    note="The appendix gives L_5000 for its OU-VAE. Ours is the importance-weighted bound L_k on the test "
    "split, with k and the number of images in the settings below.",
)

_VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "kl_warmup": 0, "rho": 1.0}

TABLE6 = PublishedTable(
    "table6",
    "Posterior collapse on static MNIST: top-layer KL and active units of 4 layers of 40 units",
    (
        Column("bound", "V. ELBO, L_100 (nats)", "bound"),
        Column("kl_top", "Top KLD (nats)", "kl_top"),
        _ACTIVE,
    ),
    (
        PublishedRow("VAE", {"bound": -86.4, "kl_top": 0.82, "active": (1, 3, 9, 17)}, _VAE),
        PublishedRow(
            "IWAE (5 samples)",
            {"bound": -84.9, "kl_top": 1.005, "active": (1, 3, 9, 24)},
            {"system": "vae", "objective": "iwae", "importance_samples": 5, "rho": 1.0},
        ),
        PublishedRow(
            "VAE+KL",
            {"bound": -84.5, "kl_top": 1.2, "active": (2, 3, 11, 37)},
            _VAE | {"kl_warmup": Above(0)},
        ),
        PublishedRow(
            "VAE+Freebits",
            {"bound": -87, "kl_top": 1.3, "active": (1, 1, 8, 17)},
            {"system": "vae", "objective": "free_bits", "rho": 1.0},
        ),
        PublishedRow(
            "OU-VAE (ρ = 0.85)",
            {"bound": -85.2, "kl_top": 20.6, "active": (40, 40, 40, 24)},
            _VAE | {"rho": 0.85},
        ),
        PublishedRow(
            "OU-VAE (ρ = 0.9)",
            {"bound": -85.5, "kl_top": 19.5, "active": (40, 40, 40, 40)},
            _VAE | {"rho": 0.9},
        ),
        PublishedRow(
            "OU-VAE+KL (ρ = 0.95)",
            {"bound": -84.2, "kl_top": 23.5, "active": (38, 34, 17, 40)},
            _VAE | {"rho": 0.95, "kl_warmup": Above(0)},
        ),
    ),
    budget="1,000,000 steps",
    note=_BOUND_NOTE,
)

TABLE7 = PublishedTable(
    "table7",
    "Active units of a Hermite VAE and of a VAE with one layer of 64 units, dynamic MNIST",
    (
        Column("bound", "V. ELBO (nats)", "bound"),
        Column("elbo", "ELBO (nats)", "elbo"),
        Column("active", "Active units", "active"),
    ),
    (
        PublishedRow("VAE", {"bound": -89.7, "active": (18,)}, {"system": "vae", "rho": 1.0}),
        PublishedRow("HVAE", {"bound": -85.1, "active": (31,)}, {"system": "hermite"}),
    ),
    budget="1,000,000 steps",
    note="The appendix names no L_k here, so that our ELBO stands beside our L_k. " + _BOUND_NOTE,
)

TABLE8 = PublishedTable(
    "table8",
    "Latent sizes of a 4-layer MLP model on MNIST, trained with KL annealing",
    (
        Column("bound", "V. ELBO, L_100 (nats)", "bound"),
        Column("kl", "KLD (nats)", "kl"),
        Column("kl_top", "Top KLD (nats)", "kl_top"),
        _ACTIVE,
    ),
    (
        PublishedRow(
            "40-40-40-40",
            {"bound": -84.73, "kl": 28.07, "kl_top": 1.13, "active": (1, 6, 15, 40)},
            _latents(40),
        ),
        PublishedRow(
            "30-30-30-30",
            {"bound": -88.7, "kl": 26.5, "kl_top": 0.69, "active": (1, 6, 13, 30)},
            _latents(30),
        ),
        PublishedRow(
            "20-20-20-20",
            {"bound": -85.4, "kl": 23.9, "kl_top": 1.38, "active": (1, 5, 12, 20)},
            _latents(20),
        ),
        PublishedRow(
            "10-10-10-10",
            {"bound": -90.47, "kl": 18.38, "kl_top": 1.30, "active": (2, 3, 9, 10)},
            _latents(10),
        ),
        PublishedRow(
            "5-5-5-5",
            {"bound": -104.36, "kl": 12.59, "kl_top": 0.636, "active": (1, 3, 5, 5)},
            _latents(5),
        ),
    ),
    budget="1,000,000 steps",
    note=_BOUND_NOTE,
)

_COST_VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": 1.0}
_COST_IWAE: dict[str, Condition] = {"system": "vae", "objective": "iwae", "rho": 1.0}
_COST_OU: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": SMOOTHED}

TABLE9 = PublishedTable(
    "table9",
    "Time per epoch of a 4-layer MLP model on MNIST",
    (
        Column("seconds", "Time per epoch (s)", "seconds"),
        Column("seconds_ratio", "Relative to the VAE", "seconds", ratio=True),
    ),
    (
        PublishedRow("VAE", {"seconds": 4.2}, _COST_VAE, baseline="VAE"),
        PublishedRow("IWAE", {"seconds": 4.4}, _COST_IWAE, baseline="VAE"),
        PublishedRow("OU-VAE", {"seconds": 4.6}, _COST_OU, baseline="VAE"),
    ),
    budget="not stated",
    note="Seconds belong to a machine; the ratios are what can be compared.",
    source="costs",
)


def _memory(
    model: str, layers: int, memory: float, parameters: float, where: dict[str, Condition]
) -> PublishedRow:
    own = where.get("system") == "vae"
    return PublishedRow(
        f"{model}, {layers} layers",
        {"layers": layers, "memory": memory, "parameters": parameters},
        where | ({"depth": layers} if own else {}),
        baseline=f"VAE, {layers} layers" if own else "VAE, 4 layers",
    )


TABLE10 = PublishedTable(
    "table10",
    "Maximum memory on CIFAR-10, batches of 64, 5 OU or importance samples",
    (
        Column("layers", "Layers", "layers"),
        Column("memory", "Memory (G)", "memory"),
        Column("memory_ratio", "Relative to the VAE", "memory", ratio=True),
        Column("parameters", "Parameters (M)", "parameters"),
    ),
    (
        _memory("VAE", 4, 2.12, 12.4, _COST_VAE),
        _memory("VAE", 6, 2.45, 16.8, _COST_VAE),
        _memory("IWAE", 4, 8.59, 12.4, _COST_IWAE),
        _memory("IWAE", 6, 10.5, 16.8, _COST_IWAE),
        _memory("LVAE", 15, 6.4, 59.5, {"system": "lvae"}),
        _memory("BIVA", 15, 10.3, 103, {"system": "biva"}),
        _memory("OU-VAE", 4, 3.74, 12.4, _COST_OU),
        _memory("OU-VAE", 6, 4.6, 16.8, _COST_OU),
    ),
    budget="batch size 64",
    note="Ours is in GiB. Memory is relative to the VAE of as many layers, that of LVAE and BIVA to the "
    "4-layer VAE.",
    source="costs",
)

TABLES = {table.name: table for table in (TABLE5, TABLE6, TABLE7, TABLE8, TABLE9, TABLE10)}
"""The tables of the appendix by name."""

FIGURES = {
    figure.name: figure
    for figure in (
        PublishedFigure(
            "figure4",
            "Gradient variance with and without smoothing",
            "Variance of the gradient with respect to the mean output of the first encoder layer, over 100 "
            "samples, measured while a 4-layer VAE is trained; smoothing with ρ = 0.8.",
            "Smoothing lowers the gradient's variance (its geometric mean over training, at the same seed).",
        ),
        PublishedFigure(
            "figure5",
            "Top-layer KL against ρ on OMNIGLOT",
            "MLP models of 3, 4 and 5 stochastic layers, with several latent sizes each.",
            "At each depth, ρ_c is lower for larger latents (each size against the next larger one).",
        ),
        PublishedFigure(
            "figure6",
            "Top-layer KL against ρ on MNIST, MLP and convolutional",
            "An MLP model (left) and a convolutional one (right).",
            "The transition of the convolutional model is steeper than that of the MLP model. Steepness: the "
            "slope of a seed's top-layer KL over 0.1 of ρ from ρ_c on, geometric mean over seeds.",
        ),
    )
}
"""The figures of the appendix by name; its text carries no numbers of them but figure 4's."""

NAMES = (*TABLES, *FIGURES)
"""Every table and figure that there is, in the order of the page."""
