"""Data sets as float32 arrays in three splits, each with a digest of its contents.

`load(name)` gives a `Dataset`, `ouvae.declared.DATASETS` lists the names; everything that can go wrong with
data is a `DataError`.
"""

from ouvae.data.dataset import DataError, Dataset, Images, MissingDataError
from ouvae.data.loading import keys_for_data, load

__all__ = ["DataError", "Dataset", "Images", "MissingDataError", "keys_for_data", "load"]
