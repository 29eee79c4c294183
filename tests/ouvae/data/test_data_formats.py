"""Damaged and foreign files: one error with the file, its fault, the expectation and the source."""

import gzip
import io

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from ouvae.data import DataError, formats, load, mnist, public
from ouvae.data.formats import read_amat, read_chardata, read_idx_images

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def assert_names_everything(error, actual, expected, path="/somewhere/tiny.bin"):
    message = str(error.value)
    assert path in message
    assert f"found {actual}, expected {expected}" in message
    assert "http://" in message
    assert "--data-dir" in message
    assert "OUVAE_DATA" in message


def test_idx_round_trip(contents_of, write_idx):
    images = read_idx_images(contents_of(write_idx(IMAGES)), (2, 3, 4))
    np.testing.assert_array_equal(images, IMAGES.reshape(2, 12))


def damaged_idx(write_idx):
    whole = write_idx(IMAGES)
    return [
        (b"", "0 bytes", "an IDX header of 16 bytes"),
        (whole[:15], "15 bytes", "an IDX header of 16 bytes"),
        (write_idx(IMAGES, magic=0x801), "magic number 0x00000801", "0x00000803 (IDX images)"),
        (b"<html>not found</html>", "magic number 0x3c68746d", "0x00000803 (IDX images)"),
        (write_idx(IMAGES[:1]), "1 images of 3x4", "2 of 3x4"),
        (write_idx(IMAGES.reshape(2, 4, 3)), "2 images of 4x3", "2 of 3x4"),
        (whole[:-1], "23 pixels", "24"),
        (whole + b"\0", "25 pixels", "24"),
    ]


@pytest.mark.parametrize("case", range(8))
def test_damaged_idx(contents_of, write_idx, case):
    data, actual, expected = damaged_idx(write_idx)[case]
    with pytest.raises(DataError) as error:
        read_idx_images(contents_of(data), (2, 3, 4))
    assert_names_everything(error, actual, expected)


@pytest.mark.parametrize("text", [b"0 1 1\n1 0 0\n", b"0 1 1\r\n1 0 0\r\n", b"0 1 1 \n1 0 0"])
def test_amat(contents_of, text):
    np.testing.assert_array_equal(read_amat(contents_of(text), 2, 3), [[0, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("text", "actual", "expected"),
    [
        (b"0 1 1\n1 2 0\n", "'2' in line 2", "only 0, 1 and white space"),
        (b"0 0.5 1\n1 1 0\n", "'.' in line 1", "only 0, 1 and white space"),
        (b"<html>\n", "'<' in line 1", "only 0, 1 and white space"),
        (b"0 1 1\n", "1 lines", "2"),
        (b"0 1 1\n1 0 0\n0 0 0\n", "3 lines", "2"),
        (b"0 1 1\n1 0\n", "5 values", "2 lines of 3"),
        (b"", "0 lines", "2"),
    ],
)
def test_damaged_amat(contents_of, text, actual, expected):
    with pytest.raises(DataError) as error:
        read_amat(contents_of(text), 2, 3)
    assert_names_everything(error, actual, expected)


def matlab(**arrays):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays, do_compression=True)
    return buffer.getvalue()


GOOD = np.zeros((9, 100))


def test_chardata_columns_become_upright_images(contents_of):
    image = np.arange(9).reshape(3, 3) / 8
    columns = np.tile(image.ravel(order="F")[:, None], (1, 100))
    train, test = read_chardata(contents_of(matlab(data=columns, testdata=columns)), 3)
    np.testing.assert_array_equal(train, np.tile(image.ravel().astype(np.float32), (100, 1)))
    np.testing.assert_array_equal(train, test)


@pytest.mark.parametrize(
    ("arrays", "actual"),
    [
        ({"data": GOOD}, "testdata missing"),
        ({"other": GOOD}, "data missing; testdata missing"),
        ({"data": GOOD[:8], "testdata": GOOD}, "data of shape 8 x 100"),
        ({"data": GOOD.T, "testdata": GOOD}, "data of shape 100 x 9"),
        ({"data": GOOD[:, :99], "testdata": GOOD}, "data of shape 9 x 99"),
        ({"data": GOOD, "testdata": GOOD.reshape(9, 50, 2)}, "testdata of shape 9 x 50 x 2"),
        ({"data": GOOD + 1.5, "testdata": GOOD}, "data with values from 1.5 to 1.5"),
        ({"data": GOOD - 0.5, "testdata": GOOD}, "data with values from -0.5 to -0.5"),
        ({"data": np.full((9, 100), 255, np.uint8), "testdata": GOOD}, "data with values from 255 to 255"),
        ({"data": GOOD * np.nan, "testdata": GOOD}, "data with values from nan to nan"),
        ({"data": GOOD * 1j, "testdata": GOOD}, "data without plain numbers"),
        ({"data": "text", "testdata": {"a": 1}}, "data without plain numbers; testdata without"),
        ({"data": scipy.sparse.csc_array(GOOD), "testdata": GOOD}, "data without plain numbers"),
    ],
)
def test_chardata_of_another_layout(contents_of, arrays, actual):
    with pytest.raises(DataError) as error:
        read_chardata(contents_of(matlab(**arrays)), 3)
    assert f"found {actual}" in str(error.value)
    assert "expected data and testdata, each 9 x N" in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not found</html>" * 20,
        b"\x89HDF\r\n\x1a\n" + bytes(600),
        matlab(data=GOOD, testdata=GOOD)[:-20],
        matlab(data=GOOD, testdata=GOOD)[:150],
    ],
    ids=["empty", "html", "hdf5", "cut", "cut early"],
)
def test_no_matlab_file(contents_of, data):
    with pytest.raises(DataError, match="found no readable MATLAB file"):
        read_chardata(contents_of(data), 3)


def test_damaged_bytes_of_a_matlab_file_are_refused_or_give_images(contents_of):
    whole = matlab(data=GOOD + 0.5, testdata=GOOD)
    for position in range(128, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        try:
            splits = read_chardata(contents_of(bytes(damaged)), 3)
        except DataError:
            continue
        for images in splits:
            assert images.shape[1] == 9
            assert ((images >= 0) & (images <= 1)).all(), position


def flipped(data):
    """Return the data with a changed bit in the middle."""
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda data, kept=kept: data[:kept] for kept in (10, 400, -5)),
        lambda data: gzip.compress(b"")[:10] + b"\xff" * 64,
        flipped,
    ],
    ids=["cut in the header", "cut early", "cut late", "other bytes after the header", "a flipped bit"],
)
def test_damaged_gzip(tiny_folder, damage):
    path = tiny_folder / "mnist" / mnist.TRAIN_IMAGES.name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="found a damaged gzip stream") as error:
        load("mnist", tiny_folder)
    assert str(path) in str(error.value)
    assert mnist.TRAIN_IMAGES.urls[0] in str(error.value)


def test_another_file_of_the_right_shape(tiny_folder, tiny_mnist, write_idx):
    path = tiny_folder / "mnist" / mnist.TRAIN_IMAGES.name
    path.write_bytes(gzip.compress(write_idx(np.zeros((40, 28, 28)))))
    with pytest.raises(DataError, match=r"found md5 [0-9a-f]{32}, expected") as error:
        load("mnist", tiny_folder)
    assert mnist.TRAIN_IMAGES.checksum.digest in str(error.value)


def test_gzip_bytes_may_differ(tiny_folder, tiny_mnist):
    digest = load("mnist", tiny_folder).digest
    for name, data in tiny_mnist.items():
        (tiny_folder / "mnist" / name).write_bytes(gzip.compress(data, compresslevel=1, mtime=7))
    assert load("mnist", tiny_folder).digest == digest


def test_a_file_that_cannot_be_read(tiny_folder, monkeypatch):
    path = tiny_folder / "mnist" / mnist.TRAIN_IMAGES.name

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(DataError, match=f"{path} cannot be read: Permission denied"):
        load("mnist", tiny_folder)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_a_file_that_is_too_large_is_refused_before_it_is_read(tiny_folder, monkeypatch, compress):
    monkeypatch.setattr(public, "MAX_BYTES", 1000)
    path = tiny_folder / "mnist" / mnist.TRAIN_IMAGES.name
    path.write_bytes(gzip.compress(bytes(100_000)) if compress else bytes(1001))
    actual = "more bytes after decompression" if compress else "1,001 bytes"
    with pytest.raises(DataError, match=f"found {actual}, expected at most 1,000"):
        load("mnist", tiny_folder)


def test_a_matlab_file_of_huge_arrays_is_refused_before_they_are_made(contents_of, monkeypatch):
    monkeypatch.setattr(formats, "MAX_BYTES", 1000)
    columns = np.zeros((9, 120))
    with pytest.raises(DataError, match="found data of 8,640 bytes, expected at most 1,000"):
        read_chardata(contents_of(matlab(data=columns, testdata=columns)), 3)
