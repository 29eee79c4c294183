"""What is measured of a member: a line each, from which the columns of tables and MLflow's metrics follow.

A new metric is a line here and an entry of what `ouvae.training.evaluation` returns, under the same name.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Metric:
    """A number, or one a layer, of a member after some training steps.

    Attributes:
        name: the column's, ending in `_nats` where that is its unit.
        unit: `nats`, `steps`, or `1` for other numbers and counts.
        description: what it is; where it is measured is said by the table.
        per_layer: whether it is a list, z_1 first.
        whole: whether it is a count.
        condition: where it is null besides members that were lost.
    """

    name: str
    unit: str
    description: str
    per_layer: bool = False
    whole: bool = False
    condition: str = ""


_UNSMOOTHED = (
    Metric("kl_top_nats", "nats", "KL divergence of the top layer z_L, mean over images"),
    Metric("kl_top_nats_sd", "nats", "standard deviation over images of the top layer's KL divergence"),
    Metric("kl_nats", "nats", "KL divergence of each layer, mean over images", per_layer=True),
    Metric(
        "elbo_nats",
        "nats",
        "evidence lower bound per observation without smoothing, the larger the better",
    ),
    Metric(
        "reconstruction_nats",
        "nats",
        "expected log p(x|z_1) per observation under the inference network, without smoothing; elbo_nats is "
        "this minus the sum of kl_nats",
    ),
    Metric(
        "active_units",
        "1",
        "active latent units of each layer (the paper lists the top first)",
        per_layer=True,
        whole=True,
    ),
)
"""Measured without smoothing: at each evaluation on the validation split, and once on the test split."""

_GRADIENT = (
    "variance over noise draws of the gradient of the loss with respect to the mean output of the first "
    "encoder layer, averaged over images and coordinates"
)


def _measured_on(split: str, prefix: str, metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    return tuple(
        replace(metric, name=prefix + metric.name, description=f"{metric.description}, on the {split} split")
        for metric in metrics
    )


METRICS = _measured_on(
    "validation",
    "",
    (
        *_UNSMOOTHED,
        Metric(
            "objective_nats",
            "nats",
            "smoothed objective per observation; at small rho it need not be a lower bound",
        ),
        *(
            Metric(name, "1", f"{_GRADIENT}, {how} smoothing", condition="gradient_samples is null")
            for name, how in (("gradient_variance", "without"), ("gradient_variance_smoothed", "with"))
        ),
    ),
)
"""Measured at each evaluation."""

TEST_METRICS = tuple(
    replace(metric, condition="bound_samples is null")
    for metric in (
        Metric("selected_step", "steps", "optimizer steps of the weights measured on the test split"),
        Metric(
            "test_bound_nats",
            "nats",
            "importance weighted bound L_k on log p(x), k = bound_samples, mean over the test split",
        ),
        *_measured_on("test", "test_", _UNSMOOTHED),
    )
)
"""Measured once, at the end, of the weights that `select` names."""
