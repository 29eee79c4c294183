"""SIGINT, SIGTERM and SIGHUP: the first asks the sweep to stop within a grace, the second ends it at once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal came while there was nothing to save yet; like KeyboardInterrupt no error to be handled.

    Attributes:
        exit_code: 128 and the signal's number.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextmanager
def left_on_signals() -> Iterator[None]:
    """Let a signal end this process at once, with a line, where nothing else listens within the block."""
    with _listening(_end_at_once):
        yield


def _end_at_once(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):  # nobody reads it
        os.write(2, f"{signal.Signals(number).name}: stopped\n".encode())
    os._exit(128 + number)


@contextmanager
def _listening(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have signals handled within the block, in the main thread; a hangup that `nohup` ignores stays so."""
    if threading.current_thread() is not threading.main_thread():  # Python hands signals to that one only
        yield
        return
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = [number for number in SIGNALS if not (ignored and number == signal.SIGHUP)]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


class Interrupts:
    """Listens for signals. What takes longer than the grace is cut off: batch systems kill after theirs.

    Attributes:
        signal: the first that came; None without one.
        on_signal: called with the first, in its handler.
        on_leave: kills what would outlive this process; called before it leaves at once.

    Args:
        grace_seconds: from the first signal to the end.
        say: prints a line.
        done: `trained` or `measured`: the word for what is saved.
        ends_process: whether the end at once is that of the process. A program that goes on, such as a
            notebook, gets a KeyboardInterrupt in place of it.
    """

    def __init__(
        self,
        grace_seconds: float,
        say: Callable[[str], None],
        done: str = "trained",
        ends_process: bool = True,
    ) -> None:
        self.signal: signal.Signals | None = None
        self.on_signal: Callable[[], None] = lambda: None
        self.on_leave: Callable[[], object] = lambda: None
        self._grace, self._say, self._done = grace_seconds, say, done
        self._ends_process = ends_process
        self._deadline = 0.0
        self._saving = False
        self._timer: threading.Timer | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Listen within the block, in the main thread."""
        try:
            with _listening(self._on_signal):
                yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def check(self) -> None:
        """Raise Interrupted if a signal came while it could not."""
        if self.signal is not None:
            raise Interrupted(self.exit_code)

    def begin_saving(self) -> None:
        """From now on a signal raises nothing: whoever looks at `signal` stops and saves.

        Raises:
            Interrupted: a signal came before.
        """
        self._saving = True
        self.check()

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it."""
        return 128 + (self.signal or 0)

    def seconds_left(self, share: float = 1.0) -> float | None:
        """Return what is left of the grace, or of a share of it from its start; None without a signal."""
        if self.signal is None:
            return None
        return max(0.0, self._deadline - (1 - share) * self._grace - time.monotonic())

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self._leave()
        self.signal = signal.Signals(number)
        self._deadline = time.monotonic() + self._grace
        self._say(
            f"{self.signal.name}: stopping; what is {self._done} is saved within {self._grace:g} s, and a "
            "second signal ends at once"
        )
        self._timer = threading.Timer(self._grace, self._leave)
        self._timer.daemon = True
        with suppress(RuntimeError):  # no thread is left, and nothing is cut off
            self._timer.start()
        self.on_signal()
        if not (self._saving or _is_importing(frame)):
            raise Interrupted(self.exit_code)

    def _leave(self) -> None:
        """End at once; called in a handler, or in the timer's thread."""
        self.on_leave()
        if self._ends_process:
            os._exit(self.exit_code)
        if threading.current_thread() is not threading.main_thread():
            os.kill(os.getpid(), signal.SIGINT)  # calls this in the main thread, whatever that waits for
            return
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    """Tell whether a module is being loaded; C++ code that is loaded aborts at an exception."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None
