"""The short form of `chaos.py`, whose full form takes three quarters of an hour: see docs/chaos.md."""

import re
import subprocess
import sys

import pytest

from tests.sweeps.conftest import ROOT

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]


def test_ten_random_faults_break_no_law(small_space, uninterrupted, tmp_path):
    undisturbed, _ = uninterrupted
    command = [sys.executable, str(ROOT / "tests/chaos.py"), "--faults", "10", "--seed", "3584"]
    command += ["--places", "local", "--undisturbed", str(small_space), str(undisturbed.out)]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=1480)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^1\d faults were done to \d+ sweeps", done.stdout, re.MULTILINE), done.stdout
