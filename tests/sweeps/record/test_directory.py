"""The run directory: one driver at a time, on any file system, and errors that say what to mend."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis import TableError
from search_spaces import Space
from sweeps import SweepError
from sweeps.record import directory
from sweeps.record.directory import DiskFullError
from tests.sweeps.conftest import opened, refusing, write_tables
from tests.sweeps.record.conftest import points


def fill(path: Path) -> None:
    """Write to a file until its disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


class TestHold:
    def test_a_driver_that_is_refused_leaves_the_directory_to_the_other(
        self, tmp_path, make_space, monkeypatch
    ):
        """The other one makes it while this one is about to."""
        run, real = tmp_path / "run", os.mkdir
        with contextlib.ExitStack() as stack:

            def mkdir(path, *rest, **more):
                if os.fspath(path) == str(run) and not run.exists():
                    monkeypatch.undo()
                    stack.enter_context(opened(run, make_space()))
                return real(path, *rest, **more)

            monkeypatch.setattr(os, "mkdir", mkdir)
            with pytest.raises(SweepError, match="in use by another sweep"), opened(run, make_space()):
                pass
            assert {path.name for path in run.iterdir()} >= {".lock", "space.yaml", ".sweep_id", "fragments"}

    def test_a_lock_that_was_removed_meanwhile_is_not_held(self, tmp_path, make_space, monkeypatch):
        """Its holder was refused, removed all that it had made, and let go."""
        run, real = tmp_path / "run", fcntl.flock

        def flock(*arguments):
            monkeypatch.undo()
            (run / ".lock").unlink()
            return real(*arguments)

        monkeypatch.setattr(fcntl, "flock", flock)
        with opened(run, make_space()), (run / ".lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


class TestFileSystems:
    """What the file system of a run lacks is done without, and said."""

    def notices(self, run: Path, space: Space, train) -> list[str]:
        """Train a pack in a run, and another one later; return what was said of the file system each time."""
        said = []
        for seed in range(2):
            with opened(run, space) as ledger:
                train(ledger, points(seed))
                said.append(ledger.run.notices)
        assert len(ledger.members) == 6
        assert said[0] == said[1]
        return said[0]

    def test_all_is_there(self, tmp_path, make_space, train):
        assert self.notices(tmp_path / "run", make_space(), train) == []

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
    def test_no_locks(self, tmp_path, make_space, train, monkeypatch, number):
        monkeypatch.setattr(fcntl, "flock", refusing(number))
        assert self.notices(tmp_path / "run", make_space(), train) == [
            f"the file system of {tmp_path / 'run'} has no locks: run one command at a time there, for a "
            "second one goes unnoticed"
        ]

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
    def test_no_syncs(self, tmp_path, make_space, train, monkeypatch, number):
        monkeypatch.setattr(os, "fsync", refusing(number))
        assert self.notices(tmp_path / "run", make_space(), train) == [
            f"the file system of {tmp_path / 'run'} does not sync files on request: run the same command "
            "again after a power cut, which may cost the last packs"
        ]

    def test_no_room_by_request(self, tmp_path, make_space, monkeypatch):
        monkeypatch.setattr(os, "posix_fallocate", refusing(errno.EOPNOTSUPP))
        with opened(tmp_path / "run", make_space()):
            assert (tmp_path / "run" / ".reserve").stat().st_size == 8_000_000

    def test_no_inode_numbers_that_last(self, tmp_path, make_space, train, monkeypatch):
        monkeypatch.setattr(os.path, "samestat", lambda one, other: False)
        assert self.notices(tmp_path / "run", make_space(), train) == []

    def test_no_word_of_its_size(self, tmp_path, make_space, train, monkeypatch):
        monkeypatch.setattr(
            os, "statvfs", lambda path: SimpleNamespace(f_blocks=0, f_bavail=0, f_frsize=4096)
        )
        assert self.notices(tmp_path / "run", make_space(), train) == []

    def test_a_path_without_room_for_the_files_in_it(self, tmp_path, make_space):
        run = tmp_path.joinpath(*["x" * 200] * 19, "x" * 100)
        said = r"cannot write to the output directory .* its path has \d+ bytes, of at most 3896"
        with pytest.raises(SweepError, match=said), opened(run, make_space()):
            pass
        assert list(tmp_path.iterdir()) == []


class TestWriting:
    @pytest.mark.parametrize("name", ["fragments", "figures", "sweep.log", "studies.log", "members.parquet"])
    def test_a_file_for_a_folder_or_a_folder_for_a_file(self, tmp_path, make_space, name):
        (tmp_path / "run").mkdir()
        path = tmp_path / "run" / name
        path.mkdir() if path.suffix else path.touch()
        with pytest.raises(SweepError, match=name), opened(tmp_path / "run", make_space()):
            pass
        assert list((tmp_path / "run").iterdir()) == [path]

    @pytest.mark.parametrize(
        "name", [".lock", ".sweep_id", ".reserve", "space.yaml", "fragments/a.failed.parquet", "sweep.log"]
    )
    def test_a_pipe_for_a_file_is_refused_and_not_waited_for(self, tmp_path, make_space, name):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True)
        os.mkfifo(path)
        with pytest.raises(SweepError, match=f"{name} is no file"), opened(tmp_path / "run", make_space()):
            pass

    @pytest.mark.parametrize("inside", ["file/run", "file"])
    def test_a_path_where_no_directory_can_be(self, tmp_path, make_space, inside):
        (tmp_path / "file").write_text("")
        with (
            pytest.raises(SweepError, match=f"cannot write to the output directory {tmp_path / inside}"),
            opened(tmp_path / inside, make_space()),
        ):
            pass

    def test_a_read_only_file_system(self, make_space):
        with (
            pytest.raises(SweepError, match="cannot write to the output directory /proc/run"),
            opened(Path("/proc/run"), make_space()),
        ):
            pass

    def test_too_little_room_to_start(self, tmp_path, make_space, monkeypatch):
        monkeypatch.setattr(directory, "MINIMUM_FREE_BYTES", 2**62)
        with (
            pytest.raises(SweepError, match=r"only \d+ MB free; free some space"),
            opened(tmp_path / "run", make_space()),
        ):
            pass

    def test_no_more_files(self, disk_of, make_space, train, monkeypatch):
        """Where bytes are free, files are kept for the finished pack and the tables."""
        monkeypatch.setattr(directory, "MINIMUM_FREE_BYTES", 0)
        disk = disk_of("32m,nr_inodes=60")
        with opened(disk / "run", make_space()) as ledger:
            train(ledger, points(0))
            with contextlib.suppress(OSError):
                for number in range(60):
                    (disk / f"filler.{number}").touch()
            with pytest.raises(DiskFullError, match=r"disk is full.*No space left on device"):
                train(ledger, points(1))
            assert write_tables(ledger, make_space())[0].num_rows == 6
        for filler in disk.glob("filler.*"):
            filler.unlink()
        with opened(disk / "run", make_space()) as ledger:
            assert len(ledger.members) == 6

    def test_a_folder_that_becomes_read_only_is_one_error(self, tmp_path, make_space, train, monkeypatch):
        """Nothing that is cleaned up afterwards hides it, and it says nothing of a full disk."""

        said = r"could not be written.*Read-only file system; make .*run writable"
        with pytest.raises(SweepError, match=said), opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
            for name in ("replace", "unlink", "rename"):
                monkeypatch.setattr(os, name, refusing(errno.EROFS))
            ledger.run.drop_checkpoint("0123")
            ledger.run.note("goes on")
            train(ledger, points(1))

    def test_a_disk_that_fills_up_after_the_last_pack(self, disk_of, make_space, train, monkeypatch):
        monkeypatch.setattr(directory, "MINIMUM_FREE_BYTES", 0)
        disk = disk_of("12m")
        with opened(disk / "run", make_space()) as ledger:
            train(ledger, points(0))
            fill(disk / "filler")
            assert write_tables(ledger, make_space())[0].num_rows == 3

    def test_a_disk_that_fills_up(self, disk_of, make_space, train, monkeypatch):
        """A real one: the finished pack and the tables go into the room that was kept for them."""
        monkeypatch.setattr(directory, "MINIMUM_FREE_BYTES", 0)
        disk = disk_of("12m")
        path = disk / "run"
        with opened(path, make_space()) as ledger:
            train(ledger, points(0))
            fill(disk / "filler")
            with pytest.raises(
                DiskFullError, match=r"disk is full.*No space left on device.*make room in .*run"
            ):
                train(ledger, points(1))
            assert write_tables(ledger, make_space())[0].num_rows == 6
            fill(disk / "more")
            with pytest.raises(SweepError, match=r"could not be written.*No space left on device"):
                train(ledger, points(2))
            with pytest.raises(TableError, match="No space left on device"):
                write_tables(ledger, make_space())
        for name in ("filler", "more"):
            (disk / name).unlink()
        with opened(path, make_space()) as ledger:
            assert len(ledger.members) == 6
            train(ledger, points(2))
            assert write_tables(ledger, make_space())[0].num_rows == 9
