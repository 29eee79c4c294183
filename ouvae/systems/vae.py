"""The hierarchical VAE, and with smoothing the OU-VAE (Pervez and Gavves, ICML 2021).

L stochastic layers with q(z_1|x), q(z_l+1|z_l), p(x|z_1), p(z_l|z_l+1) and p(z_L) = N(0, I); each conditional
has its own network. U_rho acts on the networks in `smoothed_networks`.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.declared.traits import Network
from ouvae.parts.distributions import GaussianDraw, gaussian_kl_to_standard, gaussian_parameters
from ouvae.parts.likelihoods import likelihood_of
from ouvae.parts.networks import Shape, gaussian_of_image, gaussian_of_latent, pixels_of_latent
from ouvae.parts.smoothing import shrunk_input, smooth
from ouvae.systems.base import Draws, DrawShapes, System, Terms


class Hierarchy(System):
    """The generative model p(x|z_1), p(z_l|z_l+1) and p(z_L) = N(0, I) of several systems."""

    def _build_generative(self) -> None:
        cell, image_shape = self.cell, self.image_shape
        self._density = likelihood_of(cell)
        self.generative = nn.ModuleList(
            gaussian_of_latent(cell, upper, lower, image_shape) for lower, upper in pairwise(cell.latents)
        )
        outputs = self._density.outputs(image_shape)
        self.likelihood = pixels_of_latent(cell, cell.latents[0], image_shape, outputs)

    def generate_from(self, top: Tensor, generator: torch.Generator) -> Tensor:
        """Return p(x|z_1) at z_1 drawn given z_L; see `System.generate_from`."""
        z = top
        for network in reversed(self.generative):
            z = self.drawn(network(z), generator)
        return self.likelihood(z)  # type: ignore[no-any-return]


class HierarchicalVAE(Hierarchy):
    """The model. The top layer's KL has a closed form; the others are one draw's estimates."""

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        super().__init__(cell, image_shape)
        latents = cell.latents
        self.inference = nn.ModuleList(
            [
                gaussian_of_image(cell, image_shape, latents[0]),
                *(gaussian_of_latent(cell, lower, upper, image_shape) for lower, upper in pairwise(latents)),
            ]
        )
        self._build_generative()

    @property
    def encoder(self) -> nn.Module:
        """The network of q(z_1|x)."""
        return self.inference[0]

    @staticmethod
    def draw_shapes(cell: Cell, leading: Shape) -> DrawShapes:
        """Return a base draw for each layer, and omegas for the networks that are smoothed by draws."""
        latents = cell.latents

        def omegas(sizes: Sequence[int], network: Network) -> tuple[Shape, ...]:
            has_draws = network in cell.smoothed_networks and cell.smoothing != "shrink"
            return tuple((cell.ou_samples, *leading, size) for size in sizes) if has_draws else ()

        return DrawShapes(
            tuple((*leading, size) for size in latents),
            omegas(latents[1:], "generative"),
            omegas(latents[:1], "likelihood"),
            omegas(latents[:-1], "inference"),
        )

    def forward(self, x: Tensor, draws: Draws, rho: Tensor | None = None, closed_form: bool = True) -> Terms:
        """Return the bound's terms; see `System.forward`."""
        layers = self._infer(x, draws, rho)
        omega = draws.likelihood[0] if draws.likelihood else None
        pixels = self._evaluate("likelihood", self.likelihood, layers[0], omega, rho)
        kl = [self._layer_kl(index, layers, draws, rho) for index in range(len(self.generative))]
        kl.append(self._top_kl(layers[-1], closed_form))
        return Terms(
            self._density.log_density(x, pixels),
            torch.stack(kl),
            tuple(layer.mean.expand_as(layer.z) for layer in layers),
        )

    def top_draw(self, x: Tensor, draws: Draws) -> GaussianDraw:
        """Return the draw of q(z_L|z_L-1); see `System.top_draw`."""
        return self._infer(x, draws, None)[-1]

    def posterior_means(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return the means of q(z_1|x) and q(z_l+1|z_l); see `System.posterior_means`."""
        return tuple(layer.mean for layer in self._infer(x, draws, None))

    def reconstruct(self, x: Tensor, draws: Draws) -> Tensor:
        """Return p(x|z_1) at a draw of the posterior; see `System.reconstruct`."""
        return self.likelihood(self._infer(x, draws, None)[0].z)  # type: ignore[no-any-return]

    def _infer(self, x: Tensor, draws: Draws, rho: Tensor | None) -> list[GaussianDraw]:
        layers: list[GaussianDraw] = []
        for index, (network, eps) in enumerate(zip(self.inference, draws.base, strict=True)):
            if index == 0:
                parameters = network(x)
            else:
                omega = draws.inference[index - 1] if draws.inference else None
                parameters = self._evaluate("inference", network, layers[-1], omega, rho)
            layers.append(GaussianDraw.of_outputs(parameters, eps))
        return layers

    def _layer_kl(self, index: int, layers: list[GaussianDraw], draws: Draws, rho: Tensor | None) -> Tensor:
        omega = draws.generative[index] if draws.generative else None
        prior = self._evaluate("generative", self.generative[index], layers[index + 1], omega, rho)
        return layers[index].kl(*gaussian_parameters(prior), closed_form=False)

    def _top_kl(self, top: GaussianDraw, closed_form: bool) -> Tensor:
        if closed_form:
            return gaussian_kl_to_standard(top.mean, top.log_scale).expand(top.z.shape[:-1])
        zero = torch.zeros((), dtype=top.z.dtype, device=top.z.device)
        return top.kl(zero, zero, closed_form=False)

    def _evaluate(
        self, name: Network, network: nn.Module, layer: GaussianDraw, omega: Tensor | None, rho: Tensor | None
    ) -> Tensor:
        """Return the network at the layer's sample: smoothed, shrunk, or plain."""
        cell, z = self.cell, layer.z
        if rho is not None and omega is not None:
            return smooth(network, cell.smoothing, z, layer.scale, layer.eps, omega, rho)
        if rho is not None and cell.smoothing == "shrink" and name in cell.smoothed_networks:
            z = shrunk_input(z, layer.scale, layer.eps, cell.ou_samples, rho)
        return network(z)  # type: ignore[no-any-return]
