"""What is measured of a member: a line each, from which the columns of tables and MLflow's metrics follow.

A new metric is a line here, and an entry of that name in what `ouvae.training.evaluation` returns.
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
        undefined: where a completed member's value, or its entry for a layer, is null besides.
    """

    name: str
    unit: str
    description: str
    per_layer: bool = False
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
        "terms of the bound of the two top layers together, mean over images; with one layer, its KL",
    ),
    Metric(
        "kl_nats",
        "nats",
        "each layer's term of the bound, E_q[log q(z_l|.) - log p(z_l|z_l+1)], mean over images: of the top "
        "a KL divergence; a term below it can be negative, where the layer above knows its noise",
        per_layer=True,
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
        f"the layers below; estimated {_OVER_DRAWS}, and a little below 0 where it is all noise",
        undefined="no unit of the layer has a variance above 0.01",
    ),
    Metric(
        "signal_share",
        "1",
        "the same share of the posterior mean of each layer",
        per_layer=True,
        undefined="no unit of the layer has a variance above 0.01",
    ),
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
        "active_units_top",
        "1",
        "active latent units of z_L: those of which the variance over images of the posterior mean's "
        f"expectation given the image exceeds 0.01, decided at 1 % of error {_OVER_DRAWS}; 0 of fewer than "
        "20 images",
        whole=True,
    ),
    Metric(
        "active_units",
        "1",
        "the same count of active latent units of each layer (the paper lists the top first)",
        per_layer=True,
        whole=True,
    ),
    Metric(
        "active_units_one_draw_top",
        "1",
        "latent units of z_L of which the posterior mean at one draw of the layers below has a variance over "
        "images above 0.01: the usual code's count, which includes units that follow only the noise of the "
        "layers below",
        whole=True,
    ),
    Metric(
        "active_units_one_draw",
        "1",
        "the same count from one draw of each layer",
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
            "smoothed objective per observation, what training maximises once KL warm-up is over, with "
            "top_kl_weight in it; where that is 1 the ambient form bounds the smoothed model, the posterior "
            "form at small rho bounds nothing",
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
