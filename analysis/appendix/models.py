"""Selectors of the models that several tables of the appendix compare."""

from analysis.appendix.matching import Below, Beside, Condition, Unless
from analysis.appendix.published import PublishedRow

SMOOTHED = Below(1.0)
"""The condition on rho of an OU-VAE; rho = 1 is the model without smoothing."""

ACTIVATION: dict[str, Condition] = {"activation": Unless("relu")}
"""The activation of a published row: the one of the run, or the one that is not ReLU where it has two."""

RELU: dict[str, Condition] = {"activation": Beside("relu")}
"""ReLU where the run has another activation too: a row without published numbers."""

GENERATIVE: dict[str, Condition] = {"smoothed_networks": ("generative",)}
"""The reading of what is smoothed that stands beside the published rows: p(z_l|z_l+1) only."""

WITH_LIKELIHOOD: dict[str, Condition] = {"smoothed_networks": ("generative", "likelihood")}
"""The other reading: p(x|z_1) is smoothed too."""

WITH_INFERENCE: dict[str, Condition] = {"smoothed_networks": ("generative", "inference", "likelihood")}
"""The widest reading: the inference networks q(z_l+1|z_l) are smoothed too."""

VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": 1.0, **ACTIVATION}
IWAE: dict[str, Condition] = {"system": "vae", "objective": "iwae", "rho": 1.0, **ACTIVATION}
OU_VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": SMOOTHED, **ACTIVATION}


def with_relu(*rows: PublishedRow) -> tuple[PublishedRow, ...]:
    """Return rows, and one of our own for each, for runs that have ReLU beside another activation."""
    own = (
        PublishedRow(
            f"{row.label}, ReLU",
            {},
            {**row.where, **RELU},
            f"{row.baseline}, ReLU" if row.baseline else "",
        )
        for row in rows
    )
    return (*rows, *own)
