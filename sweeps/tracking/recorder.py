"""Records finished packs: tells MLflow and Optuna, writes tables, figures and the report.

Tables come first. Any other part may fail without the rest, and is then a line of `problems`.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import pyarrow as pa
from rich.console import Console

from analysis.statistics.curves import Curves, curves, mean_curve
from analysis.statistics.rule import rules_of
from analysis.tables.files import rows_of
from analysis.tables.schema import Row
from analysis.text.lines import format_results
from analysis.text.words import threshold_sentence
from ouvae.declared import ORDER_PARAMETERS
from search_spaces import Space
from search_spaces.running import MOST_TRACKED
from sweeps.errors import explained
from sweeps.executors.executor import Executor
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.cells import PlannedCell
from sweeps.record.directory import is_of_disk
from sweeps.record.fragments import Fragment
from sweeps.record.ledger import Ledger
from sweeps.record.provenance import commit, project_version
from sweeps.record.tables import write_tables
from sweeps.schedule import Schedule
from sweeps.search.base import Search
from sweeps.tracking.drawing import Drawing
from sweeps.tracking.studies import Studies
from sweeps.tracking.tracker import Report, Tracker
from sweeps.tracking.uri import without_password
from sweeps.tracking.values import CELL_PARAMS, CompleteCell, texts

OK, FAILED = 0, 1
"""Exit codes of a sweep that is complete, and of one in which something failed."""

DISK = "disk"
"""The name of the problem that a disk is full or read-only: all that fails for it is one problem."""

TABLES_SECONDS, TABLES_SHARE = 60.0, 0.05
"""While the sweep goes on the tables are rewritten this often, and in at most this share of the time."""

LAST_SECONDS = 2.0
"""What of the grace is left when the log to MLflow is closed."""


class Recorder:
    """Tells MLflow and Optuna of finished packs, and keeps the tables.

    Attributes:
        problems: why something is not written or told, a line each, by its name.
        tracker: of MLflow.
        uri: of the MLflow store.
        stopped: why the sweep ended early; empty if it did not.

    Args:
        space: that is swept.
        cells: of the space, in their order.
        searches: of the cells, before they are asked.
        ledger: the finished members; MLflow and Optuna get the ones that they lack at once.
        uri: of the MLflow store.
    """

    def __init__(
        self, space: Space, cells: Sequence[PlannedCell], searches: Sequence[Search], ledger: Ledger, uri: str
    ) -> None:
        self.problems: dict[str, str] = {}
        self.stopped = ""
        self._ledger, self._run, self.uri = ledger, ledger.run, uri
        self._rules = rules_of(space.model_dump())
        self._cell_ids = [cell.cell_id for cell in cells]
        self._drawing = Drawing(ledger.run.path)
        self._due = time.monotonic() + TABLES_SECONDS
        held = [*ledger.members.values(), *ledger.failed.values()]
        expected = sum(search.expected_points() for search in searches)
        self._track = track = tracked(space, max(expected, len(held)))
        watched = sorted(space.active_from, key=lambda name: name != space.follow)
        self._studies: Studies | None = None
        with self.beside("studies"):
            probes = space.max_members if space.search_traits.adds_seeds else 0
            self._studies = Studies(
                self._run.studies,
                space.name,
                ORDER_PARAMETERS[watched[0]],
                max(space.seeds) + probes,
                space.control,
                max(space.values()),
            )
            self._run.notices += self._studies.notices
            self._studies.record(held)
        params = space.model_dump(mode="json") | {"commit": commit(), "project_version": project_version()}
        self.tracker = Tracker(
            uri, space.name, self._run.sweep_id, self._run.path.name, params, track, watched, space.control
        )
        with self.beside("MLflow"):
            members, history = list(ledger.members.values()), list[Row]()
            if track == "members":
                results = ledger.results()
                members, history = rows_of(results.members), rows_of(results.history)
            self._log(members, history)
            self._log(list(ledger.failed.values()), [])

    @contextmanager
    def beside(self, what: str) -> Iterator[None]:
        """Make a problem of `what`, or of the disk, of an error of the block; the first is kept."""
        try:
            yield
        except Exception as error:
            name = DISK if is_of_disk(error) else what
            if name not in self.problems:
                why = explained(error, self._run.note)
                self.problems[name] = f"{what} not complete: {why}; the same command tries again"

    @contextmanager
    def stopped_by_errors(self, executor: Executor) -> Iterator[None]:
        """End the executor after the block; an error in the block becomes what `stopped` the sweep.

        The tables of the finished members are written after any error.
        """
        try:
            yield
        except Exception as error:
            self.stopped = explained(error, self._run.note)
            if is_of_disk(error):
                self.problems[DISK] = self.stopped
            with self.beside("clean-up"):
                executor.kill()
        with self.beside("clean-up"):
            executor.end()

    def tell(self, fragment: Fragment) -> None:
        """Tell Optuna and MLflow of a pack that is finished or failed permanently."""
        members, history = rows_of(fragment.members), rows_of(fragment.history)
        if self._studies is not None:
            with self.beside("studies"):
                self._studies.record(members)
        with self.beside("MLflow"):
            self._log(members, history)
        if time.monotonic() > self._due:
            self.refresh()

    def refresh(self) -> None:
        """Write the tables as they are now, but for the comparisons, and log them and the thresholds.

        Figures of them are begun, and logged with the next ones.
        """
        started = time.monotonic()
        with suppress(Exception):  # they are written again at the end
            written = write_tables(self._ledger, self._cell_ids, self._rules, compared=False)
            rows = self._thresholds(written)
            if self._track == "members":  # no cell has a run before it is complete otherwise
                for cell_id, thresholds in rows.items():
                    self.tracker.log_interim_cell(cell_id, thresholds)
            tables = [self._run.table(name) for name in written]
            self.tracker.log_interim(tables, "tables")
            self.tracker.log_interim(self._drawing.drawn(), "figures")
            self._drawing.begin()
        taken = time.monotonic() - started
        self._due = time.monotonic() + max(TABLES_SECONDS, taken / TABLES_SHARE)

    def write(self, schedule: Schedule) -> Mapping[str, pa.Table]:
        """Write tables, then figures and report, and hand them and the cells to the tracker.

        Return the tables by name; none where there are no members, or a table could not be written.
        """
        written: Mapping[str, pa.Table] = {}
        with self.beside("figures"):
            self._drawing.stop()
        if not (self._ledger.members or self._ledger.failed):
            return written
        with self.beside("report"):
            from analysis.charts import render

            render.begin()  # in parallel to tables and figures
        with self.beside("tables"):
            written = write_tables(self._ledger, self._cell_ids, self._rules)
        if not written:
            return written
        with self.beside("MLflow"):
            self._log_tables(schedule, written)
        self._draw(written)
        return written

    def results(self, written: Mapping[str, pa.Table]) -> str:
        """Return the thresholds and comparisons of these tables for the terminal; empty without tables."""
        with self.beside("results"):
            return format_results(written["thresholds"], written["comparisons"]) if written else ""
        return ""

    def close(self, code: int, interrupts: Interrupts, console: Console) -> Report:
        """Log what is left and end the sweep's run; return what became of it."""
        if self._run.costs.exists():
            self.tracker.log_artifacts([self._run.costs], "tables")
        status = {OK: "FINISHED", FAILED: "FAILED"}.get(code, "KILLED")
        left = interrupts.seconds_left()
        deadline = None if left is None else left - LAST_SECONDS
        return self.tracker.close(status, deadline, partial(_say_progress, console, self.uri))

    def _log(self, members: Sequence[Row], history: Sequence[Row]) -> None:
        by_member: defaultdict[str, list[Row]] = defaultdict(list)
        for entry in history:
            by_member[entry["member_id"]].append(entry)
        for row in members:
            self.tracker.log_member(row, by_member[row["member_id"]])

    def _log_tables(self, schedule: Schedule, written: Mapping[str, pa.Table]) -> None:
        """Hand the tables and the cells to the tracker."""
        by_cell, rows = self._curves(written), self._thresholds(written)
        for state in schedule.cells:
            cell_id = state.planned.cell_id
            if state.done and cell_id in rows:
                self._log_cell(state.planned, rows[cell_id], by_cell[cell_id])
        tables = [self._run.table(name) for name in written]
        self.tracker.log_artifacts([*tables, self._run.settings], "tables")

    def _draw(self, written: Mapping[str, pa.Table]) -> None:
        """Write figures and report of the tables and hand them to the tracker."""
        with self.beside("figures"):
            from analysis.figures import write_figures  # vl-convert

            self.tracker.log_artifacts(write_figures(self._run.path), "figures")
        with self.beside("report"):
            self._write_report(written)

    def _write_report(self, written: Mapping[str, pa.Table]) -> None:
        """Write the report of the tables and hand it to the tracker, with the answer in words."""
        from analysis.report import write_report
        from analysis.results import Results
        from analysis.sweep_page.answers import in_words

        results = Results(self._run.path, written)
        self.tracker.log_artifacts([write_report([results])], "figures")
        self.tracker.log_note(in_words(results))

    def _curves(self, written: Mapping[str, pa.Table]) -> dict[str, dict[str, Curves]]:
        """Return the curves of each cell by their names, for each order parameter that is watched."""
        by_cell: defaultdict[str, dict[str, Curves]] = defaultdict(dict)
        for name in self._rules.active_from:
            order = ORDER_PARAMETERS[name]
            for cell_id, seeds in curves(written["members"], order).items():
                by_cell[cell_id][order.curve] = seeds
        return dict(by_cell)

    def _thresholds(self, written: Mapping[str, pa.Table]) -> dict[str, list[Row]]:
        """Tell the studies of the thresholds, and return the rows of each cell."""
        rows = written["thresholds"].to_pylist()
        if self._studies is not None:
            with self.beside("studies"):
                self._studies.describe(rows)
        by_cell: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_cell[row["cell_id"]].append(row)
        return dict(by_cell)

    def _log_cell(
        self, planned: PlannedCell, thresholds: Sequence[Row], by_metric: Mapping[str, Curves]
    ) -> None:
        label = thresholds[0]["cell"]
        scale = self._rules.scale
        means = {
            metric: [(scale.place(x), float(y)) for x, y in zip(*mean_curve(seeds, scale), strict=True)]
            for metric, seeds in by_metric.items()
        }
        note = "\n".join(
            f"- {ORDER_PARAMETERS[row['order_parameter']].words}: {threshold_sentence(row, label)}"
            for row in thresholds
        )
        self.tracker.log_cell(
            CompleteCell(
                planned.cell_id,
                label,
                params=texts(thresholds[0], CELL_PARAMS),
                curves=means,
                thresholds=thresholds,
                data={planned.cell.dataset: planned.data_digest},
                note=note,
            )
        )


def _say_progress(console: Console, uri: str, done: int, total: int) -> None:
    """Say how far the log to MLflow is."""
    if done < total:
        where = without_password(uri)
        console.print(f"MLflow: {done} of {total} entries are logged in {where}; the rest follows")


def tracked(space: Space, members: int) -> str:
    """Return what of a sweep of so many members is a run in MLflow: members, cells or the sweep."""
    if space.track != "auto":
        return space.track
    return "members" if members <= MOST_TRACKED else "cells"
