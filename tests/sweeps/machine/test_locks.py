"""Locks, with and without a file system that has them."""

import errno
import fcntl

import pytest

from analysis.tables.replacing import UNSUPPORTED
from sweeps.machine.locks import lock
from tests.sweeps.conftest import refusing


def test_one_holder_at_a_time(tmp_path):
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        assert lock(first)
        with pytest.raises(BlockingIOError):
            lock(second, wait=False)


@pytest.mark.parametrize("number", sorted(UNSUPPORTED), ids=errno.errorcode.get)
@pytest.mark.parametrize("wait", [True, False])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number, wait):
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    with (tmp_path / "lock").open("w") as file:
        assert not lock(file, wait)


def test_another_error_is_none_of_the_file_systems_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refusing(errno.EIO))
    with (tmp_path / "lock").open("w") as file, pytest.raises(OSError, match="Input/output error"):
        lock(file)
