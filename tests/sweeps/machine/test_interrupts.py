"""Signals: the first is said and asks to stop, the second ends at once, and so does the end of the grace."""

import importlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sweeps.machine.interrupts import SIGNALS, Interrupted, Interrupts
from tests.sweeps.conftest import ROOT

pytestmark = pytest.mark.process

PROGRAM = """
import signal, sys, time
from sweeps.machine.interrupts import Interrupted, Interrupts

signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[3] == "nohup" else signal.SIG_DFL)

def say(text):
    print(text, flush=True)

interrupts = Interrupts(float(sys.argv[1]), say)
interrupts.on_leave = lambda: say("abandoned")
with interrupts.caught():
    try:
        if sys.argv[2] == "saving":
            interrupts.begin_saving()
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_a_hangup_that_nohup_ignores_stays_ignored(start):
    process = start(20, "saving", "nohup")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert "SIGHUP" not in said


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Listen for signals in this process."""
    listening = Interrupts(20, lambda text: None)
    with listening.caught():
        yield listening


def test_nothing_is_raised_into_a_module_that_is_being_loaded(interrupts, tmp_path, monkeypatch):
    """C++ code that is loaded aborts the process at an exception."""
    (tmp_path / "loaded_slowly.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\ndone = 1")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("loaded_slowly").done
    assert interrupts.signal == signal.SIGINT
    with pytest.raises(Interrupted):
        interrupts.check()
    with pytest.raises(Interrupted):
        interrupts.begin_saving()


def test_nothing_is_raised_any_more_once_there_is_something_to_save(interrupts):
    interrupts.check()
    interrupts.begin_saving()
    signal.raise_signal(signal.SIGTERM)
    assert interrupts.signal == signal.SIGTERM


def test_a_signal_is_heard_where_no_thread_can_be_started(interrupts, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    interrupts.begin_saving()
    signal.raise_signal(signal.SIGTERM)
    assert interrupts.signal == signal.SIGTERM


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_loads_ends_at_once_with_a_line(number):
    code = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # pytest may run under nohup
    code += "from sweeps.phase_transition import leave\n"
    code += "leave(lambda: signal.raise_signal(int(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(int(number))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", f"{number.name}: stopped\n")


class TestWithinAProgram:
    @pytest.fixture
    def interrupts(self):
        """Return interrupts of a sweep that saves, whose end is not the process's, and what was left."""
        interrupts, left = Interrupts(25, print, ends_process=False), []
        interrupts.on_leave = lambda: left.append("now")
        with interrupts.caught():
            interrupts.begin_saving()
            yield interrupts, left

    def test_a_second_signal_interrupts_the_program(self, interrupts):
        interrupts, left = interrupts
        signal.raise_signal(signal.SIGINT)
        assert left == []
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert left == ["now"]

    def test_so_does_the_end_of_the_grace(self, interrupts):
        interrupts, left = interrupts
        interrupts._grace = 0.05
        signal.raise_signal(signal.SIGTERM)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(60)
        assert time.monotonic() - started < 30
        assert left[0] == "now"

    def test_another_thread_hears_nothing(self):
        heard = []

        def listen():
            with Interrupts(25, print, ends_process=False).caught():
                heard.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=listen)
        thread.start()
        thread.join()
        assert heard == [signal.SIG_DFL]
