"""What determines a member's numbers, apart from its data, its rho and its seed."""

from dataclasses import dataclass
from typing import Literal

Architecture = Literal["mlp", "affine"]
Likelihood = Literal["bernoulli", "gaussian"]
SmoothingForm = Literal["posterior", "ambient"]
Network = Literal["generative", "likelihood", "inference"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The model and the training budget of one cell; values are validated where a space is read.

    Attributes:
        architecture: the conditionals' networks, see `ouvae.networks`.
        latents: sizes d_1 … d_L, z_1 (next to the data) first.
        hidden: widths of each conditional's hidden layers.
        likelihood: p(x|z_1); `gaussian` has the fixed variance `observation_variance`.
        smoothing: form of the operator, see `ouvae.smoothing`.
        smoothed_networks: which networks are smoothed: p(z_l|z_l+1), p(x|z_1), q(z_l+1|z_l).
        ou_samples: K, draws averaged by the operator.
        steps: optimizer steps (Adam) of `batch_size` images each.
        kl_warmup: steps over which the KL's weight rises linearly from 0 to 1; 0 is none.
        eval_every: steps between evaluations on the validation split.
        eval_images: how many validation images an evaluation uses, the first ones; None is all.
        precision: floating-point type of weights, data and noise.
    """

    architecture: Architecture
    latents: tuple[int, ...]
    hidden: tuple[int, ...]
    likelihood: Likelihood
    observation_variance: float | None
    smoothing: SmoothingForm
    smoothed_networks: tuple[Network, ...]
    ou_samples: int
    steps: int
    batch_size: int
    learning_rate: float
    kl_warmup: int
    eval_every: int
    eval_images: int | None
    precision: Precision
