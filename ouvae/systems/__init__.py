"""The systems by name. A new one is a module with a subclass of `System`, and a line in `SYSTEMS`."""

from collections.abc import Mapping
from types import MappingProxyType

from ouvae.parts.networks import Shape
from ouvae.settings import Settings
from ouvae.systems.base import Draws, DrawShapes, System, Terms, leading_axes
from ouvae.systems.biva import BIVA
from ouvae.systems.hermite import HermiteVAE
from ouvae.systems.lvae import LadderVAE
from ouvae.systems.vae import HierarchicalVAE
from ouvae.systems.vampprior import VampPrior

SYSTEMS: Mapping[str, type[System]] = MappingProxyType(
    {
        "vae": HierarchicalVAE,
        "hermite": HermiteVAE,
        "vampprior": VampPrior,
        "lvae": LadderVAE,
        "biva": BIVA,
    }
)
"""Every system that a space can name."""


def build(settings: Settings, image_shape: Shape) -> System:
    """Return an untrained model of the settings' system."""
    return SYSTEMS[settings.system](settings, image_shape)


def draw_shapes(settings: Settings, leading: Shape) -> DrawShapes:
    """Return the shapes of the noise of one forward pass, see `System.draw_shapes`."""
    return SYSTEMS[settings.system].draw_shapes(settings, leading)


__all__ = ["SYSTEMS", "DrawShapes", "Draws", "System", "Terms", "build", "draw_shapes", "leading_axes"]
