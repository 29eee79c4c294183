"""BIVA, a VAE with inference in two directions.

After Maaløe et al., "BIVA: A Very Deep Hierarchy of Latent Variables for Generative Modeling", NeurIPS 2019.
Below the top a layer has two variables of size d_l each, z_l = (b_l, t_l): bottom-up (z^BU in the paper) and
top-down (z^TD); z_L is a single variable. Section 3 of the paper:

    p(x, z) = p(x|z) p(z_L) prod_l<L p(b_l|z_>l) p(t_l|z_>l)
    q(z|x) = prod_l<L q(b_l|x, b_<l) q(z_L|x, b_<L) prod_l<L q(t_l|x, b_<l, z_>l)

Inference climbs and draws the b_l and z_L, then descends and draws the t_l. Two deterministic paths carry the
dependences; the generative model shares the second with inference:

    up     u_1 = f(x)        u_l+1 = u_l + f(u_l + f(b_l)) / L        posteriors of b_l, z_L from u_l
    down   v_L-1 = f(z_L)    v_l-1 = v_l + f(v_l + f(b_l, t_l)) / L   priors of b_l, t_l from v_l

where every f is a different network. The posterior of t_l comes from f(u_l + v_l), the pixels from v_0. So
u_l holds x and b_<l, v_l holds all of z_>l, and the terms u_l and v_l outside of f are the skip connections.

A layer's KL is the sum of the KLs of t_l and b_l. The KL of t_l has a closed form given z_>l. The KL of b_l
is always one draw's estimate: b_l is drawn before z_>l, on which its prior depends. With one layer this is
the plain VAE.

Simplifications: features are added instead of concatenated; a block is the hidden layers of `cell.hidden`
beside an identity, instead of gated residual blocks with weight normalisation and dropout; one upward path
serves the posteriors of both variables; skips connect successive layers only. Our choices: log standard
deviations, as in all systems here; the weight 1/L of a block; Gaussians below the top start at a tenth of the
usual weights, near N(0, I). Without the weight 1/L and the small initial weights, the variables of a new
model grow geometrically with depth. Free bits are the objective `free_bits`.
"""

from typing import cast

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.parts.distributions import GaussianDraw, gaussian_parameters
from ouvae.parts.likelihoods import likelihood_of
from ouvae.parts.networks import (
    Shape,
    gaussian_head,
    hidden_layers,
    image_features,
    latent_features,
    pixel_head,
)
from ouvae.systems.base import Draws, DrawShapes, System, Terms


class Level(nn.Module):
    """The networks of a layer below the top.

    Attributes:
        bottom_up: from u_l to q(b_l|x, b_<l).
        up_latent, up: from b_l to features, and on to u_l+1.
        prior: from v_l to p(b_l|z_>l) and p(t_l|z_>l), side by side.
        merged, top_down: from u_l + v_l to features, and on to q(t_l|x, b_<l, z_>l).
        down_latent, down: from (b_l, t_l) to features, and on to v_l-1.
    """

    def __init__(self, cell: Cell, image_shape: Shape, size: int) -> None:
        super().__init__()
        self.bottom_up = gaussian_head(cell, size, image_shape)
        self.up_latent = latent_features(cell, size, image_shape)
        self.up = hidden_layers(cell, image_shape)
        self.prior = gaussian_head(cell, 2 * size, image_shape)
        self.merged = hidden_layers(cell, image_shape)
        self.top_down = gaussian_head(cell, size, image_shape)
        self.down_latent = latent_features(cell, 2 * size, image_shape)
        self.down = hidden_layers(cell, image_shape)
        with torch.no_grad():
            for head in (self.bottom_up, self.prior, self.top_down):
                for parameter in head.parameters():
                    parameter.mul_(0.1)


class BIVA(System):
    """The model. It is not smoothed."""

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        super().__init__(cell, image_shape)
        *lower, top = cell.latents
        self._density = likelihood_of(cell)
        self._block_weight = 1 / len(cell.latents)
        self.image = image_features(cell, image_shape)
        self.levels = nn.ModuleList(Level(cell, image_shape, size) for size in lower)
        self.top = gaussian_head(cell, top, image_shape)
        self.top_latent = latent_features(cell, top, image_shape)
        self.likelihood = pixel_head(cell, image_shape, self._density.outputs(image_shape))

    @staticmethod
    def unit_counts(cell: Cell) -> Shape:
        """Return 2 d_l below the top, b_l before t_l, and d_L."""
        *lower, top = cell.latents
        return (*(2 * size for size in lower), top)

    @staticmethod
    def draw_shapes(cell: Cell, leading: Shape) -> DrawShapes:
        """Return a base draw for the units of each layer."""
        return DrawShapes(tuple((*leading, units) for units in BIVA.unit_counts(cell)))

    def forward(self, x: Tensor, draws: Draws, rho: Tensor | None = None, closed_form: bool = True) -> Terms:
        """Return the bound's terms; see `System.forward`."""
        down, kl, means = self._descend(x, draws, closed_form)
        log_likelihood = self._density.log_density(x, self.likelihood(down))
        return Terms(log_likelihood, torch.stack(kl), tuple(means))

    def reconstruct(self, x: Tensor, draws: Draws) -> Tensor:
        """Return p(x|z) at a draw of the posterior; see `System.reconstruct`."""
        down, *_ = self._descend(x, draws, closed_form=True)
        return self.likelihood(down)  # type: ignore[no-any-return]

    def generate_from(self, top: Tensor, generator: torch.Generator) -> Tensor:
        """Return p(x|z) at draws of b_l and t_l given z_L; see `System.generate_from`."""
        down = self.top_latent(top)
        for level in reversed(self._below_top):
            both = level.down_latent(self.drawn(level.prior(down), generator))
            down = down + self._block_weight * level.down(down + both)
        return self.likelihood(down)  # type: ignore[no-any-return]

    def _descend(
        self, x: Tensor, draws: Draws, closed_form: bool
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return v_0, and the KL and the posterior means of each layer, z_1 first."""
        up, bottom_up, top = self._climb(x, draws)
        zero = torch.zeros((), dtype=x.dtype, device=x.device)
        kl = [top.kl(zero, zero, closed_form)]
        means = [top.mean.expand_as(top.z)]
        down = self.top_latent(top.z)
        for index, level in reversed(list(enumerate(self._below_top))):
            b = bottom_up[index]
            merged = level.merged(up[index] + down)
            t = GaussianDraw.of_outputs(level.top_down(merged), draws.base[index].chunk(2, -1)[1])
            prior_mean, prior_log_scale = gaussian_parameters(level.prior(down))
            mean_b, mean_t = prior_mean.chunk(2, -1)
            log_scale_b, log_scale_t = prior_log_scale.chunk(2, -1)
            kl.append(b.kl(mean_b, log_scale_b, closed_form=False) + t.kl(mean_t, log_scale_t, closed_form))
            means.append(torch.cat([b.mean.expand_as(b.z), t.mean], -1))
            both = level.down_latent(torch.cat([b.z, t.z], -1))
            down = down + self._block_weight * level.down(down + both)
        return down, kl[::-1], means[::-1]

    def top_draw(self, x: Tensor, draws: Draws) -> GaussianDraw:
        """Return the draw of q(z_L|x, b_<L); see `System.top_draw`."""
        *_, top = self._climb(x, draws)
        return top

    def posterior_means(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return the means of b_l and t_l side by side, and of z_L; see `System.posterior_means`."""
        _, _, means = self._descend(x, draws, closed_form=True)
        return tuple(means)

    @property
    def _below_top(self) -> list[Level]:
        return cast(list[Level], list(self.levels))

    def _climb(self, x: Tensor, draws: Draws) -> tuple[list[Tensor], list[GaussianDraw], GaussianDraw]:
        """Return the u_l, the b_l and z_L. For any leading axes of the noise, u_1 is [B, F]."""
        up: list[Tensor] = []
        bottom_up: list[GaussianDraw] = []
        features = self.image(x)
        for level, eps in zip(self._below_top, draws.base[:-1], strict=True):
            up.append(features)
            b = GaussianDraw.of_outputs(level.bottom_up(features), eps.chunk(2, -1)[0])
            bottom_up.append(b)
            features = features + self._block_weight * level.up(features + level.up_latent(b.z))
        return up, bottom_up, GaussianDraw.of_outputs(self.top(features), draws.base[-1])
