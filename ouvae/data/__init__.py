"""Data sets as float32 arrays in three splits, with a digest of their contents.

`load(name)` returns a `Dataset`; `ouvae.declared.DATASETS` lists the names. Every problem with data is a
`DataError`.
"""

from ouvae.data.dataset import DataError, Dataset, Images, MissingDataError
from ouvae.data.loading import keys_for_data, load

__all__ = ["DataError", "Dataset", "Images", "MissingDataError", "keys_for_data", "load"]
