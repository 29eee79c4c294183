"""What determines a member's numbers, apart from its data, its rho and its seed."""

from dataclasses import dataclass
from typing import Literal

System = Literal["vae", "hermite", "vampprior", "lvae", "biva"]
Objective = Literal["elbo", "iwae", "free_bits"]
Architecture = Literal["mlp", "affine", "conv"]
Likelihood = Literal["bernoulli", "gaussian", "logistic_mixture"]
SmoothingForm = Literal["posterior", "ambient"]
Network = Literal["generative", "likelihood", "inference"]
Selection = Literal["last", "best"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The model and the training budget of one cell; values are validated where a space is read.

    Attributes:
        system: which model, see `ouvae.systems`.
        objective: what is maximised, see `ouvae.training.objectives`.
        importance_samples: k of the objective `iwae`; 1 elsewhere.
        free_bits_nats: lambda of the objective `free_bits`, a layer; 0 elsewhere.
        architecture: the networks, see `ouvae.parts.networks`.
        latents: sizes d_1 … d_L, z_1 (next to the data) first.
        hidden: widths of each network's hidden layers; channels with architecture `conv`.
        pseudo_inputs: of system `vampprior`; None elsewhere.
        hermite_degree: the highest degree kept by system `hermite`; None elsewhere.
        likelihood: p(x|z_1); `gaussian` has the fixed variance `observation_variance`.
        mixture_components: logistics a pixel of likelihood `logistic_mixture`; None elsewhere.
        smoothing: form of the operator, see `ouvae.parts.smoothing`.
        smoothed_networks: which networks are smoothed: p(z_l|z_l+1), p(x|z_1), q(z_l+1|z_l).
        ou_samples: K, draws averaged by the operator.
        steps: optimizer steps (Adam) of `batch_size` images each.
        kl_warmup: steps over which the KL's weight rises linearly from 0 to 1; 0 is none.
        eval_every: steps between evaluations on the validation split.
        eval_images: how many validation images an evaluation uses, the first ones; None is all.
        gradient_samples: noise samples of the gradient's variance at each evaluation; None is no such thing.
        gradient_rho: the smoothing that it is measured with, beside none.
        select: which weights are measured on the test split: the last, or those with the best validation
            ELBO among the evaluations.
        bound_samples: k of the bound L_k on the test split; None leaves the test split alone.
        bound_images: how many test images are used, the first ones; None is all.
        precision: floating-point type of weights, data and noise.
    """

    system: System
    objective: Objective
    importance_samples: int
    free_bits_nats: float
    architecture: Architecture
    latents: tuple[int, ...]
    hidden: tuple[int, ...]
    pseudo_inputs: int | None
    hermite_degree: int | None
    likelihood: Likelihood
    observation_variance: float | None
    mixture_components: int | None
    smoothing: SmoothingForm
    smoothed_networks: tuple[Network, ...]
    ou_samples: int
    steps: int
    batch_size: int
    learning_rate: float
    kl_warmup: int
    eval_every: int
    eval_images: int | None
    gradient_samples: int | None
    gradient_rho: float | None
    select: Selection
    bound_samples: int | None
    bound_images: int | None
    precision: Precision
