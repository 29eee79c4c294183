"""A data set from a NumPy file: `dataset: my.npz`.

The file holds the arrays `train`, `validation` and `test`, or one array `images`, which is divided by the
entries `split` and `seed` of the file. Observations are vectors [N, D], images [N, rows, columns], or images
with channels, [N, channels, rows, columns] or [N, rows, columns, channels]: the shorter of the second and the
last axis has the channels. Pixels go from 0 to 1, or from 0 to 255.

>>> np.savez("my.npz", images=images, split=[0.8, 0.1, 0.1], seed=0)
"""

import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ouvae.data.dataset import DataError, Dataset, Images, contiguous
from ouvae.data.files import Source
from ouvae.declared.traits import Binarization, DatasetTraits

SPLITS = ("train", "validation", "test")

SHARES, SEED = (0.8, 0.1, 0.1), 0
"""Shares of the splits of one array `images`, and the seed of the PCG64 generator that shuffles it, unless
the file has the entries `split` and `seed`."""

_FORM = (
    "give arrays train, validation and test, or one array images; each [N, D], [N, rows, columns] or "
    "[N, channels, rows, columns], with pixels from 0 to 1 or from 0 to 255"
)


def traits(name: str) -> DatasetTraits:
    """Return the traits of the data set in a file.

    Grey pixels are Bernoulli probabilities, drawn as 0 or 1 again at each use; if all are 0 or 1, they stay
    as they are. Pixels in colour are real numbers.

    Raises:
        ValueError: there is no such file, or it does not hold a data set; lists all problems.
    """
    try:
        data = load(name)
    except DataError as error:
        raise ValueError(str(error)) from None
    likelihoods: dict[str, Any] = {}
    if len(data.image_shape) == 3:
        likelihoods["likelihoods"] = (*["logistic_mixture"] * (data.image_shape[0] == 3), "gaussian")
    return DatasetTraits(
        path=f"{__name__}:load",
        image_shape=data.image_shape,
        binarization=data.binarization,
        **likelihoods,
    )


def load(name: str, source: Source | None = None) -> Dataset:
    """Return the data set in a file; `source` is not used. A file is read once for each of its states.

    Raises:
        DataError: there is no such file, or it does not hold a data set; lists all problems.
    """
    path = _found(name)
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


def _found(name: str) -> Path:
    """Return the file of a name. Like a module it is in the current folder or on Python's path."""
    given = Path(os.path.expanduser(name))
    for folder in ("", *sys.path):
        if os.path.isfile(folder / given):
            return (folder / given).resolve()
    raise DataError("no such file; put it beside the space or into the current folder, or give its full path")


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int, _size: int) -> Dataset:
    arrays = _arrays(path)
    if problems := list(_problems(arrays)):
        raise DataError(f"{'; '.join(problems)}; {_FORM}")
    splits = _divided(arrays) if "images" in arrays else [arrays[name] for name in SPLITS]
    splits = [_channels_first(split) for split in splits]
    scale = np.float32(255 if max(split.max() for split in splits) > 1 else 1)
    train, validation, test = (contiguous(split.reshape(len(split), -1)) / scale for split in splits)
    shape = splits[0].shape[1:]
    binarization = _binarization(shape, (train, validation, test))
    return Dataset(path.name, train, validation, test, shape, binarization)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file. Objects, whose loading can run code, are refused."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise DataError(f"holds one array {file.shape} without a name; save it with np.savez")
        with file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, MemoryError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot be read as NumPy's .npz: {error}") from None


def _problems(arrays: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """Yield all that is wrong with the arrays of a file."""
    if "images" in arrays:
        names = ["images"]
        if more := [name for name in SPLITS if name in arrays]:
            yield f"has {', '.join(more)} beside images"
        yield from _division_problems(arrays)
    else:
        names = [name for name in SPLITS if name in arrays]
        if missing := [name for name in SPLITS if name not in arrays]:
            yield f"lacks {', '.join(missing)}, found {', '.join(arrays) or 'no array'}"
    shapes = {name: _channels_first(arrays[name]).shape[1:] for name in names}
    if len({*shapes.values()}) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        yield f"observations differ in shape: {listed}"
    for name in names:
        yield from (f"{name} {problem}" for problem in _array_problems(arrays[name]))


def _array_problems(array: NDArray[Any]) -> Iterator[str]:
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        yield f"has shape {array.shape}"
    if array.dtype.kind not in "buif":
        yield f"holds {array.dtype}"
    elif array.size and not np.isfinite(array).all():
        yield "holds a value that is not finite"
    elif array.size and not 0 <= array.min() <= array.max() <= 255:
        yield f"has pixels from {array.min():g} to {array.max():g}"


def _division_problems(arrays: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    shares, seed = np.asarray(arrays.get("split", SHARES)), np.asarray(arrays.get("seed", SEED))
    if shares.shape != (3,) or shares.dtype.kind != "f" or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        yield f"split is {shares.tolist()}, expected three shares such as {list(SHARES)}"
    elif arrays["images"].ndim and min(_counts(arrays)) < 1:
        yield f"images has {len(arrays['images'])} observations, too few for the shares {shares.tolist()}"
    if seed.shape != () or seed.dtype.kind not in "ui" or seed < 0:
        yield f"seed is {seed.tolist()}, expected a whole number of at least 0"


def _counts(arrays: Mapping[str, NDArray[Any]]) -> tuple[int, int, int]:
    """Return the sizes of the splits of `images`: those of validation and test are rounded down."""
    count = len(arrays["images"])
    _, validation, test = (int(share * count) for share in arrays.get("split", SHARES))
    return count - validation - test, validation, test


def _divided(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the splits of `images`, shuffled."""
    images, (train, validation, _) = arrays["images"], _counts(arrays)
    generator = np.random.Generator(np.random.PCG64(int(arrays.get("seed", SEED))))
    return np.split(images[generator.permutation(len(images))], [train, train + validation])


def _channels_first(images: NDArray[Any]) -> NDArray[Any]:
    """Return images in colour as [N, channels, rows, columns], and with one channel as [N, rows, columns]."""
    if images.ndim != 4:
        return images
    if images.shape[3] < images.shape[1]:
        images = images.transpose(0, 3, 1, 2)
    return images[:, 0] if images.shape[1] == 1 else images


def _binarization(shape: tuple[int, ...], splits: tuple[Images, ...]) -> Binarization:
    if len(shape) == 3:
        return "none"
    return "static" if all(np.isin(split, (0, 1)).all() for split in splits) else "dynamic"
