"""Places of data files, and downloads from a server on loopback."""

import gzip
import time
from dataclasses import replace

import pytest

from ouvae.data import DataError, download, load, mnist


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Try each mirror once, without a second of waiting."""
    monkeypatch.setattr(download, "ATTEMPTS", 1)


def set_mirrors(monkeypatch, *mirrors):
    for name in ("TRAIN_IMAGES", "TEST_IMAGES"):
        file = getattr(mnist, name)
        urls = tuple(mirror + file.name for mirror in mirrors)
        monkeypatch.setattr(mnist, name, replace(file, urls=urls))


def test_a_missing_file_in_data_dir_is_reported_and_not_downloaded(tiny_folder, tmp_path, monkeypatch, serve):
    address, requested = serve(tiny_folder / "mnist")
    set_mirrors(monkeypatch, address)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError) as error:
        load("mnist", empty)
    message = str(error.value)
    for name in ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"):
        assert f"{empty / name}\n" in message
        assert f"{empty / 'mnist' / name}\n" in message
    assert mnist.TRAIN_IMAGES.checksum.digest in message
    assert address in message
    assert requested == []
    assert list(empty.iterdir()) == []


def test_data_dir_that_does_not_exist(tmp_path, tiny_mnist):
    with pytest.raises(DataError, match=r"--data-dir is '.*nowhere', which is not a folder"):
        load("mnist", tmp_path / "nowhere")


def test_data_dir_may_hold_the_files_directly(tiny_folder):
    assert load("mnist", tiny_folder / "mnist").digest == load("mnist", tiny_folder).digest


def test_data_dir_may_be_the_root_of_torchvision(tiny_folder):
    digest = load("mnist", tiny_folder).digest
    (tiny_folder / "MNIST").mkdir(exist_ok=True)
    (tiny_folder / "mnist").rename(tiny_folder / "MNIST" / "raw")
    assert load("mnist", tiny_folder).digest == digest


def test_variable_names_the_folder(tiny_folder, monkeypatch):
    monkeypatch.setenv("OUVAE_DATA", str(tiny_folder))
    assert load("mnist").digest == load("mnist", tiny_folder).digest


def test_variable_that_names_no_folder(tiny_mnist, monkeypatch):
    monkeypatch.setenv("OUVAE_DATA", "/nowhere/at/all")
    with pytest.raises(DataError, match="OUVAE_DATA is '/nowhere/at/all', which is not a folder"):
        load("mnist")


def test_data_dir_comes_before_the_variable(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("OUVAE_DATA", str(tiny_folder))
    with pytest.raises(DataError, match="is missing"):
        load("mnist", tmp_path)


def test_download_may_be_forbidden(tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("OUVAE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="is missing") as error:
        load("mnist", download=False)
    cached = tmp_path / "cache" / "mnist" / mnist.TRAIN_IMAGES.name
    assert str(cached) in str(error.value)
    assert str(tmp_path / mnist.TRAIN_IMAGES.name) in str(error.value)


@pytest.mark.parametrize("progress", [True, False])
def test_second_mirror_serves_when_the_first_fails(
    tiny_folder, tmp_path, monkeypatch, serve, capsys, progress
):
    address, requested = serve(tiny_folder / "mnist")
    set_mirrors(monkeypatch, "http://127.0.0.1:9/", f"{address}absent/", address)
    data = load("mnist", progress=progress)
    assert data.digest == load("mnist", tiny_folder).digest
    assert ("100%" in capsys.readouterr().err) == progress
    names = [file.name for file in (mnist.TRAIN_IMAGES, mnist.TEST_IMAGES)]
    assert requested == [path for name in names for path in (f"/absent/{name}", f"/{name}")]
    assert sorted(path.name for path in (tmp_path / "cache" / "mnist").iterdir()) == sorted(names)
    requested.clear()
    assert load("mnist", progress=False).digest == data.digest
    assert requested == [], "a cached file was downloaded again"


def test_wrong_checksum_is_refused_and_the_next_mirror_tried(tiny_folder, tmp_path, monkeypatch, serve):
    fake = tmp_path / "fake"
    fake.mkdir()
    for file in (mnist.TRAIN_IMAGES, mnist.TEST_IMAGES):
        (fake / file.name).write_bytes(b"<html>please log in</html>")
    bad, _ = serve(fake)
    good, _ = serve(tiny_folder / "mnist")
    set_mirrors(monkeypatch, bad)
    with pytest.raises(DataError, match="served another file") as error:
        load("mnist", progress=False)
    assert mnist.TRAIN_IMAGES.checksum.digest in str(error.value)
    assert bad in str(error.value)
    assert list((tmp_path / "cache" / "mnist").iterdir()) == [], "a bad file reached the cache"
    set_mirrors(monkeypatch, bad, good)
    assert load("mnist", progress=False).digest == load("mnist", tiny_folder).digest


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-30], "damaged gzip stream"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-1] + b"?"), "found md5"),
    ],
    ids=["cut", "changed"],
)
def test_damaged_cache_is_downloaded_again(tiny_folder, tmp_path, monkeypatch, serve, damage, message):
    address, requested = serve(tiny_folder / "mnist")
    set_mirrors(monkeypatch, address)
    digest = load("mnist", progress=False).digest
    cached = tmp_path / "cache" / "mnist" / mnist.TEST_IMAGES.name
    cached.write_bytes(damage(cached.read_bytes()))
    with pytest.raises(DataError, match=message):
        load("mnist", download=False)
    requested.clear()
    assert load("mnist", progress=False).digest == digest
    assert requested == [f"/{mnist.TEST_IMAGES.name}"]


def test_no_mirror_answers(tiny_mnist, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"no mirror serves train-images-idx3-ubyte.gz") as error:
        load("mnist")
    assert time.monotonic() - start < 10
    message = str(error.value)
    for url in mnist.TRAIN_IMAGES.urls:
        assert f"{url}: no connection" in message
    assert "--data-dir" in message
    assert "OUVAE_DATA" in message
    assert "save it in a folder as mnist/train-images-idx3-ubyte.gz" in message


def test_the_status_of_a_mirror_is_reported(tiny_mnist, tmp_path, monkeypatch, serve):
    address, _ = serve(tmp_path)
    set_mirrors(monkeypatch, address)
    with pytest.raises(DataError, match="HTTP status 404"):
        load("mnist", progress=False)


def test_a_failed_download_is_tried_again(tiny_folder, tmp_path, monkeypatch, serve):
    address, requested = serve(tmp_path)
    set_mirrors(monkeypatch, address)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    with pytest.raises(DataError, match="HTTP status 404"):
        load("mnist", progress=False)
    assert requested == [f"/{mnist.TRAIN_IMAGES.name}"] * 2


def test_cache_that_cannot_be_written(tiny_folder, tmp_path, monkeypatch, serve):
    address, _ = serve(tiny_folder / "mnist")
    set_mirrors(monkeypatch, address)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot write to the cache"):
        load("mnist", progress=False)


def test_the_cache_is_the_users(monkeypatch):
    monkeypatch.undo()
    assert download.cache_folder().name == "ouvae"


def test_a_slow_mirror_is_abandoned_for_the_next(tiny_folder, monkeypatch, serve, dribbling):
    good, _ = serve(tiny_folder / "mnist")
    set_mirrors(monkeypatch, dribbling, good)
    monkeypatch.setattr(download, "GRACE_SECONDS", 0.2)
    assert load("mnist", progress=False).digest == load("mnist", tiny_folder).digest


def test_a_mirror_that_serves_without_end_is_refused(tiny_folder, monkeypatch, serve):
    address, _ = serve(tiny_folder / "mnist")
    set_mirrors(monkeypatch, address)
    monkeypatch.setattr(download, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="served more than 100 bytes"):
        load("mnist", progress=False)
