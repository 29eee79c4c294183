"""The Hermite VAE: a VAE of one latent layer whose likelihood is smoothed by its Hermite series.

Table 7 of Pervez and Gavves (ICML 2021) compares a VAE of one layer with an "HVAE" of one layer, which we
take for a Hermite VAE; elsewhere HVAE is a hierarchical VAE. Their appendix gives neither construction nor
equations: what follows is our reading.

U_rho multiplies the Hermite coefficient of degree n in eps by rho^n. Here that is done in closed form,
without draws, on p(x|z_1) with z_1 = mean + scale * eps. The noise enters the network by its first affine
layer W z_1 + b, where unit j has the pre-activation a_j = m_j + s_j xi_j,

    m = W mean + b,   s_j = sqrt( sum_i W_ji^2 scale_i^2 ),   xi_j = sum_i W_ji scale_i eps_i / s_j.

xi_j ~ N(0, 1) is a linear form in eps of norm one, so that the semigroup of eps acts on a function of a_j as
the semigroup of xi_j: the coefficients of `ouvae.parts.hermite_series` are multiplied by rho^n up to n = N,
which is `hermite_degree`, and those beyond N are dropped. Our choices, and what they mean:

- What is smoothed is the first hidden layer's units, each exactly but for the truncation. The layers after it
  are evaluated at the smoothed units, and are smoothed through them alone: U_rho of the whole network would
  average the network's outputs. The two agree where there is one hidden layer.
- The operator is the posterior form of `ouvae.parts.smoothing` without its K draws: `ou_samples` plays no
  role.
- At rho = 1 a unit is the plain activation, nothing dropped, and the model is the plain VAE. It is not the
  limit rho -> 1 of the truncated series, which lacks the degrees beyond N: for N = 8, 0.5 % of the variance
  of a ReLU with m = 0.
- The coefficients of ReLU and leaky ReLU have closed forms; those of the other activations are by quadrature.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.declared.traits import ActivationName, Network
from ouvae.parts.affine import Affine
from ouvae.parts.distributions import GaussianDraw
from ouvae.parts.hermite_series import coefficients_of, damped_series
from ouvae.parts.networks import Hidden, Shape
from ouvae.systems.base import DrawShapes, System
from ouvae.systems.vae import HierarchicalVAE


class HermiteVAE(HierarchicalVAE):
    """A VAE of one layer, with its weights and its terms, but for how p(x|z_1) is smoothed."""

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        super().__init__(cell, image_shape)
        assert cell.architecture == "mlp", "the series is that of an activation after an affine layer"
        assert len(cell.latents) == 1, "a Hermite VAE has one latent layer"
        assert cell.hermite_degree is not None, "a Hermite VAE has a hermite_degree"
        self._degree = cell.hermite_degree

    @staticmethod
    def draw_shapes(cell: Cell, leading: Shape) -> DrawShapes:
        """Return a base draw of the one layer: the smoothing needs none."""
        return System.draw_shapes(cell, leading)

    def _evaluate(
        self,
        name: Network,
        network: nn.Module,
        layer: GaussianDraw,
        omega: Tensor | None,
        rho: Tensor | None,
    ) -> Tensor:
        """Return the network at the layer's sample, its first hidden layer smoothed."""
        if rho is None:
            return network(layer.z)  # type: ignore[no-any-return]
        features, head = network.children()
        assert isinstance(features, Hidden)
        first, *rest = features
        assert isinstance(first, Affine)
        activation = self.cell.activation
        smoothed = smoothed_units(first, layer.mean, layer.scale, layer.eps, rho, self._degree, activation)
        units = torch.where(rho == 1, first(layer.z), smoothed)
        for module in (*rest, head):
            units = module(units)
        return units


def smoothed_units(
    affine: nn.Linear,
    mean: Tensor,
    scale: Tensor,
    eps: Tensor,
    rho: Tensor,
    degree: int,
    activation: ActivationName = "relu",
) -> Tensor:
    """Return U_rho of the units after an affine layer, their series kept up to a degree.

    Args:
        affine: the layer d -> H before the units.
        mean: [B, d] of the Gaussian input.
        scale: [B, d] standard deviation of the Gaussian input.
        eps: [..., B, d] the base sample.
        rho: scalar tensor in [0, 1].
        degree: N.
        activation: of the units.

    Returns:
        [..., B, H]. A unit that the noise does not reach, s = 0, is the plain one. Value and gradients are
        finite there too, because s is kept above the fourth root of the smallest normal number.
    """
    smallest = torch.finfo(mean.dtype).tiny ** 0.5
    variance = F.linear(scale * scale, affine.weight * affine.weight)
    deviation = variance.clamp_min(smallest).sqrt()
    xi = F.linear(scale * eps, affine.weight) / deviation
    center = F.linear(mean, affine.weight, affine.bias)  # before the layer's own activation, if it has one
    return damped_series(coefficients_of(activation, degree, center, deviation), xi, rho)
