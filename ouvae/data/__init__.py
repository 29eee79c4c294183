"""Data sets as float32 arrays in three splits, with a digest of their contents.

`load(name)` returns a `Dataset`; `ouvae.declared.DATASETS` lists the names. Every problem with data is a
`DataError`. A new data set is a module with a loader, and a line in `ouvae.declared.choices`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ouvae.data.dataset import DataError, Dataset, Images, MissingDataError
from ouvae.data.files import Source
from ouvae.declared import DATASETS, CellKeys, DatasetTraits

__all__ = ["DataError", "Dataset", "Images", "MissingDataError", "keys_for_data", "load"]


def load(
    name: str, data_dir: Path | None = None, *, download: bool = True, progress: bool = True, **keys: Any
) -> Dataset:
    """Return a data set by its name: one of `DATASETS`, a user's `module:Class` or an .npz file.

    With `data_dir`, files come from this folder only. Otherwise they come from the folder of the environment
    variable `OUVAE_DATA`, from the cache, or from a mirror. A folder holds them directly or in a subfolder
    with the data set's name (`mnist/`, `omniglot/`, …).

    Args:
        name: name of the data set.
        data_dir: the folder of the data files.
        download: download a missing file into the cache.
        progress: show a progress bar while downloading.
        keys: the keys of a cell that the data set depends on, such as `data_variance` of `gaussian`.

    Raises:
        DataError: the name is unknown, a key is missing or out of place, a file is missing or wrong, or the
            data contradict their traits.
    """
    try:
        traits = DATASETS[DATASETS.checked(name)]
    except ValueError as error:
        raise DataError(f"data set {name!r}: {error}") from None
    if foreign := sorted(keys.keys() - traits.uses):
        raise DataError(f"{', '.join(foreign)} with data set {name!r}, which does not use it; leave it out")
    if missing := [key for key in traits.needs if keys.get(key) is None]:
        raise DataError(f"data set {name!r} needs {', '.join(missing)}")
    data: Dataset = DATASETS.load(name)(Source(data_dir, download, progress), **keys)
    _require_as_declared(name, data, traits)
    return data if data.name == name else replace(data, name=name)


def keys_for_data(cell: CellKeys) -> dict[str, Any]:
    """Return the keys and values of a cell that its data set depends on."""
    return {key: getattr(cell, key) for key in sorted(cell.traits("dataset").uses)}


def _require_as_declared(name: str, data: Dataset, traits: DatasetTraits) -> None:
    actual = {"image_shape": data.image_shape, "binarization": data.binarization}
    for trait, value in actual.items():
        declared = getattr(traits, trait)
        if declared is not None and declared != value:
            raise DataError(
                f"data set {name!r} has {trait} {value}, but its traits have {declared}; correct the traits"
            )
