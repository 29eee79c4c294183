"""The interface of a system: a single PyTorch model from images and noise to the terms of the bound.

Shapes: B images, D pixels, L layers, d_l the size of layer l, I importance samples (without the axis if I is
1), K draws of the smoothing operator.
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
        base: eps of the latent variables, [I, B, d] each, z_1 first; the variables depend on the system.
        generative: omega of p(z_l|z_l+1), [K, I, B, d_l+1] for l = 1 … L-1; empty without smoothing.
        likelihood: omega of p(x|z_1), a single [K, I, B, d_1]; empty without smoothing.
        inference: omega of q(z_l+1|z_l), [K, I, B, d_l] for l = 1 … L-1; empty without smoothing.
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
    """The terms of the bound for each image, in nats.

    Attributes:
        log_likelihood: [I, B] log p(x|z).
        kl: [L, I, B] KL of each layer, z_1 first: the closed form if the layer has one and it is asked for,
            otherwise one draw's estimate. log_likelihood - kl.sum(0) estimates the ELBO; without closed forms
            it is the logarithm of the importance weight p(x, z)/q(z|x).
        means: posterior means, [I, B, units] for l = 1 … L; `System.unit_counts` gives the numbers of units.
    """

    log_likelihood: Tensor
    kl: Tensor
    means: tuple[Tensor, ...]


def leading_axes(batch: int, samples: int = 1) -> Shape:
    """Return the leading axes of the noise of B images: (B,), or (I, B) for several samples."""
    return (batch,) if samples == 1 else (samples, batch)


class System(nn.Module):
    """A single model. A subclass has its own module, and its traits in `ouvae.declared.choices`.

    Methods take images [B, D], and noise in the shapes of `draw_shapes`; only `forward` smooths.
    """

    def __init__(self, cell: Cell, image_shape: Shape) -> None:
        """Build the networks for images of shape (rows, columns) or (channels, rows, columns)."""
        super().__init__()
        self.cell = cell
        self.image_shape = image_shape

    @property
    def encoder(self) -> nn.Module:
        """The network that gives the parameters of q(z_1|x), if a single network does."""
        raise NotImplementedError(f"{type(self).__name__} has no single network for q(z_1|x)")

    @staticmethod
    def unit_counts(cell: Cell) -> Shape:
        """Return the number of latent units of each layer, z_1 first, among which active units are counted.

        The default is d_1 … d_L.
        """
        return cell.latents

    @staticmethod
    def draw_shapes(cell: Cell, leading: Shape) -> DrawShapes:
        """Return the shapes of the noise for leading axes (B,) or (I, B).

        The default is a base draw for each layer.
        """
        return DrawShapes(tuple((*leading, size) for size in cell.latents))

    def forward(self, x: Tensor, draws: Draws, rho: Tensor | None = None, closed_form: bool = True) -> Terms:
        """Return the bound's terms.

        Args:
            x: images.
            draws: the noise.
            rho: the smoothing, a scalar tensor; None for none.
            closed_form: use the closed forms of layers' KLs.
        """
        raise NotImplementedError

    def top_draw(self, x: Tensor, draws: Draws) -> GaussianDraw:
        """Return the draw of the top layer, z [I, B, d_L], from its Gaussian given the earlier draws.

        The layer's information about the image follows from it: see `ouvae.training.evaluation.information`.
        The last base draw is the noise of this draw. Mean and log scale do not depend on it, and may lack the
        axis I.
        """
        raise NotImplementedError

    def posterior_means(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return the posterior means of each layer, z_1 first, [I, B, units] each.

        A layer whose means do not depend on draws, as z_1 of most systems, may lack the axis I. By default
        they come from `forward`. Systems override this to skip the networks that inference does not need,
        since an evaluation takes many draws.
        """
        terms: Terms = self(x, draws, None)
        return terms.means

    def reconstruct(self, x: Tensor, draws: Draws) -> Tensor:
        """Return the outputs of p(x|z) at a draw of the posterior, [I, B, outputs].

        `ouvae.parts.likelihoods` turns the outputs into a density. Training does not need this.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method reconstruct")

    def generate(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the outputs of p(x|z) at draws of the prior, [count, outputs].

        By default the top layer is drawn from N(0, I). The generator is of the model's device. Training does
        not need this.
        """
        return self.generate_from(self.standard(count, self.cell.latents[-1], generator), generator)

    def generate_from(self, top: Tensor, generator: torch.Generator) -> Tensor:
        """Return the outputs of p(x|z) at the top layer's z_L, [count, d_L] -> [count, outputs].

        The layers below are drawn given z_L. The generator is of the model's device. Training does not need
        this.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method generate_from")

    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return a draw of the Gaussian with a network's outputs as parameters, [..., 2 d] -> [..., d]."""
        mean, log_scale = gaussian_parameters(outputs)
        eps = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=generator.device)
        return mean + log_scale.exp() * eps

    def standard(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """Return draws of N(0, I), [count, size]."""
        zeros = next(self.parameters()).new_zeros(count, 2 * size)
        return self.drawn(zeros, generator)
