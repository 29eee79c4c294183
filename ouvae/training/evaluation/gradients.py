"""The variance of the encoder's gradient (the paper's figure 4)."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import functional_call

from ouvae.declared import Cell
from ouvae.systems import Draws, System
from ouvae.training.noise import single_draws, stream

GRADIENT_IMAGES = 20
"""Number of validation images, the first ones, over which the variance is averaged."""


def gradient_variance(
    model: System, state: Mapping[str, Tensor], x: Tensor, draws: Draws, rho: Tensor | None
) -> float:
    """Return the variance, over the noise, of an image's loss gradient in the mean of q(z_1|x).

    Args:
        model: the structure; its weights are not used.
        state: the member's weights and buffers by name.
        x: [B, D] images.
        draws: noise with the leading axes (samples, B); each sample has a gradient.
        rho: the smoothing; None for none.

    Returns:
        Unbiased variance over the samples, averaged over images and coordinates, in squared nats per unit of
        the mean.
    """
    outputs: list[Tensor] = []
    hook = model.encoder.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        with torch.enable_grad():
            weights = {name: value.detach().requires_grad_() for name, value in state.items()}
            samples = draws.base[0].shape[0]
            terms = functional_call(model, weights, (x.expand(samples, *x.shape), draws, rho))
            (gradient,) = torch.autograd.grad((terms.kl.sum(0) - terms.log_likelihood).sum(), outputs)
    finally:
        hook.remove()
    mean_gradient, _ = gradient.chunk(2, -1)
    return float(mean_gradient.var(0).mean())


def gradient_variances(
    model: System, state: Mapping[str, Tensor], cell: Cell, images: Tensor, seed: int
) -> dict[str, float | None]:
    """Return the variance of a member's gradient with the cell's `gradient_rho` and without smoothing.

    Both have the same weights, images and base noise. They are None if the cell does not ask for them.
    """
    if cell.gradient_samples is None or cell.gradient_rho is None:
        return {"gradient_variance": None, "gradient_variance_smoothed": None}
    x = images[:GRADIENT_IMAGES]
    generator = stream(x.device, "gradient", seed)
    draws = single_draws(cell, (cell.gradient_samples, len(x)), generator, x.dtype)
    rho = torch.tensor(cell.gradient_rho, dtype=x.dtype, device=x.device)
    return {
        "gradient_variance": gradient_variance(model, state, x, draws, None),
        "gradient_variance_smoothed": gradient_variance(model, state, x, draws, rho),
    }
