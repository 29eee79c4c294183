"""The 8x8 digits that scikit-learn ships: the data set that needs no download."""

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
    # scikit-learn takes about a second to import, which only this data set is worth.
    from sklearn.datasets import load_digits

    images = contiguous(load_digits().data / 16)
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(images))
    train, validation, test = np.split(images[order], [TRAIN, TRAIN + VALIDATION])
    return Dataset("digits", train, validation, test, (8, 8), "dynamic")
