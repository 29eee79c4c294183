"""MNIST, dynamically and statically binarized: 50,000 / 10,000 / 10,000 images of 28x28.

Sources. `mnist`: the two image files of Y. LeCun, C. Cortes and C. Burges. Mirrors: PyTorch's (used by
torchvision's `MNIST`), the Common Visual Data Foundation's (used by TensorFlow Datasets) and the repository
fgnt/mnist. Copies may differ in the bytes of their gzip files, so the checksums are of the decompressed
files.

`mnist_static`: the binarization of R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep
belief networks" (ICML 2008), as distributed by H. Larochelle, with the checksums that TensorFlow Datasets
publishes (`url_checksums/binarized_mnist.txt`).

`mnist_fixed`: the images of `mnist`, binarized once with a seeded generator (our choice), for machines
without the files of `mnist_static`.
"""

import numpy as np

from ouvae.data.dataset import Dataset, Images, contiguous
from ouvae.data.files import Source
from ouvae.data.formats import read_amat, read_idx_images
from ouvae.data.public import Checksum, PublicFile

SIDE = 28
FIXED_SEED = 28
TRAIN, VALIDATION, TEST = 50_000, 10_000, 10_000

_IDX_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
_AMAT_MIRRORS = (
    "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
    "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
)


def _idx_file(name: str, images: int, md5: str) -> PublicFile:
    return PublicFile(
        name=name,
        folders=("mnist", "MNIST/raw"),
        urls=tuple(mirror + name for mirror in _IDX_MIRRORS),
        checksum=Checksum("md5", md5),
        contents=f"{images:,} images of {SIDE}x{SIDE} bytes, IDX format, gzip or not",
    )


def _amat_file(name: str, images: int, sha256: str) -> PublicFile:
    return PublicFile(
        name=name,
        folders=("mnist_static",),
        urls=tuple(mirror + name for mirror in _AMAT_MIRRORS),
        checksum=Checksum("sha256", sha256),
        contents=f"text, {images:,} lines of {SIDE * SIDE} zeros and ones",
    )


TRAIN_IMAGES = _idx_file("train-images-idx3-ubyte.gz", TRAIN + VALIDATION, "6bbc9ace898e44ae57da46a324031adb")
TEST_IMAGES = _idx_file("t10k-images-idx3-ubyte.gz", TEST, "2646ac647ad5339dbf082846283269ea")

STATIC_TRAIN = _amat_file(
    "binarized_mnist_train.amat", TRAIN, "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"
)
STATIC_VALIDATION = _amat_file(
    "binarized_mnist_valid.amat",
    VALIDATION,
    "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
)
STATIC_TEST = _amat_file(
    "binarized_mnist_test.amat", TEST, "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"
)


def load_dynamic(source: Source) -> Dataset:
    """Return MNIST with pixels / 255 as Bernoulli probabilities.

    The last 10,000 of the 60,000 training images are the validation split.

    Raises:
        DataError: a file is missing, or is not the public file.
    """

    def images(file: PublicFile, count: int) -> Images:
        contents = source.obtain(file)
        pixels = read_idx_images(contents, (count, SIDE, SIDE))
        contents.verify()
        return contiguous(pixels) / np.float32(255)

    train = images(TRAIN_IMAGES, TRAIN + VALIDATION)
    test = images(TEST_IMAGES, TEST)
    return Dataset("mnist", train[:TRAIN], train[TRAIN:], test, (SIDE, SIDE), "dynamic")


def load_fixed(source: Source) -> Dataset:
    """Return MNIST, each pixel drawn once as Bernoulli(pixel / 255), the same on every machine.

    Raises:
        DataError: a file is missing, or is not the public file.
    """
    dynamic = load_dynamic(source)
    generator = np.random.Generator(np.random.PCG64(FIXED_SEED))

    def drawn(images: Images) -> Images:
        return contiguous(generator.random(images.shape, dtype=np.float32) < images)

    train, validation, test = (drawn(images) for images in dynamic.splits().values())
    return Dataset("mnist_fixed", train, validation, test, dynamic.image_shape, "static")


def load_static(source: Source) -> Dataset:
    """Return Larochelle's binarized MNIST in its three splits.

    Raises:
        DataError: a file is missing, or is not the public file.
    """

    def images(file: PublicFile, count: int) -> Images:
        contents = source.obtain(file)
        pixels = read_amat(contents, count, SIDE * SIDE)
        contents.verify()
        return contiguous(pixels)

    return Dataset(
        "mnist_static",
        images(STATIC_TRAIN, TRAIN),
        images(STATIC_VALIDATION, VALIDATION),
        images(STATIC_TEST, TEST),
        (SIDE, SIDE),
        "static",
    )
