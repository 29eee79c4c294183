"""Search spaces: named YAML files, and their validation."""

from ouvae.declared.registry import nearest
from search_spaces.reading import SpaceError, load, names, question, read_yaml_mapping
from search_spaces.space import Space, SweptCell
from search_spaces.sweeping import ValueRange

__all__ = [
    "Space",
    "SpaceError",
    "SweptCell",
    "ValueRange",
    "load",
    "names",
    "nearest",
    "question",
    "read_yaml_mapping",
]
