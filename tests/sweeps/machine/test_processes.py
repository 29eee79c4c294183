"""Processes of this machine, whoever named them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sweeps.machine.processes import descendants, is_running, kill


@pytest.mark.process
def test_a_name_is_any_bytes(tmp_path):
    program = os.fsencode(tmp_path) + b"/\xff) Z 1"
    shutil.copy(Path(shutil.which("sleep")), program)
    sleeping = subprocess.Popen([program, "60"])
    try:
        assert sleeping.pid in descendants(os.getpid())
        assert is_running(sleeping.pid)
    finally:
        sleeping.kill()
        sleeping.wait()
    assert not is_running(sleeping.pid)


def test_processes_of_others_are_passed_over(monkeypatch):
    def refuse(pid, number):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(os, "killpg", refuse)
    kill([12345], 12345)
