"""What to sweep: named spaces as YAML files, and their validation."""

from search_spaces.reading import SpaceError, load, names, nearest, read_yaml_mapping
from search_spaces.space import Cell, RhoRange, Space

__all__ = ["Cell", "RhoRange", "Space", "SpaceError", "load", "names", "nearest", "read_yaml_mapping"]
