"""Data sets as float32 arrays in three splits, each with a digest of its contents.

`load(name)` gives a `Dataset`; `NAMES` lists the names; everything that can go wrong with data is a
`DataError`.
"""

from ouvae.data.dataset import Binarization, DataError, Dataset, Images
from ouvae.data.registry import NAMES, load

__all__ = ["NAMES", "Binarization", "DataError", "Dataset", "Images", "load"]
