"""The data sets of cells: each is loaded once, and has as many images as its cells ask for."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from ouvae.data import DataError, Dataset, MissingDataError, keys_for_data, load
from ouvae.declared import Cell
from sweeps import SweepError
from sweeps.errors import located


class DataSets:
    """The data sets of cells.

    Args:
        data_dir: folder with the data files; None downloads them.
        download: whether to fetch missing files; without it, cells whose data sets would be fetched are left
            out.

    Raises:
        DataError: a data set cannot be loaded.
        SweepError: cells ask for more images than there are.
    """

    def __init__(self, cells: Iterable[Cell], data_dir: Path | None, download: bool = True) -> None:
        self._data: dict[DataKey, Dataset] = {}
        cells = list(cells)
        for cell in cells:
            if _key(cell) in self._data:
                continue
            try:
                self._data[_key(cell)] = load(
                    cell.dataset, data_dir, download=download, **keys_for_data(cell)
                )
            except MissingDataError:
                if download or data_dir is not None:
                    raise
            except DataError:
                raise
            except Exception as error:  # of a user's own
                raise SweepError(
                    f"the data set {cell.dataset} cannot be loaded: {located(error)}; mend its `load`"
                ) from error
        present = (cell for cell in cells if cell in self)
        if problems := [problem for cell in present for problem in _too_few(cell, self.of(cell))]:
            raise SweepError("\n".join(dict.fromkeys(problems)))

    def __contains__(self, cell: Cell) -> bool:
        """Tell whether a cell's data set is loaded."""
        return _key(cell) in self._data

    def of(self, cell: Cell) -> Dataset:
        """Return the data set of a cell."""
        return self._data[_key(cell)]

    @property
    def by_digest(self) -> dict[str, Dataset]:
        """The data sets by their digests."""
        return {data.digest: data for data in self._data.values()}


DataKey: TypeAlias = tuple[str, tuple[tuple[str, Any], ...]]
"""Name of a data set, and the keys of a cell that it depends on."""


def _key(cell: Cell) -> DataKey:
    return cell.dataset, tuple(keys_for_data(cell).items())


def _too_few(cell: Cell, data: Dataset) -> Iterator[str]:
    for key, split, images in (
        ("batch_size", "training", data.train),
        ("eval_images", "validation", data.validation),
        ("bound_images", "test", data.test),
    ):
        wanted, available = getattr(cell, key), len(images)
        if wanted is not None and wanted > available:
            yield (
                f"{key}: {wanted} with {available} {split} images in {cell.dataset}; use at most {available}"
            )
