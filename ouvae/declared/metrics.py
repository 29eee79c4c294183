"""The metrics of a member. Columns of tables and metrics in MLflow follow from their declarations.

A new metric is a line here, and an entry of that name in what `ouvae.training.evaluation` returns.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Metric:
    """A number, or a list of numbers, of a member after some training steps.

    Attributes:
        name: name of the column; it ends in `_nats` for this unit.
        unit: `nats`, `steps`, or `1` for other numbers and counts.
        description: its meaning.
        per_layer: whether it is a list over layers, z_1 first.
        per_unit: whether it is a list over the latent units of z_L, the largest first.
        whole: whether it is a count.
        condition: when it is null, other than for lost members.
        undefined: when a completed member's value, or its entry for a layer, is null.
    """

    name: str
    unit: str
    description: str
    per_layer: bool = False
    per_unit: bool = False
    whole: bool = False
    condition: str = ""
    undefined: str = ""


_OVER_DRAWS = "over 16 draws of the layers below, from at most 500 images"

_UNSMOOTHED = (
    Metric("kl_top_nats", "nats", "KL divergence of the top layer z_L, mean over images"),
    Metric("kl_top_nats_sd", "nats", "standard deviation over images of the top layer's KL divergence"),
    Metric(
        "kl_top_pair_nats",
        "nats",
        "sum of the bound's terms of the two top layers, mean over images; with one layer, its KL",
    ),
    Metric(
        "kl_nats",
        "nats",
        "each layer's term of the bound, E_q[log q(z_l|.) - log p(z_l|z_l+1)], mean over images: a KL "
        "divergence for the top layer; a lower layer's term can be negative if the layer above has "
        "information about its noise",
        per_layer=True,
    ),
    Metric(
        "kl_units_top_nats",
        "nats",
        "KL divergence of each unit of z_L from a standard normal, mean over draws and at most 128 images",
        per_unit=True,
    ),
    Metric(
        "information_top_nats",
        "nats",
        "mutual information between the image and z_L, from at most 128 images",
    ),
    Metric(
        "information_top_lower_nats",
        "nats",
        "lower bound, in expectation, of information_top_nats; at most the logarithm of the number of images",
    ),
    Metric("information_top_upper_nats", "nats", "upper bound, in expectation, of information_top_nats"),
    Metric(
        "signal_share_top",
        "1",
        "share of the variance of the posterior mean of z_L that the image explains; the rest is noise of "
        f"the layers below; estimated {_OVER_DRAWS}, and slightly below 0 if all of it is noise",
        undefined="no unit of the layer has a variance above 0.01",
    ),
    Metric(
        "signal_share",
        "1",
        "the same share for the posterior mean of each layer",
        per_layer=True,
        undefined="no unit of the layer has a variance above 0.01",
    ),
    Metric("elbo_nats", "nats", "evidence lower bound per observation without smoothing; larger is better"),
    Metric(
        "reconstruction_nats",
        "nats",
        "expected log p(x|z_1) per observation under the inference network, without smoothing; elbo_nats is "
        "this minus the sum of kl_nats",
    ),
    Metric(
        "active_units_top",
        "1",
        "active latent units of z_L: units whose posterior mean has an expectation given the image with a "
        f"variance over images above 0.01, at an error of 1 % {_OVER_DRAWS}; 0 with fewer than 20 images",
        whole=True,
    ),
    Metric(
        "active_units",
        "1",
        "the same count of active latent units for each layer (the paper lists the top first)",
        per_layer=True,
        whole=True,
    ),
    Metric(
        "active_units_one_draw_top",
        "1",
        "latent units of z_L whose posterior mean at one draw of the layers below has a variance over images "
        "above 0.01: the count of common code, which includes units that follow only the noise of the layers "
        "below",
        whole=True,
    ),
    Metric(
        "active_units_one_draw",
        "1",
        "the same count from one draw for each layer",
        per_layer=True,
        whole=True,
    ),
)
"""Measured without smoothing, at each evaluation on the validation split and once on the test split."""

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
            "smoothed objective per observation, which training maximises after KL warm-up; it includes "
            "kl_weight and top_kl_weight. With weights of 1 the ambient form is a bound of the smoothed "
            "model; the posterior form at small rho is no bound",
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
            "importance weighted bound L_k on log p(x) with k = bound_samples, mean over the test split",
        ),
        *_measured_on("test", "test_", _UNSMOOTHED),
    )
)
"""Measured once after training, at the weights that `select` names."""
