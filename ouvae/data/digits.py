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


def load(source: Source | None = None) -> Dataset:
    """Return the digits: 1,297 / 250 / 250 images of 8x8 pixels.

    A pixel is k/16 for k = 0 … 16, the probability that it is drawn as 1. The sizes of the splits and the
    shuffle are our choice. `source` is not used.
    """
    images = contiguous(np.loadtxt(FILE, delimiter=",")[:, :-1] / 16)
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(images))
    train, validation, test = np.split(images[order], [TRAIN, TRAIN + VALIDATION])
    return Dataset("digits", train, validation, test, (8, 8), "dynamic")
