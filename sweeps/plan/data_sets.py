"""The data sets of cells: each is loaded once, and has as many images as its cells ask for."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from ouvae.data import DataError, Dataset, MissingDataError, keys_for_data, load
from ouvae.declared import Cell
from sweeps import SweepError
from sweeps.errors import located

DataKey: TypeAlias = tuple[str, tuple[tuple[str, Any], ...]]
"""What a data set is loaded by: its name, and the keys that it depends on."""


def data_key(cell: Cell) -> DataKey:
    """Return what the data set of a cell is loaded by."""
    return cell.dataset, tuple(keys_for_data(cell).items())


def load_data_sets(
    cells: Iterable[Cell], data_dir: Path | None, download: bool = True
) -> dict[DataKey, Dataset]:
    """Return the data sets of cells; without `download` only those that are at hand.

    Raises:
        DataError: a data set cannot be loaded.
        SweepError: cells ask for more images than there are.
    """
    cells = list(cells)
    data: dict[DataKey, Dataset] = {}
    for cell in cells:
        key = data_key(cell)
        if key in data:
            continue
        try:
            data[key] = load(cell.dataset, data_dir, download=download, **keys_for_data(cell))
        except MissingDataError:
            if download:
                raise
        except DataError:
            raise
        except Exception as error:  # of a user's own
            raise SweepError(
                f"the data set {cell.dataset} cannot be loaded: {located(error)}; mend its `load`"
            ) from error
    present = (cell for cell in cells if data_key(cell) in data)
    problems = [problem for cell in present for problem in _too_few(cell, data[data_key(cell)])]
    if problems:
        raise SweepError("\n".join(dict.fromkeys(problems)))
    return data


def _too_few(cell: Cell, data: Dataset) -> Iterator[str]:
    for key, split, images in (
        ("batch_size", "training", data.train),
        ("eval_images", "validation", data.validation),
        ("bound_images", "test", data.test),
    ):
        wanted, found = getattr(cell, key), len(images)
        if wanted is not None and wanted > found:
            yield f"{key}: {wanted} with {found} {split} images in {cell.dataset}; use at most {found}"
