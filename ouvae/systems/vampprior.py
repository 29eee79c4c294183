"""The two-layer VampPrior model (Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018).

The prior of the top layer is a mixture of the layer's posteriors at M learned images, the pseudo-inputs u_m
(section 3), in a hierarchy of two layers (section 4):

    q(z_2|x),   q(z_1|x, z_2),   p(x|z_1, z_2),   p(z_1|z_2),   p(z_2) = 1/M sum_m q(z_2|u_m).

The top layer's KL has no closed form: it is always one draw's estimate, log q(z_2|x) - log p(z_2). With M =
0, p(z_2) = N(0, I) and everything else is the same, including the estimate: the paper's baseline.

Our choices: hidden layers of `ouvae.parts.networks` replace the paper's gated linear units, as in the other
systems. Two inputs are merged as in the paper, by hidden layers of each and of both, but features are added
instead of concatenated. A pseudo-input is the logistic sigmoid of its parameters, which start standard
normal: it stays in [0, 1] like a pixel, and its gradient does not vanish at both ends as that of a clamp
(hard tanh).
"""

import math

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.parts.distributions import GaussianDraw, gaussian_log_density, gaussian_parameters
from ouvae.parts.likelihoods import likelihood_of
from ouvae.parts.networks import (
    Shape,
    gaussian_head,
    gaussian_of_image,
    gaussian_of_latent,
    hidden_layers,
    image_features,
    latent_features,
    pixel_head,
)
from ouvae.systems.base import Draws, System, Terms

MIXTURE_NUMBERS = 2**22
"""Numbers in [..., M, d_2] at once when a mixture is evaluated, to bound memory."""


class Merged(nn.Module):
    """A network of two inputs: features of each, hidden layers on their sum, and a head."""

    def __init__(self, first: nn.Module, second: nn.Module, joint: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.joint, self.head = first, second, joint, head

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the parameters, [..., a] and [..., b] -> [..., outputs]; leading axes broadcast."""
        return self.head(self.joint(self.first(first) + self.second(second)))  # type: ignore[no-any-return]


class VampPrior(System):
    """The model. It has no smoothing."""

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        super().__init__(cell, image_shape)
        assert cell.pseudo_inputs is not None
        lower, upper = cell.latents
        self._density = likelihood_of(cell)
        outputs = self._density.outputs(image_shape)
        self.upper_posterior = gaussian_of_image(cell, image_shape, upper)
        self.lower_posterior = Merged(
            image_features(cell, image_shape),
            latent_features(cell, upper, image_shape),
            hidden_layers(cell, image_shape),
            gaussian_head(cell, lower, image_shape),
        )
        self.lower_prior = gaussian_of_latent(cell, upper, lower, image_shape)
        self.likelihood = Merged(
            latent_features(cell, lower, image_shape),
            latent_features(cell, upper, image_shape),
            hidden_layers(cell, image_shape),
            pixel_head(cell, image_shape, outputs),
        )
        if cell.pseudo_inputs:
            self.pseudo_logits = nn.Parameter(torch.randn(cell.pseudo_inputs, math.prod(image_shape)))

    def forward(self, x: Tensor, draws: Draws, rho: Tensor | None = None, closed_form: bool = True) -> Terms:
        """Return the bound's terms; see `System.forward`. `rho` and `closed_form` have no effect."""
        lower, upper = self._infer(x, draws)
        prior_mean, prior_log_scale = gaussian_parameters(self.lower_prior(upper.z))
        lower_kl = lower.kl(prior_mean, prior_log_scale, closed_form=False)
        upper_log_posterior = gaussian_log_density(upper.z, upper.mean, upper.log_scale)
        return Terms(
            self._density.log_density(x, self.likelihood(lower.z, upper.z)),
            torch.stack([lower_kl, upper_log_posterior - self.upper_log_prior(upper.z)]),
            (lower.mean, upper.mean.expand_as(upper.z)),
        )

    def _infer(self, x: Tensor, draws: Draws) -> tuple[GaussianDraw, GaussianDraw]:
        upper = self.top_draw(x, draws)
        return GaussianDraw.of_outputs(self.lower_posterior(x, upper.z), draws.base[0]), upper

    def top_draw(self, x: Tensor, draws: Draws) -> GaussianDraw:
        """Return the draw of q(z_2|x); see `System.top_draw`."""
        return GaussianDraw.of_outputs(self.upper_posterior(x), draws.base[-1])

    def posterior_means(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return the means of q(z_1|x, z_2) and q(z_2|x); see `System.posterior_means`."""
        lower, upper = self._infer(x, draws)
        return lower.mean, upper.mean

    def reconstruct(self, x: Tensor, draws: Draws) -> Tensor:
        """Return p(x|z_1, z_2) at a draw of the posterior; see `System.reconstruct`."""
        lower, upper = self._infer(x, draws)
        return self.likelihood(lower.z, upper.z)  # type: ignore[no-any-return]

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        """Return p(x|z_1, z_2) at draws of the prior; see `System.generate`."""
        if not self.cell.pseudo_inputs:
            return super().generate(count, generator)
        components = self.upper_posterior(self.pseudo_inputs())
        indices = torch.randint(len(components), (count,), generator=generator, device=generator.device)
        return self.generate_from(self.drawn(components[indices], generator), generator)

    def generate_from(self, top: Tensor, generator: torch.Generator) -> Tensor:
        """Return p(x|z_1, z_2) at z_1 drawn given z_2; see `System.generate_from`."""
        lower = self.drawn(self.lower_prior(top), generator)
        return self.likelihood(lower, top)  # type: ignore[no-any-return]

    def pseudo_inputs(self) -> Tensor:
        """Return u_1 … u_M, [M, D] in [0, 1]."""
        return self.pseudo_logits.sigmoid()

    def upper_log_prior(self, upper: Tensor) -> Tensor:
        """Return log p(z_2), [..., d_2] -> [...], with one evaluation of the posteriors q(z_2|u_m)."""
        if not self.cell.pseudo_inputs:
            return gaussian_log_density(upper, torch.zeros_like(upper), 0.0)
        mean, log_scale = gaussian_parameters(self.upper_posterior(self.pseudo_inputs()))
        return mixture_log_density(upper, mean, log_scale)


def mixture_log_density(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log 1/M sum_m N(z; mean_m, exp(log_scale_m)^2), diagonal: [..., d], [M, d], [M, d] -> [...]."""
    at_once = max(1, MIXTURE_NUMBERS // max(1, z.numel()))
    blocks = zip(torch.split(mean, at_once), torch.split(log_scale, at_once), strict=True)
    components = torch.cat([gaussian_log_density(z.unsqueeze(-2), *block) for block in blocks], -1)
    return components.logsumexp(-1) - math.log(len(mean))
