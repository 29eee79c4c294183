"""Progress on the terminal: live where there is one, now and then in a plain log."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.statistics.estimate import CellThreshold
from analysis.text.words import STATUS, duration, ends_text, plural
from sweeps.schedule import CellProgress, Schedule
from sweeps.search.base import Observations
from sweeps.terminal.console import Drawn, print_whole, redrawn

LOG_SECONDS = 15.0
"""Time between two lines of a plain log."""

TABLE_SECONDS, LONGEST_SECONDS = 30.0, 600.0
"""Time to the first table of the cells in a plain log, and maximum time between two tables. Each comes when
the time so far has doubled."""

SPEED_SECONDS = 5.0
"""Training time before the time left is estimated."""

ESTIMATES_SHARE = 0.02
"""Share of the time in which thresholds are estimated for the terminal."""

MOST_ROWS = 16
"""Maximum number of rows of the table."""

Item = TypeVar("Item")
Estimate = Callable[[Observations], CellThreshold]


class Progress:
    """Shows a schedule: the threshold of each cell, members done, speed, time left.

    Time left is the work left (multiply-adds, with the rounds that the searches are expected to add) at
    the speed since the first steps: what comes before them, such as the trace of a step, comes once.

    Args:
        estimate: returns the threshold of a cell with these observations.
    """

    def __init__(self, console: Console, schedule: Schedule, estimate: Estimate) -> None:
        self._console, self._schedule = console, schedule
        self._cells = _Cells(schedule, estimate)
        self._live: Drawn | None = None
        self._first: tuple[float, float] | None = None  # time and work of the first steps' report

    def shown(self, events: Iterable[Item]) -> Iterator[Item]:
        """Yield the events of a training that begins now, and show the progress meanwhile."""
        if self._schedule.done:
            return
        self._started = self._printed = time.monotonic()
        self._table_due = self._started + TABLE_SECONDS
        with redrawn(self._console) as self._live:
            yield from events
        self._live = None

    def update(self) -> None:
        """Show where the sweep stands, now that a pack has progressed."""
        now = time.monotonic()
        if self._first is None and self._schedule.work_done:
            self._first = now, self._schedule.work_done
        if self._live is not None:
            self._live.update(self.view(now))
        elif now >= self._table_due and self._cells.has_members:
            self._printed = now
            self._table_due = now + min(now - self._started, LONGEST_SECONDS)
            self._print_whole(now)
        elif now - self._printed >= LOG_SECONDS:
            self._printed = now
            self._console.print(self.line(now), soft_wrap=True)

    def view(self, now: float) -> RenderableType:
        """Return the table of the cells above the line, which a terminal cuts to its width."""
        table = self._table(now) if self._cells.has_members else ()
        return Group(*table, Text(self.line(now), no_wrap=True, overflow="ellipsis"))

    def _print_whole(self, now: float) -> None:
        """Print the table and the line, whatever their width."""
        table, *notes = self._table(now)
        print_whole(self._console, table)
        for note in notes:
            self._console.print(note, soft_wrap=True)
        self._console.print(self.line(now), soft_wrap=True)

    def _table(self, now: float) -> tuple[Table, *tuple[Text, ...]]:
        rows = min(MOST_ROWS, max(1, self._console.height - 4))
        return self._cells.view(rows, now - self._started)

    def line(self, now: float) -> str:
        """Return the line."""
        cells = self._schedule.cells
        left = sum(state.members_left for state in cells)
        finished = sum(state.search.answer_count for state in cells)
        parts = [f"{duration(now - self._started)}  members {finished}/{finished + left}"]
        if self._first is not None and now - self._first[0] >= SPEED_SECONDS:
            since, before = self._first
            work_left = max(sum(state.work_left for state in cells), 0)
            per_second = (self._schedule.work_done - before) / (now - since)
            share = self._schedule.work_done / (self._schedule.work_done + work_left)
            parts.append(f"{100 * share:.0f} % of work")
            if per_second:
                parts.append(f"about {duration(work_left / per_second)} left")
            parts.append(f"{self._schedule.members_trained / (now - since) * 60:.1f}/min")
        training = sum(running.steps is not None for running in self._schedule.in_training.values())
        parts.append(f"{plural(training, 'pack')} training")
        return " · ".join(parts)


class Countdown:
    """Shows work of a known amount: members done, share, time left.

    Args:
        members: their number.
        work: of all members, in any unit.
    """

    def __init__(self, console: Console, members: int, work: float) -> None:
        self._console, self._members, self._work = console, members, work
        self._members_done, self._work_done = 0, 0.0
        self._live: Drawn | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress within the block, which begins now."""
        self._started = self._printed = time.monotonic()
        with redrawn(self._console) as self._live:
            yield
        self._live = None

    def update(self, members: int, work: float) -> None:
        """Take so many more members, and so much more work, as done."""
        self._members_done += members
        self._work_done += work
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Text(self.line(now), no_wrap=True, overflow="ellipsis"))
        elif now - self._printed >= LOG_SECONDS:
            self._printed = now
            self._console.print(self.line(now), soft_wrap=True)

    def line(self, now: float) -> str:
        """Return the line."""
        elapsed, left = now - self._started, self._work - self._work_done
        return (
            f"{duration(elapsed)}  members {self._members_done}/{self._members} · "
            f"{100 * self._work_done / self._work:.0f} % of work · "
            f"about {duration(elapsed * left / self._work_done)} left"
        )


class _Cells:
    """The table of the cells.

    Thresholds of cells with new members are estimated anew while time allows; a row may be some members late.
    """

    def __init__(self, schedule: Schedule, estimate: Estimate) -> None:
        self._schedule, self._estimate = schedule, estimate
        self._thresholds: dict[str, tuple[int, CellThreshold]] = {}
        self._spent = 0.0

    @property
    def has_members(self) -> bool:
        """Whether any member is finished."""
        return any(state.search.answer_count for state in self._schedule.cells)

    def view(self, rows: int, elapsed: float) -> tuple[Table, *tuple[Text, ...]]:
        """Return the table of so many cells, those in training first, and how many more there are."""
        states = self._schedule.cells
        by_need = sorted(states, key=lambda state: (not state.training, state.done))
        shown = {id(state) for state in by_need[:rows]}
        table = Table(box=None, pad_edge=False, expand=False)
        table.add_column("cell", no_wrap=True, overflow="ellipsis")
        control = states[0].planned.control
        for name in ("members", f"{control}_c", "interval", "search"):
            table.add_column(name, no_wrap=True, min_width=len(name))
        for state in states:
            if id(state) in shown:
                table.add_row(*self._texts(state, elapsed))
        if len(states) == len(shown):
            return (table,)
        done = sum(state.done for state in states if id(state) not in shown)
        return table, Text(f"and {len(states) - len(shown)} more cells, {done} of them done")

    def _texts(self, state: CellProgress, elapsed: float) -> tuple[str, ...]:
        members = f"{state.search.answer_count}/{state.search.answer_count + state.members_left}"
        threshold = self._threshold(state, elapsed)
        is_early = (
            state.batches == 1 and not state.done
        )  # other members of the first batch may be in another phase
        if threshold is None or (threshold.critical_value is None and is_early):
            return state.planned.label, members, "-", "", state.search.stage
        form = ".3f" if threshold.scale.kind == "linear" else ".3g"
        value = threshold.critical_value
        text = STATUS[threshold.status] if value is None else f"{value:{form}}"
        interval = ends_text(threshold.critical_low, threshold.critical_high, form)
        return state.planned.label, members, text, interval, state.search.stage

    def _threshold(self, state: CellProgress, elapsed: float) -> CellThreshold | None:
        cell_id, observations = state.planned.cell_id, state.search.answers
        count, threshold = self._thresholds.get(cell_id, (0, None))
        usable = any(value is not None for value in observations.values())
        late = threshold is not None and self._spent > ESTIMATES_SHARE * elapsed
        if count == len(observations) or not usable or late:
            return threshold
        started = time.monotonic()
        threshold = self._estimate(observations)
        self._spent += time.monotonic() - started
        self._thresholds[cell_id] = len(observations), threshold
        return threshold
