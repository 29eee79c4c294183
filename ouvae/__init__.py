"""The science: Ornstein-Uhlenbeck smoothing, hierarchical VAEs, metrics, data and packed training.

The package does not use Ray, Optuna, MLflow or Arrow. Letters of shapes: B batch, L stochastic layers (z_1
next to the data, z_L the top), d_l the size of z_l, D pixels, P members of a pack, S distinct seeds of a
pack, K smoothing draws, I importance samples. All logarithms are natural, and metrics are in nats.
"""

NUMERICS_VERSION = 7
"""Rises with every change of a member's numbers. Tables hold it; members of two versions are never mixed."""

TRAINING_VERSION = 6
"""Part of a member's identity. Rises to `NUMERICS_VERSION` with every change of trained weights, not with a
change of the measurements only."""
