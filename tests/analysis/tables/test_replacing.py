"""Files on file systems that lack what local ones have, and paths as users write them."""

import argparse
import errno
import os
import stat

import pytest

from analysis.tables.replacing import UNSUPPORTED, replaced, user_path


class TestReplaced:
    @pytest.mark.parametrize("number", sorted(UNSUPPORTED), ids=errno.errorcode.get)
    def test_a_file_system_that_does_not_sync(self, tmp_path, monkeypatch, number):
        def refuse(descriptor):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", refuse)
        with replaced(tmp_path / "file") as file:
            file.write(b"whole")
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"whole")]

    @pytest.mark.parametrize("number", [errno.EBADF, errno.EACCES])
    def test_a_folder_that_is_not_synced(self, tmp_path, monkeypatch, number):
        real = os.fsync

        def fsync(descriptor):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, os.strerror(number))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        with replaced(tmp_path / "file") as file:
            file.write(b"whole")
        assert (tmp_path / "file").read_bytes() == b"whole"

    @pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
    def test_a_disk_that_fails_leaves_the_old_file(self, tmp_path, monkeypatch, number):
        def fail(descriptor):
            raise OSError(number, os.strerror(number))

        (tmp_path / "file").write_bytes(b"old")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match=os.strerror(number)), replaced(tmp_path / "file") as file:
            file.write(b"new")
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


class TestUserPath:
    @pytest.mark.parametrize("text", ["runs/a b", "r#n?s/100%/%41/é", "./~", "runs/~", "/"])
    def test_a_path_is_what_it_says(self, text):
        assert os.fspath(user_path(text)) == os.path.normpath(text)

    def test_a_tilde_is_the_home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert user_path("~/runs/x") == tmp_path / "runs" / "x"
        assert user_path("~") == tmp_path

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "'' is no path; give the path of a file or folder"),
            ("a\0b", "is no path"),
            ("~nobody.here/runs", "no home folder ~nobody.here is known; give .* as './~nobody.here/runs'"),
            ("a" * 300, "is longer than the file system allows; give a shorter path"),
            ("a/" * 3000, "is longer than the file system allows; give a shorter path"),
        ],
    )
    def test_what_no_file_can_be_named_is_refused(self, text, said):
        with pytest.raises(argparse.ArgumentTypeError, match=said):
            user_path(text)
