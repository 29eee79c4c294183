"""A data set: three splits of float32 vectors, and a digest that identifies them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ouvae.declared.traits import Binarization

Images = NDArray[np.float32]
"""[N, D] float32, C-contiguous, with one observation in a row."""


_ROWS = 10_000
"""Observations whose covariance is computed at once, to bound memory."""


class DataError(Exception):
    """Data are missing or wrong; the message says what to do."""


class MissingDataError(DataError):
    """A data file is in none of the expected places."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test observations of one data set.

    Attributes:
        train, validation, test: [N, D] float32, C-contiguous, in [0, 1] unless `binarization` is `none`.
        image_shape: (rows, columns) or (channels, rows, columns), in the order of a vector; (D,) for
            observations that are not images.
        binarization: how a pixel becomes 0 or 1, see `Binarization`.
        digest: SHA-256, hexadecimal, of binarization, shapes and the splits' little-endian bytes, the same on
            every platform.

    Raises:
        DataError: an array has another type, layout, shape or range.
    """

    name: str
    train: Images = field(repr=False)
    validation: Images = field(repr=False)
    test: Images = field(repr=False)
    image_shape: tuple[int, ...]
    binarization: Binarization
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        problems = [
            f"{split} {problem}"
            for split, images in self.splits().items()
            for problem in _problems(images, prod(self.image_shape), self.binarization)
        ]
        if problems:
            raise DataError(f"data set {self.name!r}: " + "; ".join(problems))
        object.__setattr__(self, "digest", self._digest())

    def splits(self) -> dict[str, Images]:
        """Return the three splits by name, in the order train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @cached_property
    def spectrum(self) -> tuple[float, ...]:
        """The eigenvalues of the covariance of the training split, the largest first."""
        mean = self.train.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((mean.size, mean.size))
        for start in range(0, len(self.train), _ROWS):
            centred = self.train[start : start + _ROWS] - mean
            covariance += centred.T @ centred / len(self.train)
        return tuple(np.linalg.eigvalsh(covariance)[::-1].tolist())

    def _digest(self) -> str:
        digest = hashlib.sha256(f"{self.binarization} {self.image_shape}".encode())
        for split, images in self.splits().items():
            digest.update(f" {split} {images.shape} ".encode())
            digest.update(images.astype("<f4", copy=False).data)
        return digest.hexdigest()


def contiguous(images: NDArray[Any]) -> Images:
    """Return the images as a C-contiguous float32 array, copied only if necessary."""
    return np.ascontiguousarray(images, dtype=np.float32)


def _problems(images: Images, dimensions: int, binarization: Binarization) -> Iterator[str]:
    """Yield the problems of a split, a phrase for each."""
    if images.dtype != np.float32 or not images.flags.c_contiguous:
        yield f"is {images.dtype}, expected float32 in C order"
    if images.ndim != 2 or len(images) == 0 or images.shape[1] != dimensions:
        yield f"has shape {images.shape}, expected (N, {dimensions}) with N of at least 1"
    if images.dtype.kind not in "buif" or images.size == 0:
        return
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        yield "holds a value that is not finite"
    elif binarization != "none" and not 0 <= low <= high <= 1:
        yield f"has pixels from {low:g} to {high:g}, expected 0 to 1"
    elif binarization == "static" and not np.isin(images, (0, 1)).all():
        yield "has pixels other than 0 and 1"
