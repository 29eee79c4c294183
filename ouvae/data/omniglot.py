"""OMNIGLOT at 28x28, from the file that the VAE literature uses.

Source: chardata.mat of Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted autoencoders" (ICLR
2016), repository yburda/iwae; drawings by B. Lake, R. Salakhutdinov and J. Tenenbaum. No MD5 or SHA-256 is
published. The checksum is git's hash of the file in yburda/iwae. The repository mingzhang-yin/ARM-gradient
holds the same file as omniglot.mat.
"""

import numpy as np

from ouvae.data.dataset import Dataset
from ouvae.data.files import Source
from ouvae.data.formats import read_chardata
from ouvae.data.public import Checksum, PublicFile

SIDE = 28

PUBLIC_TRAIN_COLUMNS = 24_345
PUBLIC_VALIDATION = 1_345

SHUFFLE_SEED = 123
"""Seed of the legacy MT19937 generator that shuffles the training columns in yburda/iwae."""

CHARDATA = PublicFile(
    name="chardata.mat",
    folders=("omniglot",),
    urls=(
        "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/chardata.mat",
        "https://raw.githubusercontent.com/mingzhang-yin/ARM-gradient/master/omniglot.mat",
    ),
    checksum=Checksum("git-blob", "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"),
    contents=(
        f"MATLAB 5 file, data {SIDE * SIDE} x N and testdata {SIDE * SIDE} x M, values from 0 to "
        f"1; the public one has N = {PUBLIC_TRAIN_COLUMNS:,}, M = 8,070"
    ),
)


def load(source: Source) -> Dataset:
    """Return OMNIGLOT with pixels as Bernoulli probabilities.

    The public file gives 23,000 training, 1,345 validation and 8,070 test images: Burda's split, with the
    permutation of his code. Any file in this layout is accepted, with the same share of validation images
    (5.5% of `data`, at least one); its structure is verified, not its checksum.

    Raises:
        DataError: the file is missing, or has another layout.
    """
    data, test = read_chardata(source.obtain(CHARDATA), SIDE)
    order = np.random.RandomState(SHUFFLE_SEED).permutation(len(data))
    validation = max(1, round(len(data) * PUBLIC_VALIDATION / PUBLIC_TRAIN_COLUMNS))
    train, held_out = np.split(data[order], [-validation])
    return Dataset("omniglot", train, held_out, test, (SIDE, SIDE), "dynamic")
