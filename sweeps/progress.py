"""Progress on the terminal: a live line where there is one, a line now and then in a plain log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sweeps.schedule import Schedule

LOG_SECONDS = 15.0
"""How often a plain log gets a line."""


class Terminal(Console):
    """A console that goes on where nothing can be printed: on a full disk, or when its reader has left."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, if that is possible."""
        with suppress(OSError):
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Fall silent, where rich would end the program."""
        self.quiet = True


class Progress:
    """Follows a schedule: members done, speed, time left.

    Time left is the work left (multiply-adds, with the rounds that the searches are expected to add) at
    the speed so far.
    """

    def __init__(self, console: Console, schedule: Schedule) -> None:
        """Follow `schedule` on `console`."""
        self._console, self._schedule = console, schedule
        self._live: Live | None = None
        self._steps: dict[str, int] = {}
        self._work_done = 0.0
        self._started = self._printed = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress within the block, which begins now."""
        self._started = self._printed = time.monotonic()
        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=4, transient=True) as self._live:
                yield
            self._live = None
        else:
            yield

    def update(self, pack_id: str, steps_done: int) -> None:
        """Take a report of a pack in training and show where the sweep stands."""
        for state in self._schedule.cells:
            if pack_id in state.training:
                before = self._steps.get(pack_id, 0)
                members = len(state.training[pack_id].points)
                self._work_done += max(0, steps_done - before) * members * state.multiply_adds
        self._steps[pack_id] = steps_done
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Text(self.line(now)))
        elif now - self._printed >= LOG_SECONDS:
            self._printed = now
            self._console.print(self.line(now))

    def line(self, now: float) -> str:
        """Return the one line that says it all."""
        cells = self._schedule.cells
        left = sum(state.members_left for state in cells)
        finished = sum(state.finished_members for state in cells)
        elapsed = max(now - self._started, 1e-9)
        work_left = self._work_left()
        parts = [
            f"{duration(elapsed)}  members {finished}/{finished + left}",
            f"packs training {sum(pack in self._steps for state in cells for pack in state.training)}",
        ]
        if self._work_done:
            per_second = self._work_done / elapsed
            share = self._work_done / (self._work_done + work_left)
            parts.append(f"{100 * share:.0f} %")
            parts.append(f"{self._schedule.members_trained / elapsed * 60:.1f} members/min")
            parts.append(f"about {duration(work_left / per_second)} left")
        return " · ".join(parts)

    def _work_left(self) -> float:
        left = 0.0
        for state in self._schedule.cells:
            steps = state.planned.cell.steps
            left += state.members_left * steps * state.multiply_adds
            for pack_id, pack in state.training.items():
                left -= self._steps.get(pack_id, 0) * len(pack.points) * state.multiply_adds
        return max(left, 0.0)


def duration(seconds: float) -> str:
    """Return seconds as 42 s, 3 min 05 s, 2 h 10 min or 3 d 4 h."""
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    if hours:
        return f"{hours} h {minute:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{second} s"
