"""The Hermite VAE: one latent layer, with a likelihood that is smoothed by its Hermite series.

Table 7 of Pervez and Gavves (ICML 2021) compares a VAE of one layer with an "HVAE" of one layer, which we
take to be a Hermite VAE; elsewhere HVAE is a hierarchical VAE. The appendix gives neither construction nor
equations: the following is our reading.

U_rho multiplies the Hermite coefficient of degree n in eps by rho^n. For p(x|z_1) with z_1 = mean + scale *
eps this is done in closed form, without draws. The noise enters the network through its first affine layer W
z_1 + b, where unit j has the pre-activation a_j = m_j + s_j xi_j,

    m = W mean + b,   s_j = sqrt( sum_i W_ji^2 scale_i^2 ),   xi_j = sum_i W_ji scale_i eps_i / s_j.

xi_j ~ N(0, 1) is a linear form of norm one in eps, so the semigroup of eps acts on a function of a_j as the
semigroup of xi_j: it multiplies the coefficients of `ouvae.parts.hermite_series` by rho^n. The series ends at
degree N, the key `hermite_degree`. Our choices and their consequences:

- The units of the first hidden layer are smoothed, each exactly except for the truncation. The later layers
  are evaluated at the smoothed units, while U_rho of the whole network would average the network's outputs.
  Both agree for one hidden layer.
- The operator is the posterior form of `ouvae.parts.smoothing` without draws: `ou_samples` has no effect.
- At rho = 1 a unit is the plain activation without truncation, and the model is the plain VAE. This is not
  the limit rho -> 1 of the truncated series, which lacks the degrees above N: for N = 8, 0.5 % of the
  variance of a ReLU with m = 0.
- ReLU and leaky ReLU have coefficients in closed form; those of other activations are computed by quadrature.
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
    """A VAE of one layer, with another smoothing of p(x|z_1)."""

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        super().__init__(cell, image_shape)
        assert cell.architecture == "mlp", "the series needs an activation after an affine layer"
        assert len(cell.latents) == 1
        assert cell.hermite_degree is not None
        self._degree = cell.hermite_degree

    @staticmethod
    def draw_shapes(cell: Cell, leading: Shape) -> DrawShapes:
        """Return a base draw of the layer; the smoothing needs no draws."""
        return System.draw_shapes(cell, leading)

    def _evaluate(
        self, name: Network, network: nn.Module, layer: GaussianDraw, omega: Tensor | None, rho: Tensor | None
    ) -> Tensor:
        """Return the network at the layer's sample, with its first hidden layer smoothed."""
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
    """Return U_rho of the units after an affine layer, with truncated series.

    Args:
        affine: the affine layer d -> H before the units.
        mean: [B, d] of the Gaussian input.
        scale: [B, d] standard deviation of the Gaussian input.
        eps: [..., B, d] the base sample.
        rho: scalar tensor in [0, 1].
        degree: N, the last degree of the series.
        activation: the units' activation.

    Returns:
        [..., B, H]. A unit without noise, s = 0, is the plain unit. Its value and gradients are finite,
        because s is kept above the fourth root of the smallest normal number.
    """
    smallest = torch.finfo(mean.dtype).tiny ** 0.5
    variance = F.linear(scale * scale, affine.weight * affine.weight)
    deviation = variance.clamp_min(smallest).sqrt()
    xi = F.linear(scale * eps, affine.weight) / deviation
    center = F.linear(mean, affine.weight, affine.bias)  # without the layer's own activation
    return damped_series(coefficients_of(activation, degree, center, deviation), xi, rho)
