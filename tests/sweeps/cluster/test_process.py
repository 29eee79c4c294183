"""The Ray process as the sweep sees it, without a Ray."""

import os
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection

import pytest

from sweeps import SweepError
from sweeps.cluster import process
from sweeps.cluster.process import RayProcess
from sweeps.machine.processes import kill
from tests.sweeps.conftest import opened

AWAITS_THE_END = """
import socket, sys
connection = socket.socket(fileno=int(sys.argv[1]))
connection.send(b"ready")
connection.recv(1)
open(sys.argv[2], "x")
"""


def test_a_ray_that_is_killed_does_not_see_its_sweep_leave(tmp_path, monkeypatch):
    """It would remove the scratch folder, in which the sweep starts the next Ray."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", AWAITS_THE_END, str(theirs.fileno()), str(tmp_path / "left")]
        started = subprocess.Popen(command, pass_fds=[theirs.fileno()], process_group=0)
    assert ours.recv(5) == b"ready"

    def kill_late(*processes):
        time.sleep(0.5)
        kill(*processes)

    monkeypatch.setattr(process, "kill", kill_late)
    ray = RayProcess.__new__(RayProcess)
    ray._process, ray._connection, ray._killed = started, Connection(ours.detach()), False
    ray.kill()
    assert started.returncode < 0
    assert not (tmp_path / "left").exists()


SAYS_WHY = """
import os, sys
if "sweeps.cluster.serving" in sys.orig_argv:
    print("what went wrong", file=sys.stderr, flush=True)
    os.abort()
"""


def test_a_ray_process_that_ends_at_its_start_is_quoted_and_its_log_stays(tmp_path, make_space, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(SAYS_WHY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    log = tmp_path / "run" / "sweep.log"
    with pytest.raises(SweepError) as refused, opened(tmp_path / "run", make_space()):
        RayProcess(None, log, tmp_path).connect()
    assert f"the Ray process ended with SIGABRT: what went wrong; see {log}" in str(refused.value)
    assert "what went wrong" in log.read_text()
    assert list((tmp_path / "run").iterdir()) == [log]
