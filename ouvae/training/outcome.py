"""The results of training a member. Plain data, readable without torch."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Values: TypeAlias = dict[str, Any]
"""One measurement of one member: metrics by name, as numbers or lists over layers, z_1 first."""


@dataclass(frozen=True)
class Outcome:
    """The result of training a member.

    Attributes:
        history: its evaluations on the validation split: the metrics, and `step`, the steps before it.
        diverged_at_step: the step at which a loss or an evaluation was not finite; None if all were.
        test: its metrics on the test split after training; None without `bound_samples`, or if it diverged.
    """

    rho: float
    seed: int
    history: list[Values]
    diverged_at_step: int | None
    test: Values | None


@dataclass(frozen=True)
class Measured:
    """Metrics of a member at given weights.

    Attributes:
        validation: on the validation split, as in an evaluation after the last step.
        test: on the test split; None without `bound_samples`.
    """

    validation: Values
    test: Values | None


@dataclass(frozen=True)
class Sheet:
    """What a member makes of a few images, as bytes from 0 (black) to 255 (white): [n, *image_shape] each.

    Attributes:
        image_shape: (rows, columns) or (channels, rows, columns).
        unit: the unit of the top layer with the largest KL, counted from 1.
        unit_kl_nats: its KL from N(0, 1).
        images: observations of the validation split.
        reconstructions: means of p(x|z) at a draw of the posterior of each.
        samples: means of p(x|z) at draws of the prior.
        traversal: means of p(x|z) as the unit goes through its prior, with the other units at zero.
    """

    image_shape: tuple[int, ...]
    unit: int
    unit_kl_nats: float
    images: bytes
    reconstructions: bytes
    samples: bytes
    traversal: bytes
