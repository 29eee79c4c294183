"""A command prints whatever its standard streams are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CLOSED = """
import os, sys
from analysis.streams import open_streams
open_streams()
print("\\u03c1", file=sys.stdout)
print("\\u03c1", file=sys.stderr)
assert sys.stdin.read() == ""
assert os.open(os.devnull, os.O_RDONLY) > 2
assert all(map(os.get_inheritable, range(3)))
"""


@pytest.mark.process
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_opened(closed):
    """What is opened next takes none of their descriptors, into which libraries print."""
    command = ["bash", "-c", f'exec "$@" {closed}', "bash", sys.executable, "-c", CLOSED]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.process
def test_what_a_terminal_cannot_encode_is_replaced():
    code = "from analysis.streams import open_streams; open_streams(); print('\\u03c1 \\udcff')"
    command = ["env", "PYTHONIOENCODING=ascii", sys.executable, "-c", code]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b"? ?\n"


@pytest.mark.process
@pytest.mark.parametrize("output", ["| true", "> /dev/full", "2> /dev/full"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_cannot_be_printed_is_dropped(output, unbuffered):
    """Its reader has left, or the disk is full."""
    code = "import sys; from analysis.streams import open_streams; open_streams(); "
    code += "print(10_000 * 'x'); print('y', file=sys.stderr); sys.exit(3)"
    command = ["bash", "-c", f'"$@" {output}; exit "${{PIPESTATUS[0]}}"', "bash", sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip("y\n")) == (3, "")
