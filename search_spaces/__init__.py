"""Search spaces: named YAML files, and their validation."""

from ouvae.declared.registry import nearest
from search_spaces.named_cells import RhoRange
from search_spaces.reading import SpaceError, load, names, question, read_yaml_mapping
from search_spaces.space import Space, SweptCell

__all__ = [
    "RhoRange",
    "Space",
    "SpaceError",
    "SweptCell",
    "load",
    "names",
    "nearest",
    "question",
    "read_yaml_mapping",
]
