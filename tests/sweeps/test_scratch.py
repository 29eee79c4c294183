"""Scratch folders are gone with their owner, however that ended."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sweeps import SweepError, scratch
from sweeps.machine.processes import is_running
from sweeps.scratch import LONGEST_BASE, leave_lost_folder, remove, scratch_folder
from tests.sweeps.conftest import ROOT, refusing, wait_until

KILLED = """
import os, signal
from sweeps.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "ray").mkdir()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder the one for temporary files; its path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_it_is_there_within_the_block_alone(base):
    with scratch_folder() as folder:
        (folder / "file").touch()
        assert folder.parent == base
    assert list(base.iterdir()) == []


@pytest.mark.process
def test_what_a_killed_owner_left_is_removed_by_the_next_and_nothing_else(base):
    (base / "ouvae-mine").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(base)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL
    orphan = Path(done.stdout.strip())
    assert (orphan / "ray").is_dir()
    with scratch_folder() as first, scratch_folder() as other:
        assert not orphan.exists()
        assert first.exists()
        assert other.exists()
        assert (base / "ouvae-mine").exists(), "without a lock it is nobody's scratch"


@pytest.mark.process
def test_what_is_still_written_to_is_removed_once_its_writer_has_ended(base):
    """As a worker of a Ray that was killed: it puts back what was removed, until it ends."""
    writer = """
import sys, time
from pathlib import Path
deadline = time.monotonic() + 2
while time.monotonic() < deadline:
    Path(sys.argv[1], "ray").mkdir(exist_ok=True)
    Path(sys.argv[1], "ray", str(time.monotonic_ns())).touch()
"""
    with scratch_folder() as folder:
        process = subprocess.Popen([sys.executable, "-c", writer, str(folder)], stderr=subprocess.DEVNULL)
        while not (folder / "ray").exists():
            assert process.poll() is None
    assert list(base.iterdir()) == []
    process.wait()


@pytest.mark.process
def test_it_is_removed_with_processes_that_write_into_it(base):
    """Also with the one that asks for it, its children, and theirs in groups of their own."""
    program = """
import os, subprocess, sys, time
from pathlib import Path
from sweeps.machine.processes import descendants
from sweeps.scratch import remove_after
folder = Path(sys.argv[1])
write = "mkdir -p $0/ray; while true; do touch $0/ray/$RANDOM; done"
subprocess.Popen(["bash", "-c", write, folder], process_group=0, stderr=subprocess.DEVNULL)
while not (folder / "ray").exists():
    time.sleep(0.01)
print(*descendants(os.getpid()), flush=True)
remove_after(folder, descendants(os.getpid()), os.getpgrp())
time.sleep(60)
"""
    folder = base / "ouvae-x"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    writer = int(process.stdout.readline().split()[0])
    assert process.wait(30) == -signal.SIGKILL
    wait_until(lambda: not folder.exists() and not is_running(writer), "both are gone", 30)


def test_two_may_remove_one_folder_at_once(base):
    for number in range(50):
        folder = base / f"ouvae-{number}"
        (folder / "a" / "b").mkdir(parents=True)
        (folder / ".lock").touch()
        with ThreadPoolExecutor() as pool:
            list(pool.map(remove, [folder] * 4))
        assert not folder.exists()


def test_folders_of_others_are_passed_over_and_what_stays_is_not_waited_for(base, monkeypatch):
    """A lock or a folder that is a link says nothing of an owner; a removal that fails is not repeated."""
    mine, stays = base / "mine", base / "ouvae-stays"
    for folder in (mine / "results", stays / "results", base / "ouvae-other" / "results"):
        folder.mkdir(parents=True)
    for folder in (mine, stays):
        (folder / ".lock").touch()
    (base / "ouvae-link").symlink_to(mine)
    (base / "ouvae-other" / ".lock").symlink_to(mine / ".lock")
    removed = []
    monkeypatch.setattr(shutil, "rmtree", lambda folder, ignore_errors=False: removed.append(folder))
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    scratch._remove_orphans(base)
    assert removed == [stays / "results"]
    assert (mine / ".lock").exists()


def test_a_link_within_a_folder_is_removed_and_not_followed(base):
    (base / "mine").mkdir()
    (base / "ouvae-x").mkdir()
    (base / "ouvae-x" / "link").symlink_to(base / "mine")
    remove(base / "ouvae-x", patience=0)
    assert [path.name for path in base.iterdir()] == ["mine"]


def test_without_locks_a_folder_is_there_all_the_same_and_nobodys_orphan(base, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
    with scratch_folder() as first:
        with scratch_folder() as second:
            assert first.exists()
            assert second.exists()
        assert first.exists()
    assert list(base.iterdir()) == []


def test_no_folder_for_temporary_files_is_one_error(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    with pytest.raises(SweepError, match=r"no temporary folder .*No such file.*TMPDIR"), scratch_folder():
        pass


def test_a_path_too_long_for_sockets_is_not_used(base, monkeypatch):
    long = base / ("x" * LONGEST_BASE)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with scratch_folder() as folder:
        assert len(str(folder.parent)) <= LONGEST_BASE


def test_a_working_folder_that_is_gone_is_left_for_a_run_elsewhere(tmp_path, monkeypatch):
    lost = tmp_path / "lost"
    lost.mkdir()
    monkeypatch.chdir(lost)
    leave_lost_folder(Path("run"))
    assert Path.cwd() == lost
    lost.rmdir()
    with pytest.raises(SweepError, match="'run' cannot be used: the working folder is gone"):
        leave_lost_folder(Path("run"))
    leave_lost_folder(tmp_path / "run")
    assert Path.cwd() == Path("/")
