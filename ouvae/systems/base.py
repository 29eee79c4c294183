"""What every system is: a single model, plain PyTorch, that turns images and noise into the bound's terms.

Shapes: B images, D pixels, L layers, d_l the size of layer l, I importance samples (the axis is absent
where there is one), K draws of the smoothing operator.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ouvae.declared import Cell
from ouvae.parts.distributions import GaussianDraw, gaussian_parameters
from ouvae.parts.networks import Shape


class Draws(NamedTuple):
    """The noise of one forward pass, standard normal.

    Attributes:
        base: eps of the latent variables, [I, B, d] each, z_1 first; a system says which there are.
        generative: omega of p(z_l|z_l+1), [K, I, B, d_l+1] for l = 1 … L-1; empty where not smoothed.
        likelihood: omega of p(x|z_1), one [K, I, B, d_1]; empty where not smoothed.
        inference: omega of q(z_l+1|z_l), [K, I, B, d_l] for l = 1 … L-1; empty where not smoothed.
    """

    base: tuple[Tensor, ...]
    generative: tuple[Tensor, ...]
    likelihood: tuple[Tensor, ...]
    inference: tuple[Tensor, ...]


class DrawShapes(NamedTuple):
    """The shapes of the tensors in each field of `Draws`."""

    base: tuple[Shape, ...]
    generative: tuple[Shape, ...] = ()
    likelihood: tuple[Shape, ...] = ()
    inference: tuple[Shape, ...] = ()


class Terms(NamedTuple):
    """The terms of the bound, per image, in nats.

    Attributes:
        log_likelihood: [I, B] log p(x|z).
        kl: [L, I, B] KL of each layer, z_1 first: one draw's estimate, or the closed form where a layer has
            one and it was asked for. log_likelihood - kl.sum(0) is the ELBO's estimate, and without closed
            forms the logarithm of the importance weight p(x, z)/q(z|x).
        means: posterior means, [I, B, units] for l = 1 … L, of as many units as `System.unit_counts` says.
    """

    log_likelihood: Tensor
    kl: Tensor
    means: tuple[Tensor, ...]


def leading_axes(batch: int, samples: int = 1) -> Shape:
    """Return the leading axes of the noise of B images: (B,), or (I, B) for more than one sample."""
    return (batch,) if samples == 1 else (samples, batch)


class System(nn.Module):
    """One model. A subclass is a module of its own, with its traits in `ouvae.declared.choices`."""

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        """Build the networks for images of that shape, (rows, columns) or (channels, rows, columns)."""
        super().__init__()
        self.cell = cell
        self.image_shape = image_shape

    @property
    def encoder(self) -> nn.Module:
        """The network whose outputs are the parameters of q(z_1|x), where one network is that."""
        raise NotImplementedError(f"{type(self).__name__} has no network that is q(z_1|x) alone")

    @staticmethod
    def unit_counts(cell: Cell) -> Shape:
        """Return how many latent units each layer has, z_1 first: those whose active ones are counted.

        Unless a system says otherwise: d_1 … d_L.
        """
        return cell.latents

    @staticmethod
    def draw_shapes(cell: Cell, leading: Shape) -> DrawShapes:
        """Return the shapes of the noise of images of the leading shape (B,) or (I, B).

        Unless a system says otherwise: a base draw for each layer and nothing else.
        """
        return DrawShapes(tuple((*leading, size) for size in cell.latents))

    def forward(self, x: Tensor, draws: Draws, rho: Tensor | None = None, closed_form: bool = True) -> Terms:
        """Return the bound's terms.

        Args:
            x: [B, D] images.
            draws: the noise, of the shapes that `draw_shapes` gives.
            rho: scalar tensor, the smoothing; None is the system without smoothing.
            closed_form: use the closed form of a layer's KL where there is one.
        """
        raise NotImplementedError

    def top_draw(self, x: Tensor, draws: Draws) -> GaussianDraw:
        """Return the draw of the top layer, without smoothing, from its Gaussian given what is drawn before.

        The layer's information about the image follows from it: see `ouvae.training.evaluation.information`.
        The last base draw is the noise of this draw; mean and log scale do not depend on it.

        Args:
            x: [B, D] images.
            draws: the noise, of the shapes that `draw_shapes` gives without smoothing.

        Returns:
            z [I, B, d_L] and its parameters, which may lack the axis I.
        """
        raise NotImplementedError

    def posterior_means(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return the posterior means of each layer, z_1 first, without smoothing.

        Unless a system says otherwise they come from `forward`. A system whose inference needs no other
        network overrides this, since an evaluation takes many draws.

        Args:
            x: [B, D] images.
            draws: the noise of I samples, of the shapes that `draw_shapes` gives without smoothing.

        Returns:
            [I, B, units] each, or [B, units] where no draw plays a role, as in z_1 of most systems.
        """
        terms: Terms = self(x, draws, None)
        return terms.means

    def reconstruct(self, x: Tensor, draws: Draws) -> Tensor:
        """Return the outputs of p(x|z) at a draw of the posterior, without smoothing, [I, B, outputs].

        What a density makes of outputs is in `ouvae.parts.likelihoods`. Training does not need this.

        Args:
            x: [B, D] images.
            draws: the noise, of the shapes that `draw_shapes` gives without smoothing.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it reconstructs")

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the outputs of p(x|z) at draws of the prior, from the top down, [count, outputs].

        Without smoothing. Training does not need this.

        Args:
            count: of draws.
            generator: of the model's device.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it generates")

    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return a draw of the Gaussian of a network's outputs, [..., 2 d] -> [..., d]."""
        mean, log_scale = gaussian_parameters(outputs)
        eps = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=generator.device)
        return mean + log_scale.exp() * eps

    def standard(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """Return draws of N(0, I), [count, size]."""
        zeros = next(self.parameters()).new_zeros(count, 2 * size)
        return self.drawn(zeros, generator)
