"""CIFAR-10: 45,000 / 5,000 / 10,000 coloured images of 32x32, in the public binary version.

Source: cifar-10-binary.tar.gz of A. Krizhevsky, "Learning multiple layers of features from tiny images"
(2009), with the MD5 checksum of its page.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ouvae.data.dataset import Dataset, Images
from ouvae.data.files import Source
from ouvae.data.formats import read_cifar, read_tar
from ouvae.data.public import Checksum, Contents, PublicFile, read

CHANNELS, SIDE = 3, 32
BATCH_IMAGES = 10_000

FOLDER = "cifar-10-batches-bin"
"""The folder in the archive."""

TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCH = "test_batch.bin"

VALIDATION_SHARE = 10
"""The last of this many equal parts of the training images is the validation split: our choice."""

ARCHIVE = PublicFile(
    name="cifar-10-binary.tar.gz",
    folders=("cifar10", f"cifar10/{FOLDER}", FOLDER),
    urls=(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "http://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ),
    checksum=Checksum("md5", "c32a1d4ab5d03f1284b67883e8d87530"),
    contents=(
        f"tar archive of {FOLDER}/: {TRAIN_BATCHES[0]} to {TRAIN_BATCHES[-1]} and {TEST_BATCH}, "
        f"{BATCH_IMAGES:,} records each of a label byte and {CHANNELS * SIDE * SIDE:,} pixels"
    ),
    archive=True,
)


def load(source: Source) -> Dataset:
    """Return CIFAR-10 with pixels / 255, channels first, without the labels.

    The last tenth of the 50,000 training images is the validation split. The archive is verified by its
    checksum. A folder with unpacked batches may lack the last training batches and have fewer records in each
    batch: only the format is verified, and the digest differs.

    Raises:
        DataError: a file is missing, or has another format.
    """
    unpacked = source.unpacked(ARCHIVE, (*TRAIN_BATCHES, TEST_BATCH))
    *batches, test = _from_archive(source) if unpacked is None else _from_folder(unpacked)
    train = np.concatenate([read_cifar(batch) for batch in batches])
    if len(train) < 2:
        raise batches[0].error("one record", "two or more, of which one is for validation")
    held_out = max(1, len(train) // VALIDATION_SHARE)
    return Dataset(
        "cifar10",
        _scaled(train[:-held_out]),
        _scaled(train[-held_out:]),
        _scaled(read_cifar(test)),
        (CHANNELS, SIDE, SIDE),
        "none",
    )


def _from_archive(source: Source) -> list[Contents]:
    contents = source.obtain(ARCHIVE)
    contents.verify()
    return read_tar(contents, [f"{FOLDER}/{name}" for name in (*TRAIN_BATCHES, TEST_BATCH)])


def _from_folder(folder: Path) -> list[Contents]:
    """Return the training batches up to the last one in the folder, and the test batch."""
    present = [name for name in TRAIN_BATCHES if (folder / name).is_file()]
    needed = TRAIN_BATCHES[: TRAIN_BATCHES.index(present[-1]) + 1] if present else TRAIN_BATCHES[:1]
    return [read(ARCHIVE, folder / name) for name in (*needed, TEST_BATCH)]


def _scaled(pixels: NDArray[np.uint8]) -> Images:
    images = pixels.astype(np.float32)
    images /= 255
    return images
