"""Short forms of `chaos.py`, whose full form takes three quarters of an hour: see docs/chaos.md."""

import re
import subprocess
import sys

import pytest

from tests.sweeps.conftest import ROOT

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]


@pytest.mark.parametrize(("faults", "seed"), [(1, 286), pytest.param(10, 3284, marks=pytest.mark.proof)])
def test_random_faults_break_no_law(small_space, uninterrupted, tmp_path, faults, seed):
    """One fault of a seed that kills a worker, which is the fault of every day."""
    undisturbed, _ = uninterrupted
    command = [sys.executable, str(ROOT / "tests/chaos.py"), "--faults", str(faults), "--seed", str(seed)]
    command += ["--places", "local", "--undisturbed", str(small_space), str(undisturbed.out)]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=1480)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^(\d+) faults were done to \d+ sweeps", done.stdout, re.MULTILINE)
    assert found, done.stdout
    assert int(found.group(1)) >= faults
