"""The systems. To add one, write a subclass of `System` and a line in `ouvae.declared.choices`."""

from ouvae.declared import SYSTEMS, Cell
from ouvae.parts.networks import Shape
from ouvae.systems.base import Draws, DrawShapes, System, Terms, leading_axes


def system_of(cell: Cell) -> type[System]:
    """Return the class of the cell's system."""
    system: type[System] = SYSTEMS.load(cell.system)
    return system


def build(cell: Cell, image_shape: Shape) -> System:
    """Return an untrained model of the cell's system."""
    return system_of(cell)(cell, image_shape)


def draw_shapes(cell: Cell, leading: Shape) -> DrawShapes:
    """Return the shapes of the noise in one forward pass; see `System.draw_shapes`."""
    return system_of(cell).draw_shapes(cell, leading)


__all__ = ["DrawShapes", "Draws", "System", "Terms", "build", "draw_shapes", "leading_axes", "system_of"]
