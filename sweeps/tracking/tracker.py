"""Tracking of a sweep: one thread writes to MLflow, so that training never waits for a store."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ouvae.declared.controls import RHO
from ouvae.declared.order_parameters import ORDER_PARAMETERS, WATCHED
from sweeps.tracking.refusals import reason
from sweeps.tracking.runs import SweepRuns
from sweeps.tracking.values import CompleteCell, texts

_ATTEMPTS = 3
_LONGEST_WAIT_SECONDS = 30.0
_PROGRESS_SECONDS = 5.0
_ENTRIES = ("member", "cell", "file")


@dataclass(frozen=True)
class Report:
    """What a tracker did: entries (a member, a cell or a file) by fate.

    Attributes:
        logged: entries logged by this tracker, by kind (`member`, `cell`, `file`).
        present: entries that the store held already, by kind.
        failed: entries that did not get into the store, by kind (also `sweep`: its end).
        last_error: the last error in a line, mended since or not; None without any.
        curves_url: the page that draws the cells' curves over one another, on the server or as
            `ui_command` serves it; None if the store was never reached.
    """

    logged: Mapping[str, int]
    present: Mapping[str, int]
    failed: Mapping[str, int]
    last_error: str | None
    curves_url: str | None

    @property
    def complete(self) -> bool:
        """Whether everything handed to the tracker is in the store."""
        return not any(self.failed.values())

    def __str__(self) -> str:
        """Say it in one line for a terminal."""
        line = f"MLflow: {_counts(self.logged)} logged, {_counts(self.present)} already there"
        if self.complete:
            return line
        return (
            f"{line}, {_counts(self.failed)} not logged ({self.last_error or 'out of time'}); "
            "the same command logs what is missing"
        )


class Tracker:
    """Logs one sweep to MLflow from a thread of its own.

    The methods return at once and never raise for the store's sake: `close` reports. A store that
    does not answer is tried again, after 1 second at first and 30 at most, until `close`, which
    gives it up.
    Use one tracker at a time for a sweep.

    Args:
        uri: the store, see `check`.
        space: name of the space: the MLflow experiment.
        sweep_id: identifies the sweep; a tracker with the same one goes on with the same runs.
        sweep_name: name of the sweep's run.
        params: settings of the sweep. MLflow never changes a param: a value that differs from the
            one logged by an earlier tracker becomes a tag of the same name.
        track: what becomes a run: `members` and their cells, `cells`, or only the `sweep`.
        watched: names of the order parameters whose curves the UI shows first, the targeted one first.
    """

    def __init__(
        self,
        uri: str,
        space: str,
        sweep_id: str,
        sweep_name: str,
        params: Mapping[str, Any],
        track: str = "members",
        watched: Sequence[str] = tuple(WATCHED),
        control: str = RHO,
    ) -> None:
        self._track = track
        self._runs = SweepRuns(
            uri,
            space,
            sweep_id,
            sweep_name,
            texts(params, params),
            [ORDER_PARAMETERS[name] for name in watched],
            control,
        )
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._submitted: Counter[str] = Counter()
        self._logged: Counter[str] = Counter()
        self._present: Counter[str] = Counter()
        self._settled = 0  # entries
        self._last_error: str | None = None
        self._begun = False
        self._closing = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)

    def begin(self) -> None:
        """Have the sweep's run in the store, from now on.

        The first entry does so too. Until then nothing is done, since MLflow takes seconds to be imported.
        """
        if not self._begun:
            self._begun = True
            try:
                self._thread.start()
            except RuntimeError as error:  # no thread is left: all entries fail
                self._last_error = reason(error)
            self._open()

    def log_member(self, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """Log a member: its row of the members table and its rows of the history table.

        A row with another `finished_at` than the one logged (the member was trained, or failed, anew)
        replaces it.
        """
        if self._track == "members":
            self._submit("member", partial(self._runs.member, row, history))
        else:
            self._runs.untracked[row["member_id"]] = row["status"]

    def log_cell(self, cell: CompleteCell) -> None:
        """Log a cell that is complete.

        A run whose curves, thresholds or params differ from an earlier log is replaced by a new run, and its
        members move there.
        """
        if self._track == "sweep":
            self._runs.untracked_cells.add(cell.cell_id)
            return
        self._submit("cell", partial(self._runs.cell, cell))

    def log_interim_cell(self, cell_id: str, thresholds: Sequence[Mapping[str, Any]]) -> None:
        """Log the thresholds so far of a cell that is not complete, if there is time for it.

        Args:
            cell_id: identifies the cell in the sweep.
            thresholds: the cell's rows of the thresholds table.
        """
        self._jobs.put(_Job("interim", partial(self._runs.interim_cell, cell_id, thresholds)))

    def log_interim(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Log files as they are by now, as `log_artifacts` does their last version; none is owed."""
        for path in paths:
            self._jobs.put(_Job("interim", partial(self._runs.artifact, path, folder)))

    def log_note(self, note: str) -> None:
        """Log what the sweep found, in Markdown, whose first line is the answer in short."""
        self._jobs.put(_Job("note", partial(self._runs.describe, note)))

    def log_artifacts(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Log files as artifacts, in `folder`; later versions replace earlier.

        Sheets are artifacts of their cells' runs, other files of the sweep's run.
        The files are read when their turn comes, at the latest within `close`.
        """
        for path in paths:
            self._submit("file", partial(self._runs.artifact, path, folder))

    def interrupt(self) -> None:
        """Say that the sweep is being stopped; return at once.

        The sweep's run in the store becomes KILLED next, before anything that waits to be logged, so that a
        driver which is killed soon after leaves no RUNNING sweep; so do cells that are not complete. Logging
        goes on, and `close` sets the status that stays.
        """
        self._runs.status = "KILLED"
        self.begin()
        self._open()

    def close(
        self,
        status: str = "FINISHED",
        deadline_seconds: float | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """Log what is left, however long that takes, end the sweep's run and report.

        A store that gives no good answer now is given up; what is left then, or after
        `deadline_seconds`, counts as failed.

        Args:
            status: MLflow's status of the sweep's run: FINISHED, FAILED or KILLED. Runs of cells that
                are not complete become KILLED, until the sweep goes on.
            deadline_seconds: None waits as long as the store takes entries.
            on_progress: called with the number of entries whose fate is known and of all that were
                handed in, every 5 seconds while entries are left and, if it was called, once after.
        """
        if not self._closing.is_set():
            self._submit("sweep", partial(self._runs.finish, status))
            self._jobs.put(None)
            self._closing.set()
        self._wait(math.inf if deadline_seconds is None else deadline_seconds, on_progress)
        self._stopped.set()
        failed = self._submitted - self._logged - self._present
        logged, present = _entries(self._logged), _entries(self._present)
        return Report(logged, present, failed, self._last_error, self._runs.curves_url)

    def _wait(self, seconds: float, on_progress: Callable[[int, int], None] | None) -> None:
        """Wait for the writer to end, at most so long, and say how far it is."""
        deadline, has_reported = time.monotonic() + seconds, False
        while self._thread.ident is not None:
            self._thread.join(max(0.0, min(_PROGRESS_SECONDS, deadline - time.monotonic())))
            ended = not self._thread.is_alive() or time.monotonic() >= deadline
            if on_progress and (has_reported or not ended):
                on_progress(self._settled, _entries(self._submitted).total())
                has_reported = True
            if ended:
                return

    def _open(self) -> None:
        """Have the sweep's run in the store with the status that is due, before what is logged next."""
        self._jobs.put(_Job("status", lambda: False))  # the writer opens the runs before each job

    def _submit(self, kind: str, log: Callable[[], bool]) -> None:
        self._submitted[kind] += 1
        self.begin()
        self._jobs.put(_Job(kind, log))

    def _work(self) -> None:
        for job in iter(self._jobs.get, None):
            if not self._stopped.is_set():
                self._attempt(job)
                self._settled += job.kind in _ENTRIES

    def _attempt(self, job: _Job) -> None:
        """Do a job, or leave it undone: after `_ATTEMPTS` in a store that answers, or at closing.

        An attempt begins with what the store holds, since the request that failed last may well
        have been carried out.
        """
        attempts, wait = 0, 1.0
        while not self._stopped.is_set():
            try:
                self._runs.open()
                attempts += 1
                new = job.log()
            except Exception as error:
                self._last_error = reason(error)
                answers, self._runs.opened = self._runs.opened, False
                if attempts == _ATTEMPTS:
                    return
                if self._closing.is_set() and not answers:
                    self._stopped.set()
                elif not self._closing.wait(wait):
                    wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
            else:
                (self._logged if new else self._present)[job.kind] += 1
                return


class _Job(NamedTuple):
    kind: str
    log: Callable[[], bool]  # True if it logged something, False if all of it was there


def _entries(counts: Counter[str]) -> Counter[str]:
    return Counter({kind: counts[kind] for kind in _ENTRIES if counts[kind]})


def _counts(counts: Mapping[str, int]) -> str:
    parts = [f"{n} {kind}{'s' if n != 1 else ''}" for kind, n in counts.items() if n]
    return ", ".join(parts) or "nothing"
