"""The lines of a sweep: its start, its plan, what happens meanwhile, and its end."""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
from rich.console import Console

from analysis.text.words import duration, plural
from search_spaces import Space
from sweeps.executors.events import Event, Failed, Lost, Notice, Progressed
from sweeps.executors.executor import SERIAL
from sweeps.executors.places import Places
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.retries import Attempt
from sweeps.schedule import Schedule
from sweeps.tracking.tracker import Report
from sweeps.tracking.uri import ui_command, unused_variables
from sweeps.worker.states import MOST_CARRIED_BYTES


class Lines:
    """Says what a sweep does; what is too long for a line goes to its log."""

    def __init__(self, space: Space, run: RunDirectory, console: Console) -> None:
        self.console = console
        self._space, self._run = space, run
        self._started, self._seconds = time.monotonic(), 0.0
        self._nodes = ""
        self._unseen: set[str] = set()
        self._has_unsaved = False

    def line(self, text: str) -> None:
        """Print a line."""
        self.console.print(text)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time of the block as that of the training."""
        started = time.monotonic()
        yield
        self._seconds = time.monotonic() - started

    def start(self, address: str | None) -> None:
        """Say what is swept, and what is waited for first."""
        space = self._space
        cells, seeds = plural(len(space.cells()), "cell"), plural(len(space.seeds), "seed")
        probes = " and probes" * space.search_traits.adds_seeds
        self.line(f"space {space.name}: {cells}, {seeds}{probes}, search {space.search}")
        for line in unused_variables(space.name):
            self.line(line)
        if address is None:
            self.line("starting Ray")
        elif address != SERIAL:
            self.line(f"connecting to the Ray at {address}")

    def plan(self, address: str | None, places: Places, schedule: Schedule, ledger: Ledger) -> None:
        """Say where packs train, and how many members are there."""
        for notice in self._run.notices:
            self.line(notice)
        self._nodes = str(places)
        device = places.device
        may_grow = address not in (None, SERIAL)
        chosen = ", as there is no GPU; device=cuda waits for one" if may_grow else ""
        kind = device if device == "cuda" or self._space.device != "auto" else f"{device}{chosen}"
        self.line(f"{'no Ray' if address == SERIAL else 'Ray'}: {places} ({kind})")
        there = f"{schedule.members_reused} members are there already"
        expected = sum(state.search.expected_points() for state in schedule.cells)
        if expected:
            steps = sorted({state.planned.cell.steps for state in schedule.cells})
            there += f" of about {expected} ({' or '.join(map(str, steps))} steps each)"
        if ledger.failed:
            there += f", {len(ledger.failed)} failed and are tried again"
        self.line(f"into {self._run.path}: {there}")

    def event(self, event: Event) -> None:
        """Say or log an event of training."""
        match event:
            case Notice(text):
                self.line(text)
            case Failed(pack_id, failure):
                self._run.note(f"pack {pack_id}: {failure.reason}\n{failure.details}")
            case Lost(reason):
                self._run.note(reason)
            case Progressed(pack_id, _, news):
                for text in news.notices:
                    self.line(f"pack {pack_id}: {text}")
                if news.unseen:
                    self._note_unseen(news.unseen)
                if news.trouble:
                    self.unsaved(pack_id, news.trouble)

    def unsaved(self, pack_id: str, reason: str) -> None:
        """Say of the first state that is not saved what follows; log the others."""
        line = f"pack {pack_id}: {reason}"
        self._run.note(line)
        if not self._has_unsaved:
            self._has_unsaved = True
            self.line(f"{line}; training goes on, and checkpoints are tried again (further ones: sweep.log)")

    def attempt(self, attempt: Attempt) -> None:
        """Say what follows a failed attempt."""
        if text := str(attempt):
            self.line(text)

    def nodes(self, places: Places) -> None:
        """Say which nodes there are, if that has changed."""
        if self._nodes != str(places):
            self._nodes = str(places)
            self.line(f"Ray: {places}")

    def end(
        self,
        problems: Sequence[str],
        results: str,
        schedule: Schedule,
        tables: Mapping[str, pa.Table],
        report: Report,
        uri: str,
        is_complete: bool,
    ) -> None:
        """Say what came out, where it is, and what to do next."""
        for problem in problems:
            self.line(f"error: {problem}")
        if results:
            self.line(f"\n{results}\n")
        for pack, reason in schedule.failures:
            self.line(f"FAILED {pack}: {reason}")
        if schedule.failures:
            self.line(f"what led to it is in {self._run.log}")
        if not is_complete:
            self.line("The sweep is not complete; the same command trains what is missing.")
        self._files(tables)
        self.line(f"{report}")
        self._next_commands(tables, report, uri)
        total, trained = time.monotonic() - self._started, plural(schedule.members_trained, "member")
        self.line(f"{duration(total)} in all, {duration(self._seconds)} of it training {trained}")

    def _files(self, tables: Mapping[str, pa.Table]) -> None:
        path = self._run.path
        if tables:
            names = ", ".join(f"{name}.parquet" for name in tables)
            self.line(f"tables   {path}/: {names}")
            for word, made in (("figures", "figures/"), ("report ", "report.html")):
                if (path / made).exists():
                    self.line(f"{word}  {path}/{made}")
        if self._run.costs.exists():
            self.line(f"costs    {self._run.costs}")

    def _next_commands(self, tables: Mapping[str, pa.Table], report: Report, uri: str) -> None:
        self.line("next")
        self.line(f"  {ui_command(uri)}")
        if tables and report.curves_url is not None:
            self.line(f"  then {report.curves_url}")
        if tables:
            for command in ("thresholds", "figures", "report"):
                self.line(f"  ouvae-{command} {shlex.quote(str(self._run.path))}")
            self.line(f"  optuna-dashboard {shlex.quote(str(self._run.studies))}")

    def _note_unseen(self, node: str) -> None:
        """Say of the first node that does not see the run directory what follows; log the others."""
        if node in self._unseen:
            return
        folder, first = self._run.path.resolve(), not self._unseen
        self._unseen.add(node)
        self._run.note(f"node {node} does not see {folder}")
        if first:
            space, losses, mends = self._space, [], ["give an --out that all nodes see at the same path"]
            if space.checkpoint_minutes and self._run.holds_states:
                losses.append(
                    "Ray carries the states of its packs here, up to "
                    f"{MOST_CARRIED_BYTES / 1e6:.0f} MB each, and a worker that is lost or stopped costs at "
                    f"most {space.checkpoint_minutes:g} min of training"
                )
                mends.insert(0, "for larger states give --checkpoints URI")
            if space.save_weights != "none":
                losses.append("its trained weights are not kept")
                mends.append("set save_weights=none to go without")
            problem = f"node {node} does not see {folder}: {', and '.join(losses)}"
            self.line(f"{problem}; {', or '.join(mends)} (further nodes: sweep.log)")
