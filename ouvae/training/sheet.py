"""The sheet of a trained member: images, their reconstructions, samples, and its top layer traversed.

All of it is drawn by the single model on the CPU, with streams of its own, so that neither the pack nor
training and evaluation have a part in it.
"""

import torch
from torch import Tensor

from ouvae.parts.distributions import gaussian_kl_to_standard
from ouvae.parts.likelihoods import likelihood_of
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, System, leading_axes
from ouvae.training.noise import single_draws, stream
from ouvae.training.outcome import Sheet
from ouvae.training.step.precision import weights_dtype

SHEET_IMAGES = 8
"""Images in each row of a sheet."""

UNIT_IMAGES = 500
"""Maximum number of images by which the unit with the largest KL is found."""

TRAVERSED = 2.5
"""Standard deviations of N(0, I) on either side of zero between which the unit is traversed."""


def is_drawable(image_shape: Shape) -> bool:
    """Tell whether observations are images: rows and columns, with one channel or three if they have any."""
    return len(image_shape) == 2 or (len(image_shape) == 3 and image_shape[0] in (1, 3))


def pixel_means(model: System, outputs: Tensor) -> Tensor:
    """Return the mean of p(x|z) from a model's outputs, [B, outputs] -> [B, D]."""
    return likelihood_of(model.cell).mean(outputs, model.image_shape)


def reconstructions(model: System, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the mean of p(x|z) at a draw of the posterior of each image, [B, D] -> [B, D]."""
    return pixel_means(model, model.reconstruct(images, _draws(model, len(images), generator)))


@torch.no_grad()
def sheet_of(model: System, images: Tensor, seed: int) -> Sheet:
    """Return the sheet of a model.

    Pixels go from black at 0 to white at 1, or between the lowest and the highest pixel of the images if
    these lie further apart.

    Args:
        model: on the CPU, with trained weights and drawable images.
        images: [N, D] of the validation split; the first `SHEET_IMAGES` are shown.
        seed: of the member. Members of a seed have the same noise, so that images differ by rho only.

    Raises:
        NotImplementedError: the system has no `reconstruct`, `generate_from` or `top_draw`.
    """
    images = images.to("cpu", weights_dtype(model.cell))
    low, high = min(0.0, float(images.min())), max(1.0, float(images.max()))

    def as_bytes(pixels: Tensor) -> bytes:
        grey = ((pixels - low) / (high - low)).nan_to_num(0.0).clamp(0, 1)
        content: bytes = (255 * grey).round().to(torch.uint8).numpy().tobytes()
        return content

    def stream_of(name: str) -> torch.Generator:
        return stream(torch.device("cpu"), "sheet", name, seed)

    shown = images[:SHEET_IMAGES]
    kl = unit_kl(model, images[:UNIT_IMAGES], stream_of("units"))
    unit = int(kl.argmax())
    top = images.new_zeros(SHEET_IMAGES, len(kl))
    top[:, unit] = torch.linspace(-TRAVERSED, TRAVERSED, SHEET_IMAGES)
    # one by one, so that the layers below have the same noise at each value of the unit
    traversal = torch.cat([model.generate_from(z, stream_of("traversal")) for z in top[:, None]])
    return Sheet(
        image_shape=tuple(model.image_shape),
        unit=unit + 1,
        unit_kl_nats=float(kl[unit]),
        images=as_bytes(shown),
        reconstructions=as_bytes(reconstructions(model, shown, stream_of("reconstructions"))),
        samples=as_bytes(pixel_means(model, model.generate(SHEET_IMAGES, stream_of("samples")))),
        traversal=as_bytes(pixel_means(model, traversal)),
    )


def unit_kl(model: System, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the KL of each unit of the top layer from N(0, 1), mean over [N, D] images: [d_L] nats."""
    top = model.top_draw(images, _draws(model, len(images), generator))
    kl = gaussian_kl_to_standard(top.mean[..., None], top.log_scale[..., None])
    return kl.expand(top.z.shape).flatten(0, -2).mean(0)


def _draws(model: System, count: int, generator: torch.Generator) -> Draws:
    """Return the noise of a pass without smoothing."""
    plain = model.cell.model_copy(update={"smoothed_networks": ()})
    return single_draws(plain, leading_axes(count), generator, weights_dtype(model.cell))
