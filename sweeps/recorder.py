"""What becomes of finished packs: they go to MLflow, and now and then to the tables and figures."""

import time
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa
from rich.console import Console

from analysis import TableError
from analysis.estimate import Curves, mean_curve
from analysis.figures import write_figures
from analysis.tables import curves
from search_spaces import Space
from sweeps import SweepError
from sweeps.interrupts import Interrupts
from sweeps.records import commit, project_version
from sweeps.run_directory import Row, RunDirectory
from sweeps.schedule import Schedule
from sweeps.tracking.tracker import Report, Tracker
from sweeps.tracking.uri import without_password
from sweeps.tracking.values import CELL_PARAMS

OK, FAILED = 0, 1
"""Exit codes of a sweep that is complete, and of one in which something failed."""

TABLES_SECONDS = 60.0
"""The tables are rewritten this often while the sweep goes on, and at its end."""

SAY_SECONDS = 5.0
"""How often the end of a sweep says how far its log to MLflow is."""

LAST_SECONDS = 2.0
"""What of the grace is left when the log to MLflow is closed."""


class Recorder:
    """Takes finished packs to MLflow and, now and then, to the tables."""

    def __init__(self, space: Space, directory: RunDirectory, uri: str) -> None:
        """Record nothing yet."""
        self._space, self._directory, self._uri = space, directory, uri
        self._written = time.monotonic()
        self._tracker: Tracker | None = None

    def start(self, interrupts: Interrupts) -> None:
        """Open the tracker and hand it what the directory holds, of which it logs what it lacks."""
        space = self._space
        params = space.model_dump(mode="json") | {
            "commit": commit(),
            "project_version": project_version(),
        }
        name = self._directory.path.name
        self._tracker = Tracker(self._uri, space.name, self._directory.sweep_id, name, params)
        interrupts.on_signal = self._tracker.interrupt
        histories: dict[str, list[Row]] = {}
        for row in self._directory.members.values():
            if row["pack_id"] not in histories:
                for entry in self._directory.history(row["pack_id"]):
                    histories.setdefault(row["pack_id"], []).append(entry)
            own = [e for e in histories[row["pack_id"]] if e["member_id"] == row["member_id"]]
            self._tracker.log_member(row, own)
        for row in self._directory.failed.values():
            self._tracker.log_member(row, [])

    def on_pack(self, members: Sequence[Row], history: Sequence[Row]) -> None:
        """Take a finished pack."""
        assert self._tracker is not None, "a pack finishes after the start"
        for row in members:
            own = [entry for entry in history if entry["member_id"] == row["member_id"]]
            self._tracker.log_member(row, own)
        if time.monotonic() - self._written > TABLES_SECONDS:
            with suppress(TableError):  # they are written again at the end
                self._directory.write_tables(self._space)
            self._written = time.monotonic()

    def write(self, schedule: Schedule) -> tuple[pa.Table | None, str]:
        """Write tables and figures, and hand them and the cells to the tracker.

        Return the thresholds, if there are any, and what could not be written, if anything could not.
        """
        try:
            return self._write(schedule), ""
        except (SweepError, TableError, OSError) as error:
            return None, f"tables and figures are not complete: {error}; the same command writes them"

    def close(self, code: int, interrupts: Interrupts, console: Console) -> Report:
        """Log what is left and end the sweep's run; return what became of it."""
        assert self._tracker is not None, "a close follows a start"
        if self._directory.costs.exists():
            self._tracker.log_artifacts([self._directory.costs], "tables")
        status = {OK: "FINISHED", FAILED: "FAILED"}.get(code, "KILLED")
        left = interrupts.seconds_left()
        deadline = None if left is None else left - LAST_SECONDS
        return self._tracker.close(status, deadline, _Draining(console, self._uri))

    def _write(self, schedule: Schedule) -> pa.Table | None:
        """Write tables and figures and hand them and the cells to the tracker."""
        assert self._tracker is not None, "they are written after the start"
        if not (self._directory.members or self._directory.failed):
            return None
        members, _, thresholds = self._directory.write_tables(self._space)
        complete = {state.planned.cell_id for state in schedule.cells if state.done}
        by_cell = curves(members)
        for row in thresholds.to_pylist():
            if row["cell_id"] in complete:
                self._log_cell(row, by_cell[row["cell_id"]], members)
        figures = write_figures(self._directory.path)
        self._tracker.log_artifacts(figures, "figures")
        names = ("members", "history", "thresholds")
        tables = [self._directory.path / f"{name}.parquet" for name in names]
        self._tracker.log_artifacts([*tables, self._directory.path / "space.yaml"], "tables")
        return thresholds

    def _log_cell(self, threshold: Row, cell_curves: Curves, members: pa.Table) -> None:
        assert self._tracker is not None, "a cell is logged after the start"
        ids = members["cell_id"].to_pylist()
        settings = members.slice(ids.index(threshold["cell_id"]), 1).to_pylist()[0]
        shared = {key: settings[key] for key in CELL_PARAMS}
        curve = list(zip(*mean_curve(cell_curves), strict=True))
        self._tracker.log_cell(threshold["cell_id"], threshold["cell"], shared, curve, threshold)


class _Draining:
    """Says now and then how far the log to MLflow is."""

    def __init__(self, console: Console, uri: str) -> None:
        self._console, self._uri = console, uri
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._said > SAY_SECONDS:
            self._said = time.monotonic()
            where = without_password(self._uri)
            self._console.print(f"MLflow: {done} of {total} entries are logged in {where}; the rest follows")
