"""Selectors of the models that several tables of the appendix compare."""

from analysis.appendix.matching import Below, Beside, Condition, Unless
from analysis.appendix.published import PublishedRow

SMOOTHED = Below(1.0)
"""The condition on rho of an OU-VAE; rho = 1 is the model without smoothing."""

ACTIVATION: dict[str, Condition] = {"activation": Unless("relu")}
"""The activation of a published row: any but ReLU, unless the run has ReLU only."""

RELU: dict[str, Condition] = {"activation": Beside("relu")}
"""ReLU in a run that has other activations too, for a row without published numbers."""

GENERATIVE: dict[str, Condition] = {"smoothed_networks": ("generative",)}
"""The reading of the paper that published rows are compared with: only p(z_l|z_l+1) is smoothed."""

WITH_LIKELIHOOD: dict[str, Condition] = {"smoothed_networks": ("generative", "likelihood")}
"""The other reading: p(x|z_1) is smoothed too."""

WITH_INFERENCE: dict[str, Condition] = {"smoothed_networks": ("generative", "inference", "likelihood")}
"""The widest reading: the inference networks q(z_l+1|z_l) are smoothed too."""

VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": 1.0, **ACTIVATION}
IWAE: dict[str, Condition] = {"system": "vae", "objective": "iwae", "rho": 1.0, **ACTIVATION}
OU_VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": SMOOTHED, **ACTIVATION}


def with_relu(*rows: PublishedRow) -> tuple[PublishedRow, ...]:
    """Return the rows and a copy of each with ReLU, for runs that have ReLU and another activation."""
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
