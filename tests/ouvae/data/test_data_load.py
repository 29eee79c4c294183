"""Data sets: splits, digests, names, real files."""

import gzip
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from sklearn.datasets import load_digits

import ouvae.data
from ouvae.data import DataError, Dataset, load, mnist
from ouvae.declared import DATASETS

DIGITS_DIGEST = "68a55f9b35a56c693e0b97b8852ec683ccaf09fd4063d460fb7a246227ac91a2"
MNIST_DIGEST = "26391d497a39d37bfcbaf2646deb2cf589b4e24a9f8f60cf601d64db9e0298e0"
FIXED_DIGEST = "8978493532396ade2080bf8c70356d467ff53fff6b7c13a2f0a70cb759784491"
STATIC_DIGEST = "0ea92683764b421e2aa080d3df0af215864598c212418a61aced02291fed9c0d"


def sorted_rows(images):
    return images[np.lexsort(images.T)]


def joined(*splits):
    return sorted_rows(np.concatenate(splits))


def assert_lawful(data: Dataset) -> None:
    for images in data.splits().values():
        assert images.dtype == np.float32
        assert images.flags.c_contiguous
        assert images.shape[1] == np.prod(data.image_shape)
        if data.binarization != "none":
            assert images.min() == 0
            assert images.max() == 1
    assert len(data.digest) == 64


def test_digits_are_complete_and_disjoint():
    data = load("digits")
    assert_lawful(data)
    assert [len(split) for split in data.splits().values()] == [1297, 250, 250]
    assert data.image_shape == (8, 8)
    assert data.binarization == "dynamic"
    original = load_digits().data.astype(np.float32) / 16
    np.testing.assert_array_equal(joined(*data.splits().values()), sorted_rows(original))
    assert not np.array_equal(data.train, original[:1297]), "the images are not shuffled"


def test_digits_digest_is_known():
    """So it is the same in every process."""
    assert load("digits").digest == DIGITS_DIGEST


def test_standardized_digits_are_pixels_of_the_digits_on_another_scale():
    digits, data = load("digits"), load("digits_standardized")
    lit = (digits.train > 0).mean(0) >= 0.05
    assert data.image_shape == (50,) == (lit.sum(),)
    assert np.allclose(data.train.mean(0), 0, atol=1e-5)
    assert np.allclose(data.train.var(0), 1, atol=1e-4)
    for split, images in data.splits().items():
        pixels = getattr(digits, split)[:, lit].astype(float)
        scaled = (pixels - digits.train[:, lit].mean(0)) / digits.train[:, lit].std(0)
        assert np.allclose(images, scaled, atol=1e-4)


def small(binarization="dynamic", shape=(2, 2)) -> Dataset:
    ones = np.ones((3, 4), np.float32)
    return Dataset("small", ones, ones[:2], ones[:1], shape, binarization)


def test_different_data_have_different_digests():
    data = small()
    changed = data.train.copy()
    changed[2, 3] = np.nextafter(np.float32(1), np.float32(0))
    digests = [
        data.digest,
        replace(data, train=changed).digest,
        replace(data, train=data.validation, validation=data.train).digest,
        replace(data, train=data.train[:2], test=data.train[:2]).digest,
        small(binarization="static").digest,
        small(shape=(4,)).digest,
    ]
    assert len(set(digests)) == len(digests)
    assert replace(data, name="other").digest == data.digest


def test_dataset_is_frozen():
    with pytest.raises(FrozenInstanceError):
        small().name = "other"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"train": np.ones((3, 4))}, "train is float64"),
        ({"test": np.ones((4, 3), np.float32).T}, "test is float32, expected float32 in C order"),
        ({"validation": np.ones((3, 5), np.float32)}, r"validation has shape \(3, 5\)"),
        ({"train": np.ones((0, 4), np.float32)}, r"train has shape \(0, 4\)"),
        ({"test": np.full((1, 4), 1.5, np.float32)}, r"pixels from 1.5 to 1.5, expected 0 to 1"),
        ({"test": np.full((1, 4), np.nan, np.float32)}, "test holds a value that is not finite"),
        (
            {"test": np.full((1, 4), 0.5, np.float32), "binarization": "static"},
            "test has pixels other than 0 and 1",
        ),
    ],
)
def test_dataset_refuses(fault, message):
    with pytest.raises(DataError, match=message):
        replace(small(), **fault)


def test_dataset_names_all_faults_at_once():
    faults = [
        *("train is float64", "train has shape (3, 5), expected (N, 4)", "train has pixels from 2 to 2"),
        *("test is int64, expected float32", "test has shape (4,)"),
    ]
    with pytest.raises(DataError) as error:
        replace(small(), train=np.full((3, 5), 2.0), test=np.ones(4, int))
    for fault in faults:
        assert fault in str(error.value)


def test_the_spectrum_is_that_of_the_training_covariance(monkeypatch):
    monkeypatch.setattr("ouvae.data.dataset._ROWS", 7)
    generator = np.random.default_rng(0)
    x = (generator.standard_normal((50, 3)) @ generator.standard_normal((3, 3)) + 2).astype(np.float32)
    data = Dataset("made", x, x[:5], x[5:10], (3,), "none")
    expected = sorted(np.linalg.eigvals(np.cov(x.T.astype(float), bias=True)), reverse=True)
    assert data.spectrum == pytest.approx(expected)


def test_names():
    names = {"digits", "digits_standardized", "gaussian", "mnist", "mnist_fixed", "mnist_static"}
    names |= {"omniglot", "cifar10"}
    assert set(DATASETS) == names


@pytest.mark.parametrize(
    ("wrong", "near"), [("mnits", "mnist"), ("OMNIGLOT", "omniglot"), ("mnist-static", "mnist_static")]
)
def test_unknown_name_suggests_the_nearest(wrong, near):
    with pytest.raises(DataError, match=f"'{wrong}': unknown dataset, did you mean {near}") as error:
        load(wrong)
    assert all(name in str(error.value) for name in DATASETS)


def test_unknown_name_far_from_all_lists_the_names():
    with pytest.raises(
        DataError, match="data set 'xyz': unknown dataset; allowed are digits, digits_standardized"
    ):
        load("xyz")


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "gaussian"])
def test_data_variance_is_refused_for_others(name):
    with pytest.raises(
        DataError, match=f"data_variance with data set '{name}', which does not use it; leave it out"
    ):
        load(name, data_variance=[1.0])


def test_tiny_mnist_takes_validation_from_the_end_of_train(tiny_folder, tiny_mnist):
    data = load("mnist", tiny_folder)
    train, test = (np.frombuffer(raw[16:], np.uint8) for raw in tiny_mnist.values())
    pixels = np.concatenate([data.train, data.validation]) * 255
    np.testing.assert_array_equal(np.rint(pixels).ravel(), train)
    np.testing.assert_array_equal(np.rint(data.test * 255).ravel(), test)
    assert [len(split) for split in data.splits().values()] == [30, 10, 20]


def test_mnist(real_folder):
    data = load("mnist", real_folder("mnist/train-images-idx3-ubyte.gz"))
    assert_lawful(data)
    assert [len(split) for split in data.splits().values()] == [50_000, 10_000, 10_000]
    assert data.image_shape == (28, 28)
    assert data.binarization == "dynamic"
    # The mean pixel of the 60,000 training images, a number known from image normalization.
    mean = np.concatenate([data.train, data.validation]).mean(dtype=np.float64)
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert data.digest == MNIST_DIGEST


def test_mnist_fixed_is_one_draw_of_mnist_and_always_the_same(real_folder):
    folder = real_folder("mnist/train-images-idx3-ubyte.gz")
    data, grey = load("mnist_fixed", folder), load("mnist", folder)
    assert_lawful(data)
    assert data.binarization == "static"
    for drawn, probability in zip(data.splits().values(), grey.splits().values(), strict=True):
        assert np.isin(drawn, (0, 1)).all()
        assert (drawn[probability == 0] == 0).all()
        assert (drawn[probability == 1] == 1).all()
        excess = (drawn - probability).sum(dtype=np.float64)
        variance = (probability * (1 - probability)).sum(dtype=np.float64)
        assert abs(excess) < 4 * np.sqrt(variance)
    assert data.digest == FIXED_DIGEST


def test_mnist_uncompressed_at_the_top_of_the_folder_is_the_same(real_folder, tmp_path):
    source = real_folder("mnist/train-images-idx3-ubyte.gz") / "mnist"
    for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
        (tmp_path / name).write_bytes(gzip.decompress((source / f"{name}.gz").read_bytes()))
    assert load("mnist", tmp_path).digest == MNIST_DIGEST


def test_mnist_static(real_folder):
    data = load("mnist_static", real_folder("mnist_static/binarized_mnist_train.amat"))
    assert_lawful(data)
    assert data.binarization == "static"
    assert [len(split) for split in data.splits().values()] == [50_000, 10_000, 10_000]
    assert data.digest == STATIC_DIGEST


def test_omniglot(real_folder):
    folder = real_folder("omniglot/chardata.mat")
    data = load("omniglot", folder)
    assert_lawful(data)
    assert data.image_shape == (28, 28)
    assert data.binarization == "dynamic"
    raw = scipy.io.loadmat(folder / "omniglot" / "chardata.mat")
    columns = raw["data"].shape[1]
    assert len(data.validation) == round(columns * 1345 / 24345)
    upright = raw["data"].reshape(28, 28, -1).transpose(2, 1, 0).reshape(-1, 784)
    np.testing.assert_array_equal(
        joined(data.train, data.validation), sorted_rows(upright.astype(np.float32))
    )
    order = np.random.RandomState(123).permutation(columns)
    np.testing.assert_array_equal(data.train[0], upright[order[0]].astype(np.float32))
    assert len(data.test) == raw["testdata"].shape[1]


def omniglot_file(path: Path, columns: int, side: int = 28) -> None:
    """Write a chardata.mat in which an image's number determines its values and position."""
    numbers = np.arange(columns)
    data = np.zeros((side * side, columns))
    data[0] = numbers / columns
    data[1] = 1  # second of the first column: row 1, column 0 of the upright image
    scipy.io.savemat(path, {"data": data, "testdata": data[:, :100]}, do_compression=True)


@pytest.mark.parametrize(("columns", "validation"), [(24_345, 1_345), (1_000, 55), (100, 6)])
def test_omniglot_split(tmp_path, columns, validation):
    omniglot_file(tmp_path / "chardata.mat", columns)
    data = load("omniglot", tmp_path)
    assert len(data.train) == columns - validation
    assert len(data.validation) == validation
    numbers = np.rint(np.concatenate([data.train, data.validation])[:, 0] * columns)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(columns))
    assert (data.train[:, 28] == 1).all()
    assert not data.train[:, 1].any()


def test_omniglot_public_file_is_known_by_git():
    # The empty blob and "hello\n", as every git repository names them.
    checksum = ouvae.data.public.Checksum("git-blob", "")
    assert checksum.of(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert checksum.of(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_static_binarization_end_to_end(tmp_path, monkeypatch):
    random = np.random.Generator(np.random.PCG64(1))
    rows = {"STATIC_TRAIN": 30, "STATIC_VALIDATION": 10, "STATIC_TEST": 20}
    bits = {name: random.integers(0, 2, (count, 784)) for name, count in rows.items()}
    for split, count in zip(("TRAIN", "VALIDATION", "TEST"), rows.values(), strict=True):
        monkeypatch.setattr(mnist, split, count)
    for name, values in bits.items():
        text = "".join(" ".join(map(str, row)) + "\n" for row in values).encode()
        file = getattr(mnist, name)
        (tmp_path / file.name).write_bytes(text)
        checksum = replace(file.checksum, digest=file.checksum.of(text))
        monkeypatch.setattr(mnist, name, replace(file, checksum=checksum))
    data = load("mnist_static", tmp_path)
    assert data.binarization == "static"
    for split, values in zip(data.splits().values(), bits.values(), strict=True):
        np.testing.assert_array_equal(split, values)
