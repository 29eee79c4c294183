"""A few of the random faults of `tests/chaos.py`."""

import re
import subprocess
import sys
from pathlib import Path

FAULTS = 10


def test_random_faults_stop_no_sweep(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("chaos.py")), "--faults", str(FAULTS)]
    command += ["--seed", "0", "--places", "local", "--out", str(tmp_path / "trials")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{FAULTS} faults were done to \d+ sweeps", done.stdout, re.MULTILINE), done.stdout
