"""The 8x8 digits, which need no download.

The file is the test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (UCI
Machine Learning Repository, 1998, https://archive.ics.uci.edu/dataset/80, licence CC BY 4.0), byte for byte
as scikit-learn ships it: a line for each image, 64 pixels from 0 to 16 row by row, then the label.
"""

from pathlib import Path

import numpy as np

from ouvae.data.dataset import Dataset, contiguous
from ouvae.data.files import Source

FILE = Path(__file__).with_name("digits.csv.gz")

SPLIT_SEED = 1797
"""Seed of the PCG64 generator that shuffles the images before the split."""

TRAIN = 1297
VALIDATION = 250

LIT = 0.05
"""Minimum share of training images in which a standardized pixel is not 0."""


def load(source: Source | None = None) -> Dataset:
    """Return the digits: 1,297 / 250 / 250 images of 8x8 pixels.

    A pixel is k/16 for k = 0 … 16, the probability that it is drawn as 1. The sizes of the splits and the
    shuffle are our choice. `source` is not used.
    """
    images = contiguous(np.loadtxt(FILE, delimiter=",")[:, :-1] / 16)
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(images))
    train, validation, test = np.split(images[order], [TRAIN, TRAIN + VALIDATION])
    return Dataset("digits", train, validation, test, (8, 8), "dynamic")


def load_standardized(source: Source | None = None) -> Dataset:
    """Return pixels of the digits as real numbers with mean 0 and variance 1 over the training split.

    The splits are those of `load`. Pixels that are 0 in more than 95 % of the training images are left out:
    they would have outliers of up to 36 standard deviations. 50 remain. `source` is not used.
    """
    digits = load()
    often = (digits.train > 0).mean(axis=0) >= LIT
    mean, scale = (measure(digits.train[:, often], 0, np.float64) for measure in (np.mean, np.std))
    train, validation, test = (
        contiguous((split[:, often] - mean) / scale) for split in digits.splits().values()
    )
    return Dataset("digits_standardized", train, validation, test, (int(often.sum()),), "none")
