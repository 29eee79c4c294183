"""The 8x8 digits that scikit-learn ships: the data set that needs no download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ouvae.data.dataset import Dataset, contiguous
from ouvae.data.files import Source

SPLIT_SEED = 1797
"""Seed of the PCG64 generator that shuffles the images before they are split."""

TRAIN = 1297
VALIDATION = 250


def load(source: Source | None = None) -> Dataset:
    """Return scikit-learn's digits: 1,297 / 250 / 250 images of 8x8 pixels.

    A pixel is one of 0, 1, …, 16 sixteenths, the probability that it is drawn as 1. The sizes of
    the splits and the shuffle are our choice. No file is asked of the source.
    """
    images = contiguous(np.loadtxt(_file(), delimiter=",")[:, :-1] / 16)
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(images))
    train, validation, test = np.split(images[order], [TRAIN, TRAIN + VALIDATION])
    return Dataset("digits", train, validation, test, (8, 8), "dynamic")


def _file() -> Path:
    """Return the file of `sklearn.datasets.load_digits`: to import scikit-learn takes a second or two."""
    found = find_spec("sklearn")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
