"""Signals: the first is said and asks to stop, the second ends at once, and so does the end of the grace."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.sweeps.conftest import ROOT

pytestmark = pytest.mark.process

PROGRAM = """
import signal, sys, time
from sweeps.interrupts import Interrupted, Interrupts

def say(text):
    print(text, flush=True)

interrupts = Interrupts(float(sys.argv[1]), say, lambda: say("abandoned"))
with interrupts.caught():
    try:
        if sys.argv[2] == "saving":
            with interrupts.saving():
                say("ready")
                while interrupts.signal is None:
                    time.sleep(0.01)
                say(f"left {interrupts.seconds_left() > interrupts.seconds_left(0.5)}")
                if sys.argv[3] == "stuck":
                    time.sleep(60)
        else:
            try:
                say("ready")
                time.sleep(60)
            except Exception:
                say("taken for an error of what was going on")
    except Interrupted:
        say("nothing to save")
sys.exit(interrupts.exit_code)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a starter of a program that listens for signals: its grace, what it does, how it ends."""
    started = []

    def run(*arguments: object) -> subprocess.Popen:
        command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_asks_to_stop(start, number):
    process = start(20, "saving", "at once")
    process.send_signal(number)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert said.startswith(f"{number.name}: stopping; what is trained is saved within 20 s")
    assert said.endswith("left True\n")


def test_the_second_ends_it_at_once(start):
    process = start(20, "saving", "stuck")
    process.send_signal(signal.SIGINT)
    process.stdout.readline()
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGINT
    assert said.endswith("abandoned\n")
    assert time.monotonic() - sent < 5


def test_so_does_the_end_of_the_grace(start):
    process = start(1, "saving", "stuck")
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert said.endswith("abandoned\n")
    assert 1 <= time.monotonic() - sent < 10


def test_where_there_is_nothing_to_save_it_ends(start):
    process = start(20, "starting", "")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[1:] == ["nothing to save"]
