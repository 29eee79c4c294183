"""Data sets from .npz files: their forms, divisions and faults."""

import sys

import numpy as np
import pytest

from ouvae.data import DataError, load
from ouvae.declared import DATASETS, Cell

RANDOM = np.random.Generator(np.random.PCG64(3))
BYTES = RANDOM.integers(0, 256, (20, 4, 6)).astype(np.uint8)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Return a function that writes arrays into `my.npz` of the current folder."""
    monkeypatch.chdir(tmp_path)
    return lambda **arrays: np.savez("my.npz", **arrays)


def splits(images, *, train=12, validation=4):
    parts = np.split(images, [train, train + validation])
    return dict(zip(("train", "validation", "test"), parts, strict=True))


def test_three_splits_keep_their_order_and_bytes_become_probabilities(saved):
    saved(**splits(BYTES))
    data = load("my.npz")
    np.testing.assert_array_equal(data.train, BYTES[:12].reshape(12, -1) / np.float32(255))
    np.testing.assert_array_equal(data.test, BYTES[16:].reshape(4, -1) / np.float32(255))
    assert (data.name, data.image_shape, data.binarization) == ("my.npz", (4, 6), "dynamic")


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float64])
def test_pixels_of_0_and_1_stay_as_they_are(saved, kind):
    binary = (BYTES > 127).astype(kind)
    saved(**splits(binary))
    data = load("my.npz")
    assert data.binarization == "static"
    np.testing.assert_array_equal(data.train, binary[:12].reshape(12, -1))


def test_the_range_is_that_of_all_splits(saved):
    saved(**splits(BYTES) | {"test": np.ones((4, 4, 6))})
    assert load("my.npz").test.max() == np.float32(1 / 255)


def test_images_are_shuffled_and_divided_by_the_shares_and_the_seed(saved):
    vectors = np.arange(40.0).reshape(20, 2) / 40
    saved(images=vectors, split=[0.5, 0.3, 0.2], seed=7)
    data = load("my.npz")
    order = np.random.Generator(np.random.PCG64(7)).permutation(20)
    np.testing.assert_array_equal(
        np.concatenate([*data.splits().values()]), vectors[order].astype(np.float32)
    )
    assert [len(images) for images in data.splits().values()] == [10, 6, 4]
    assert data.image_shape == (2,)
    saved(images=vectors)
    assert [len(images) for images in load("my.npz").splits().values()] == [16, 2, 2]


@pytest.mark.parametrize("axis", [1, 3])
def test_colour_comes_first_and_is_no_probability(saved, axis):
    colour = RANDOM.integers(0, 256, (20, 3, 8, 5)).astype(np.uint8)
    saved(**splits(np.moveaxis(colour, 1, axis)))
    data = load("my.npz")
    assert (data.image_shape, data.binarization) == ((3, 8, 5), "none")
    np.testing.assert_array_equal(data.train, colour[:12].reshape(12, -1) / np.float32(255))
    assert DATASETS["my.npz"].likelihoods == ("logistic_mixture", "gaussian")


@pytest.mark.parametrize("axis", [1, 3])
def test_one_channel_is_grey(saved, axis):
    saved(**splits(np.expand_dims(BYTES, axis)))
    assert load("my.npz").image_shape == (4, 6)


def test_a_changed_file_is_read_again(saved):
    saved(**splits(BYTES))
    before = load("my.npz").digest
    saved(**splits(BYTES[:, :2]))
    assert DATASETS["my.npz"].image_shape == (2, 6)
    assert load("my.npz").digest != before


def test_it_is_found_as_modules_are_and_a_cell_knows_its_shape(saved, tmp_path, monkeypatch):
    saved(**splits(BYTES))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(DataError, match=r"'my\.npz'.*no such file; put it beside the space"):
        load("my.npz")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert Cell(dataset="my.npz", latents=[2]).image_shape == (4, 6)
    assert Cell(dataset=str(tmp_path / "my.npz"), latents=[2]).image_shape == (4, 6)
    assert DATASETS.users_module("a:b.npz") is None


@pytest.mark.parametrize(
    ("arrays", "problems"),
    [
        ({}, ["lacks train, validation, test, found no array"]),
        ({"x": BYTES}, ["lacks train, validation, test, found x"]),
        ({"train": BYTES, "validation": BYTES}, ["lacks test"]),
        (splits(BYTES) | {"images": BYTES}, ["has train, validation, test beside images"]),
        (splits(BYTES) | {"test": BYTES[:, :2]}, ["differ in shape: train (4, 6)", "test (2, 6)"]),
        ({"images": BYTES[:3]}, ["images has 3 observations, too few for the shares"]),
        ({"images": BYTES, "split": [8, 1, 1]}, ["split is [8, 1, 1], expected three shares"]),
        ({"images": BYTES, "split": [0.5, 0.5]}, ["split is [0.5, 0.5]"]),
        ({"images": BYTES, "seed": -1}, ["seed is -1, expected a whole number"]),
        ({"images": BYTES, "seed": [1, 2]}, ["seed is [1, 2]"]),
        ({"images": np.float64(3)}, ["images has shape ()"]),
        (
            {
                "train": BYTES - 300.0,
                "validation": np.full((3, 4, 6), np.nan),
                "test": np.array(["a", "b"]),
            },
            [
                "train has pixels from -3",
                "validation holds a value that is not finite",
                "test has shape (2,)",
                "test holds <U1",
            ],
        ),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_said_at_once(saved, arrays, problems):
    saved(**arrays)
    with pytest.raises(
        ValueError, match="give arrays train, validation and test, or one array images"
    ) as error:
        DATASETS.checked("my.npz")
    for problem in problems:
        assert problem in str(error.value)


def test_files_that_are_none_are_refused_and_run_no_code(saved, tmp_path):
    (tmp_path / "my.npz").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"cannot be read as NumPy's \.npz"):
        DATASETS.checked("my.npz")
    with (tmp_path / "my.npz").open("wb") as file:
        np.save(file, BYTES)
    with pytest.raises(
        ValueError, match=r"holds one array \(20, 4, 6\) without a name; save it with np\.savez"
    ):
        DATASETS.checked("my.npz")
    saved(images=np.array([print, len], dtype=object))
    with pytest.raises(ValueError, match=r"cannot be read as NumPy's \.npz: Object arrays cannot be loaded"):
        DATASETS.checked("my.npz")
