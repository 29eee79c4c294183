"""Selectors of the models that several tables of the appendix compare."""

from analysis.appendix.matching import Below, Condition

SMOOTHED = Below(1.0)
"""The condition on rho of an OU-VAE; rho = 1 is the model without smoothing."""

VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": 1.0}
IWAE: dict[str, Condition] = {"system": "vae", "objective": "iwae", "rho": 1.0}
OU_VAE: dict[str, Condition] = {"system": "vae", "objective": "elbo", "rho": SMOOTHED}
