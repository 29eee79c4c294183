"""Who a run is: copies get identities of their own, moved directories keep theirs."""

import shutil
from pathlib import Path

import pytest

from sweeps.record.identity import identify


@pytest.fixture
def first(tmp_path) -> Path:
    folder = tmp_path / "first"
    folder.mkdir()
    return folder


def copied(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.parent / name))


def test_it_stays_the_same_also_where_the_directory_is_moved(first):
    made, original = identify(first)
    assert (len(made), original) == (32, None)
    assert identify(first) == (made, None)
    moved = first.rename(first.with_name("moved"))
    assert identify(moved) == (made, None)
    assert (moved / ".sweep_id").read_text() == made


def test_a_copy_gets_another_once(first):
    made, _ = identify(first)
    copy = copied(first, "copy")
    renewed, original = identify(copy)
    assert renewed != made
    assert original == first
    assert identify(copy) == (renewed, None)
    assert identify(first) == (made, None)
    assert identify(copied(copy, "copy of it"))[1] == copy


def test_a_copy_is_known_after_its_original_was_moved(first):
    made, _ = identify(first)
    copy = copied(first, "copy")
    moved = first.rename(first.with_name("moved"))
    assert identify(copy)[1] == moved
    assert identify(moved) == (made, None)


def test_a_directory_that_came_from_elsewhere_keeps_it(first):
    """Its original is not there any more: it was moved between file systems."""
    made, _ = identify(first)
    copy = copied(first, "copy")
    shutil.rmtree(first)
    assert identify(copy) == (made, None)


def test_a_copy_of_a_run_of_an_earlier_version_is_known(first):
    (first / ".sweep_id").write_text("0" * 32)
    copy = copied(first, "copy")
    renewed, original = identify(copy)
    assert renewed != "0" * 32
    assert original == first
    assert identify(first) == ("0" * 32, None)


@pytest.mark.parametrize("name", [".sweep_id", ".origin"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"f" * 32])
def test_a_damaged_record_of_it_changes_nothing(first, name, content):
    made, _ = identify(first)
    (first / name).write_bytes(content)
    assert identify(first) == (made, None)
    assert (first / ".sweep_id").read_text() == made
