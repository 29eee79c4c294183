"""CIFAR-10: records, splits, incomplete folders, and the archive."""

import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from ouvae.data import DataError, cifar10, download, load
from ouvae.data.formats import read_cifar, read_tar
from ouvae.data.public import Checksum

RECORD = 3073


def records(count, seed=0):
    """Return the bytes of random records."""
    random = np.random.Generator(np.random.PCG64(seed))
    actual = random.integers(0, 256, (count, RECORD), dtype=np.uint8)
    actual[:, 0] = random.integers(0, 10, count)
    return actual.tobytes()


def images(data):
    return np.frombuffer(data, np.uint8).reshape(-1, RECORD)[:, 1:]


@pytest.fixture
def batches():
    """Return small batches by name, of 20 records each and 7 test records."""
    train = {name: records(20, seed) for seed, name in enumerate(cifar10.TRAIN_BATCHES)}
    return train | {cifar10.TEST_BATCH: records(7, 9)}


@pytest.fixture
def write(tmp_path, batches):
    """Return a writer of the given batches into a folder, by default of all."""

    def folder(relative, *names):
        place = tmp_path / relative
        place.mkdir(parents=True)
        for name in names or batches:
            (place / name).write_bytes(batches[name])
        return place

    return folder


def archive(batches, folder=cifar10.FOLDER, mode="w:gz"):
    """Return the bytes of an archive with members in another order than the readers'."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name in ("readme.html", *sorted(batches, reverse=True)):
            data = batches.get(name, b"<html>")
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def public(monkeypatch, batches):
    """Make the archive of the small batches the public file; return its bytes."""
    data = archive(batches)
    checksum = Checksum("md5", Checksum("md5", "").of(data))
    monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, checksum=checksum))
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    return data


def test_splits_and_pixels(write, batches, tmp_path):
    write("cifar10/cifar-10-batches-bin")
    data = load("cifar10", tmp_path)
    assert [len(split) for split in data.splits().values()] == [90, 10, 7]
    assert data.image_shape == (3, 32, 32)
    assert data.binarization == "none"
    train = np.concatenate([images(batches[name]) for name in cifar10.TRAIN_BATCHES])
    for actual, expected in [
        (data.train, train[:90]),
        (data.validation, train[90:]),
        (data.test, images(batches[cifar10.TEST_BATCH])),
    ]:
        np.testing.assert_array_equal(actual, expected.astype(np.float32) / np.float32(255))
    assert data.train.min() == 0
    assert data.train.max() == 1


def test_the_layout_is_channels_rows_columns(tmp_path):
    """Records whose pixels encode channel, row and column."""
    pixels = np.zeros((3, 32, 32), np.uint8)
    pixels[0] = 200
    pixels[1, 5] = 100
    pixels[2, :, 7] = 50
    record = bytes([3]) + pixels.tobytes()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (tmp_path / name).write_bytes(2 * record)
    (image,) = load("cifar10", tmp_path).validation.reshape(1, 3, 32, 32)
    assert (image[0] == np.float32(200 / 255)).all()
    assert np.flatnonzero(image[1].any(1)).tolist() == [5]
    assert np.flatnonzero(image[2].any(0)).tolist() == [7]


@pytest.mark.parametrize("relative", [".", "cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_where_a_folder_may_hold_the_batches(write, tmp_path, batches, relative):
    folder = tmp_path / "data"
    place = write(f"data/{relative}")
    actual = load("cifar10", folder)
    assert len(actual.train) == 90
    assert load("cifar10", place).digest == actual.digest


def test_the_variable_names_the_folder(write, tmp_path, monkeypatch):
    write("cifar10")
    monkeypatch.setenv("OUVAE_DATA", str(tmp_path))
    assert load("cifar10").digest == load("cifar10", tmp_path).digest


def test_fewer_batches_and_fewer_records_have_other_digests(write, batches):
    test = cifar10.TEST_BATCH
    digests = {}
    for number in (1, 2, 5):
        folder = write(f"first{number}", *cifar10.TRAIN_BATCHES[:number], test)
        data = load("cifar10", folder)
        assert len(data.train) + len(data.validation) == 20 * number
        assert len(data.validation) == 2 * number
        digests[number] = data.digest
    cut = write("cut", cifar10.TRAIN_BATCHES[0], test)
    (cut / cifar10.TRAIN_BATCHES[0]).write_bytes(batches[cifar10.TRAIN_BATCHES[0]][: 5 * RECORD])
    data = load("cifar10", cut)
    assert [len(split) for split in data.splits().values()] == [4, 1, 7]
    assert len({*digests.values(), data.digest}) == 4


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("data_batch_1.bin",), "test_batch.bin"),
        (("test_batch.bin",), "data_batch_1.bin"),
        (("data_batch_1.bin", "data_batch_3.bin", "test_batch.bin"), "data_batch_2.bin"),
    ],
)
def test_a_missing_batch_is_named(write, names, missing):
    folder = write("some", *names)
    with pytest.raises(DataError, match="No such file") as error:
        load("cifar10", folder)
    assert str(folder / missing) in str(error.value)
    assert "cifar-10-binary.tar.gz (or unpack it there)" in str(error.value)


def test_a_folder_without_any_batch_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz is missing") as error:
        load("cifar10", tmp_path)
    message = str(error.value)
    assert "md5 c32a1d4ab5d03f1284b67883e8d87530.\n" in message
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz" in message
    assert "data_batch_1.bin to data_batch_5.bin" in message
    assert "--data-dir" in message


@pytest.mark.parametrize(
    ("data", "actual"),
    [
        (b"", "an empty file"),
        (b"\1" * 100, "0 records and 100 bytes of another"),
        (records(3)[:-1], "2 records and 3,072 bytes of another"),
        (records(2) + b"\0", "2 records and 1 bytes of another"),
        (records(1) + bytes([10]) + records(1)[1:], "label 10 in record 2"),
    ],
)
def test_damaged_records(contents_of, data, actual):
    with pytest.raises(DataError) as error:
        read_cifar(contents_of(data))
    assert f"/somewhere/tiny.bin is unusable: found {actual}, expected whole records of 3,073 bytes" in str(
        error.value
    )


def test_a_truncated_batch_is_named(write, batches):
    folder = write("some")
    path = folder / "data_batch_4.bin"
    path.write_bytes(batches["data_batch_4.bin"][:-1000])
    with pytest.raises(DataError, match="19 records and 2,073 bytes of another") as error:
        load("cifar10", folder)
    assert str(path) in str(error.value)


def test_one_training_record_is_too_few(write, batches):
    folder = write("some", "data_batch_1.bin", "test_batch.bin")
    (folder / "data_batch_1.bin").write_bytes(records(1))
    with pytest.raises(DataError, match="found one record, expected two or more"):
        load("cifar10", folder)


def test_the_archive_in_a_folder_is_the_same_as_unpacked(write, public, tmp_path):
    unpacked = load("cifar10", write("unpacked"))
    for place in ("direct", "below/cifar10"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / cifar10.ARCHIVE.name).write_bytes(public)
        assert load("cifar10", tmp_path / place.partition("/")[0]).digest == unpacked.digest


def test_another_archive_is_refused(public, batches, tmp_path):
    changed = archive(batches | {cifar10.TEST_BATCH: records(7, 10)})
    (tmp_path / cifar10.ARCHIVE.name).write_bytes(changed)
    with pytest.raises(DataError, match=r"found md5 [0-9a-f]{32}, expected"):
        load("cifar10", tmp_path)


def test_download(write, public, tmp_path, monkeypatch, serve):
    """The archive goes to the cache by its checksum, and the second load reads it there."""
    folder = tmp_path / "served"
    folder.mkdir()
    address, requested = serve(folder)
    urls = tuple(f"{address}{place}{cifar10.ARCHIVE.name}" for place in ("absent/", ""))
    monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, urls=urls))
    (folder / cifar10.ARCHIVE.name).write_bytes(public[:-9])
    with pytest.raises(DataError, match="served another file"):
        load("cifar10", progress=False)
    (folder / cifar10.ARCHIVE.name).write_bytes(public)
    data = load("cifar10", progress=False)
    assert data.digest == load("cifar10", write("unpacked")).digest
    assert (tmp_path / "cache" / "cifar10" / cifar10.ARCHIVE.name).read_bytes() == public
    requested.clear()
    assert load("cifar10", progress=False).digest == data.digest
    assert requested == [], "a cached file was downloaded again"


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_members_of_an_archive_come_in_the_given_order(contents_of, batches, mode):
    names = [f"{cifar10.FOLDER}/{name}" for name in batches]
    actual = read_tar(contents_of(archive(batches, mode=mode)), names)
    assert [str(member.path) for member in actual] == [f"/somewhere/tiny.bin/{name}" for name in names]
    assert [member.data for member in actual] == list(batches.values())


def test_damaged_archives(contents_of, batches):
    whole = archive(batches)
    names = [f"{cifar10.FOLDER}/{name}" for name in batches]
    for data in (
        b"",
        b"<html>",
        whole[:100],
        whole[: len(whole) // 2],
        whole[:200] + b"\xff" * 99 + whole[299:],
    ):
        with pytest.raises(DataError, match=r"found a(n archive without| damaged archive)"):
            read_tar(contents_of(data), names)
    with pytest.raises(DataError, match=r"found an archive without cifar-10-batches-bin/data_batch_1.bin"):
        read_tar(contents_of(archive(batches, folder="elsewhere")), names)


def test_real_records(real_folder):
    folder = real_folder("cifar10/cifar-10-batches-bin/data_batch_1.bin")
    data = load("cifar10", folder)
    assert data.train.shape[1] == 3072
    count = len(data.train) + len(data.validation)
    assert len(data.validation) == count // 10
    # Means of the channels over the training set, numbers known from image normalization.
    train = np.concatenate([data.train, data.validation]).reshape(count, 3, -1)
    np.testing.assert_allclose(train.mean((0, 2), dtype=np.float64), [0.4914, 0.4822, 0.4465], atol=0.01)
