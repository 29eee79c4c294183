"""SIGINT and SIGTERM: the first asks the sweep to stop within a grace, the second ends it at once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal came while there was nothing to save yet; like KeyboardInterrupt no error to be handled."""


class Interrupts:
    """Listens for signals. What takes longer than the grace is cut off: batch systems kill after theirs.

    Attributes:
        signal: the first that came; None without one.
        on_signal: called with the first, in its handler.

    Args:
        grace_seconds: from the first signal to the end.
        say: prints a line.
        abandon: kills what would outlive this process; called before it leaves at once.
        done: `trained` or `measured`: the word for what is saved.
    """

    def __init__(
        self,
        grace_seconds: float,
        say: Callable[[str], None],
        abandon: Callable[[], None],
        done: str = "trained",
    ) -> None:
        """Listen to nothing yet."""
        self.signal: signal.Signals | None = None
        self.on_signal: Callable[[], None] = lambda: None
        self._grace, self._say, self._abandon, self._done = grace_seconds, say, abandon, done
        self._deadline = 0.0
        self._saving = False
        self._timer: threading.Timer | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Listen within the block, in the main thread."""
        before = [signal.signal(number, self._on_signal) for number in SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)
            if self._timer is not None:
                self._timer.cancel()

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Within the block a signal raises nothing: whoever looks at `signal` stops and saves."""
        self._saving = True
        try:
            yield
        finally:
            self._saving = False

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
        self._timer.start()
        self.on_signal()
        if not self._saving:
            raise Interrupted

    def _leave(self) -> None:
        self._abandon()
        os._exit(self.exit_code)
