"""The hierarchical VAE: one single model, plain PyTorch; `ouvae.pack` trains many of them as one."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ouvae.distributions import (
    bernoulli_log_density,
    gaussian_kl_sample,
    gaussian_kl_to_standard,
    gaussian_log_density,
)
from ouvae.networks import gaussian_network, location_network
from ouvae.settings import Settings
from ouvae.smoothing import smooth


class Draws(NamedTuple):
    """The noise of one forward pass.

    Attributes:
        base: eps of z_l, [B, d_l] for l = 1 … L.
        generative: omega of p(z_l|z_l+1), [K, B, d_l+1] for l = 1 … L-1; empty where not smoothed.
        likelihood: omega of p(x|z_1), one [K, B, d_1]; empty where not smoothed.
        inference: omega of q(z_l+1|z_l), [K, B, d_l] for l = 1 … L-1; empty where not smoothed.
    """

    base: tuple[Tensor, ...]
    generative: tuple[Tensor, ...]
    likelihood: tuple[Tensor, ...]
    inference: tuple[Tensor, ...]


class Terms(NamedTuple):
    """The terms of the bound, per image.

    Attributes:
        log_likelihood: [B] log p(x|z_1), nats.
        kl: [L, B] KL of each layer, z_1 first, nats: the top analytic, the others one draw's estimate.
        means: posterior means, [B, d_l] for l = 1 … L.
    """

    log_likelihood: Tensor
    kl: Tensor
    means: tuple[Tensor, ...]


class Posterior(NamedTuple):
    """One layer's posterior and its sample, each [B, d]."""

    mean: Tensor
    log_scale: Tensor
    scale: Tensor
    eps: Tensor
    z: Tensor


class HierarchicalVAE(nn.Module):
    """L stochastic layers with q(z_1|x), q(z_l+1|z_l), p(x|z_1), p(z_l|z_l+1) and p(z_L) = N(0, I)."""

    def __init__(self, pixels: int, settings: Settings) -> None:
        """Build the networks for images of `pixels` pixels."""
        super().__init__()
        self.settings = settings
        architecture, hidden, latents = settings.architecture, settings.hidden, settings.latents
        below, above = (pixels, *latents[:-1]), latents
        self.inference = nn.ModuleList(
            gaussian_network(architecture, lower, hidden, upper)
            for lower, upper in zip(below, above, strict=True)
        )
        self.generative = nn.ModuleList(
            gaussian_network(architecture, upper, hidden, lower)
            for lower, upper in zip(latents[:-1], latents[1:], strict=True)
        )
        self.likelihood = location_network(architecture, latents[0], hidden, pixels)

    def forward(self, x: Tensor, draws: Draws, rho: Tensor | None = None) -> Terms:
        """Return the bound's terms for images [B, D]; `rho` None is the model without smoothing."""
        layers = self._infer(x, draws, rho)
        smoothed = rho is not None and bool(draws.likelihood)
        location = self._evaluate(self.likelihood, layers[0], draws.likelihood[0] if smoothed else None, rho)
        kl = [self._layer_kl(index, layers, draws, rho) for index in range(len(self.generative))]
        top = layers[-1]
        kl.append(gaussian_kl_to_standard(top.mean, top.log_scale))
        return Terms(
            self._log_likelihood(x, location),
            torch.stack(kl),
            tuple(layer.mean for layer in layers),
        )

    def _infer(self, x: Tensor, draws: Draws, rho: Tensor | None) -> list[Posterior]:
        layers: list[Posterior] = []
        for index, (network, eps) in enumerate(zip(self.inference, draws.base, strict=True)):
            if index == 0:
                parameters = network(x)
            else:
                omega = draws.inference[index - 1] if draws.inference else None
                parameters = self._evaluate(network, layers[-1], omega, rho)
            mean, log_scale = parameters.chunk(2, -1)
            scale = log_scale.exp()
            layers.append(Posterior(mean, log_scale, scale, eps, mean + scale * eps))
        return layers

    def _layer_kl(self, index: int, layers: list[Posterior], draws: Draws, rho: Tensor | None) -> Tensor:
        layer = layers[index]
        omega = draws.generative[index] if draws.generative else None
        prior = self._evaluate(self.generative[index], layers[index + 1], omega, rho)
        prior_mean, prior_log_scale = prior.chunk(2, -1)
        return gaussian_kl_sample(layer.z, layer.eps, layer.log_scale, prior_mean, prior_log_scale)

    def _evaluate(
        self, network: nn.Module, layer: Posterior, omega: Tensor | None, rho: Tensor | None
    ) -> Tensor:
        """Return the network at the layer's sample, smoothed where there are draws for it."""
        if rho is None or omega is None:
            return network(layer.z)  # type: ignore[no-any-return]
        form = self.settings.smoothing
        return smooth(network, form, layer.z, layer.scale, layer.eps, omega, rho)

    def _log_likelihood(self, x: Tensor, location: Tensor) -> Tensor:
        if self.settings.likelihood == "bernoulli":
            return bernoulli_log_density(x, location)
        variance = self.settings.observation_variance
        assert variance is not None, "a gaussian likelihood has an observation_variance"
        return gaussian_log_density(x, location, 0.5 * math.log(variance))
