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
