"""Search spaces: named YAML files, and their validation."""

from search_spaces.reading import SpaceError, load, names, nearest, read_yaml_mapping
from search_spaces.space import RhoRange, Space, SweptCell

__all__ = ["RhoRange", "Space", "SpaceError", "SweptCell", "load", "names", "nearest", "read_yaml_mapping"]
