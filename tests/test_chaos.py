"""The short form of `chaos.py`, whose full form takes three quarters of an hour: see docs/chaos.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[1]


def test_ten_random_faults_break_no_law(tmp_path):
    command = [sys.executable, str(ROOT / "tests/chaos.py"), "--faults", "10", "--seed", "3584"]
    done = subprocess.run(
        [*command, "--places", "local", "--out", str(tmp_path)], capture_output=True, text=True, timeout=1480
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^1\d faults were done to \d+ sweeps", done.stdout, re.MULTILINE), done.stdout
