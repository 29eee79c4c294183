"""The ladder VAE (Sønderby et al., "Ladder Variational Autoencoders", NeurIPS 2016).

The generative model is the hierarchical VAE's, p(x|z_1), p(z_l|z_l+1) and p(z_L) = N(0, I), and inference
runs downwards too. Deterministic features climb from the image, d_l = f_l(d_l-1) with d_0 = x, and give each
layer a Gaussian N(m_l, s_l^2) = head(d_l), an approximate likelihood of z_l. The posterior corrects the
generative model by this likelihood,

    q(z|x) = q(z_L|x) prod_l<L q(z_l|z_l+1, x),   q(z_L|x) = N(m_L, s_L^2),
    q(z_l|z_l+1, x) = N(m_l, s_l^2) p(z_l|z_l+1) / constant,

the precision-weighted merge of equations 17 to 19 (17 gives a variance, although the printed left side lacks
the square). Since z_l is drawn given z_l+1 as in the prior, every layer's KL has a closed form given the
layer above. With one layer this is the plain VAE.

Our choices: no batch normalisation, which the paper finds important, because an image's numbers must not
depend on the rest of its minibatch; the cell's activation instead of leaky rectifiers; log standard
deviations instead of a softplus of the variance, as in all systems here; KL warm-up is the key `kl_warmup`,
not part of the system.
"""

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.parts.distributions import GaussianDraw, gaussian_parameters
from ouvae.parts.networks import Shape, gaussian_head, hidden_layers, image_features
from ouvae.systems.base import Draws, Terms
from ouvae.systems.vae import Hierarchy


def merge(
    mean: Tensor, log_scale: Tensor, other_mean: Tensor, other_log_scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean and log scale of the normalised product of two Gaussian densities, all [..., d].

    Sønderby et al. 2016, equations 17 and 18: precisions add, and means are weighted by precision. Logarithms
    of precisions avoid overflow: a Gaussian much wider than the other leaves the other unchanged.
    """
    log_precision, other_log_precision = -2 * log_scale, -2 * other_log_scale
    weight = (log_precision - other_log_precision).sigmoid()
    merged_mean = other_mean + weight * (mean - other_mean)
    return merged_mean, -0.5 * torch.logaddexp(log_precision, other_log_precision)


class LadderVAE(Hierarchy):
    """The model. It is not smoothed."""

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        super().__init__(cell, image_shape)
        latents = cell.latents
        self.features = nn.ModuleList(
            [image_features(cell, image_shape), *(hidden_layers(cell, image_shape) for _ in latents[1:])]
        )
        self.heads = nn.ModuleList(gaussian_head(cell, size, image_shape) for size in latents)
        self._build_generative()

    def forward(self, x: Tensor, draws: Draws, rho: Tensor | None = None, closed_form: bool = True) -> Terms:
        """Return the bound's terms; see `System.forward`."""
        layers, priors = self._descend(x, draws)
        kl = [layer.kl(*prior, closed_form) for layer, prior in zip(layers, priors, strict=True)]
        return Terms(
            self._density.log_density(x, self.likelihood(layers[0].z)),
            torch.stack(kl),
            tuple(layer.mean.expand_as(layer.z) for layer in layers),
        )

    def reconstruct(self, x: Tensor, draws: Draws) -> Tensor:
        """Return p(x|z_1) at a draw of the posterior; see `System.reconstruct`."""
        layers, _ = self._descend(x, draws)
        return self.likelihood(layers[0].z)  # type: ignore[no-any-return]

    def top_draw(self, x: Tensor, draws: Draws) -> GaussianDraw:
        """Return the draw of q(z_L|x); see `System.top_draw`."""
        return GaussianDraw.of(*self._bottom_up(x)[-1], draws.base[-1])

    def posterior_means(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return the means of q(z_L|x) and q(z_l|z_l+1, x); see `System.posterior_means`."""
        layers, _ = self._descend(x, draws)
        return tuple(layer.mean for layer in layers)

    def _descend(self, x: Tensor, draws: Draws) -> tuple[list[GaussianDraw], list[tuple[Tensor, Tensor]]]:
        """Return the draws of the layers, and the means and log scales of their priors, z_1 first."""
        prior_mean = prior_log_scale = torch.zeros((), dtype=x.dtype, device=x.device)
        layers: list[GaussianDraw] = []
        priors: list[tuple[Tensor, Tensor]] = []
        for level, (mean, log_scale) in reversed(list(enumerate(self._bottom_up(x)))):
            if layers:
                prior_mean, prior_log_scale = gaussian_parameters(self.generative[level](layers[-1].z))
                mean, log_scale = merge(mean, log_scale, prior_mean, prior_log_scale)
            layers.append(GaussianDraw.of(mean, log_scale, draws.base[level]))
            priors.append((prior_mean, prior_log_scale))
        return layers[::-1], priors[::-1]

    def _bottom_up(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the mean and log scale of each layer's bottom-up Gaussian, [B, d_l] each, z_1 first."""
        gaussians = []
        features = x
        for network, head in zip(self.features, self.heads, strict=True):
            features = network(features)
            gaussians.append(gaussian_parameters(head(features)))
        return gaussians
