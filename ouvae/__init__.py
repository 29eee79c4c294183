"""The science: Ornstein-Uhlenbeck smoothing, hierarchical VAEs, metrics, data and packed training.

Knows nothing of Ray, Optuna, MLflow or Arrow. Shapes are written with one legend throughout: B batch,
L stochastic layers (z_1 next to the data, z_L the top), d_l the size of z_l, D pixels, P members of a
pack, S distinct seeds of a pack, K smoothing samples, I importance samples. Every logarithm is natural:
metrics are in nats.
"""

NUMERICS_VERSION = 6
"""Raised by every change of a member's numbers. Tables hold it, and members of two versions are not mixed."""

TRAINING_VERSION = 6
"""Part of a member's identity. Raised, to `NUMERICS_VERSION`, by every change of the weights that training
arrives at; a change only of what is measured of them leaves it."""
