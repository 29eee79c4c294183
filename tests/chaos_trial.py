"""A trial of `tests/chaos.py`: one run directory from the first start of the command to its good end."""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos_deeds import PATIENCE
from tests.chaos_faults import BETWEEN, KINDS, RUNNING, Fault, dice
from tests.chaos_places import Place
from tests.sweeps.conftest import Sweep

OFTEN = ("--set", "checkpoint_minutes=0.001")
QUIET = 150.0
"""Seconds without any sign of progress after which the command is said to hang."""

GRACE, AT_ONCE = 26.0, 5.0
"""Seconds within which the command ends on a signal, and on a second one."""

MOST_RUNS = 30


class Hangs(Exception):
    """The command neither ends nor gets anywhere."""


@dataclass
class Start:
    """How the command is started next, by what was done since it ended.

    Attributes:
        kinds: of the faults that the run meets.
        expected: codes with which it may end for them.
        prefix: put before the command.
        environment: on top of a clean one.
        terminal_seconds: how long it has a terminal; None: it has none.
        is_silent: whether what it prints is lost, but for its standard error.
    """

    kinds: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    terminal_seconds: float | None = None
    is_silent: bool = False


@dataclass
class Run:
    """One run of the command, and what was done to it.

    Attributes:
        sweep: the command.
        started: when.
        kinds: of the faults that were done to it.
        expected: codes with which it may end for what was done to it.
        is_silent: whether what it prints is lost, but for its standard error.
        ended: when.
        started_at: the start, in seconds as files have them.
    """

    sweep: Sweep
    started: float
    kinds: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    is_silent: bool = False
    ended: float | None = None
    started_at: float = field(default_factory=time.time)

    @property
    def code(self) -> int:
        """Return the exit code as a shell has it."""
        code = self.sweep.process.returncode
        return 128 - code if code < 0 else code

    @property
    def errors(self) -> list[str]:
        """Return the lines that say what went wrong."""
        return [line for line in self.sweep.output.splitlines() if line.startswith("error:")]

    def unexplained(self) -> str | None:
        """Say what is wrong with how it ended, if anything is."""
        output, code, errors = self.sweep.output, self.code, self.errors
        after = f"code {code} after {', '.join(self.kinds) or 'no fault'}"
        if code == 0:
            return f"{after}, with {errors}" if errors else None
        if code not in self.expected:
            return f"{after}: {errors}"
        if self.is_silent:
            return None
        if code in (1, 2) and len(errors) != 1:
            return f"{after}, with {len(errors)} error lines: {errors}"
        if code == 2 and "members are there already" in output:
            return f"{after}, and it had begun to train: {errors}"
        if code == 1 and (words := [KINDS[kind].error for kind in self.kinds if KINDS[kind].error]):
            return None if any(word in errors[0] for word in words) else f"{after}: {errors}"
        if code == 1 and sum(kind in ("raylet", "gcs", "second_node") for kind in self.kinds) < 2:
            return f"{after}, of which one alone should end nothing: {errors}"
        if code == 3 and "not logged" not in output:
            return f"{after}, and it does not say what is not logged"
        return None


class Terminal:
    """A terminal whose output nobody keeps, and which goes away after some seconds."""

    def __init__(self, seconds: float) -> None:
        """Open it; `end` is the command's end of it."""
        self._master, self.end = os.openpty()
        threading.Thread(target=self._read, args=(time.monotonic() + seconds,), daemon=True).start()

    def _read(self, until: float) -> None:
        with contextlib.suppress(OSError):  # the command has ended
            while time.monotonic() < until:
                if select.select([self._master], [], [], 0.1)[0]:
                    os.read(self._master, 2**16)
        os.close(self._master)


class Trial:
    """Runs the command in one run directory and does faults to it until it ends well."""

    def __init__(self, place: Place, faults: Sequence[Fault], space: Path, scratch: Path) -> None:
        """Start nothing yet; `scratch` is the command's TMPDIR."""
        self.place, self.faults, self.scratch = place, faults, scratch
        self.runs: list[Run] = []
        self.refused: list[Run] = []
        self.ahead = Start()
        self.untouched: dict[Path, bytes] = {}
        self.left_runs: dict[str, list[tuple[str, ...]]] = {}
        self.problems: list[tuple[str, str]] = []
        self.second_signal: float | None = None
        self._space = space
        self._began = time.monotonic()
        self._marks: list[float] = []
        self._finished: list[float] = []
        self._signs: object = None
        self._fragments: dict[str, tuple[int, int]] = {}
        self._cut: dict[str, tuple[int, int]] = {}
        self._last_fault = 0.0

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def sweep(self) -> Sweep:
        """The command that runs, or ran last."""
        return self.runs[-1].sweep

    @property
    def sweeps(self) -> list[Sweep]:
        """All commands that were started."""
        return [run.sweep for run in (*self.runs, *self.refused)]

    @property
    def at_work(self) -> bool:
        """Whether nothing has refused the command, so that its settings are written."""
        try:
            return (self.place.out / "space.yaml").stat().st_mtime > self.runs[-1].started_at
        except FileNotFoundError:
            return False

    @property
    def running(self) -> bool:
        """Whether the command runs; its end is noted."""
        run = self.runs[-1]
        if run.sweep.running:
            return True
        if run.ended is None:
            run.ended = self.now
            self.look()
            if run.code < 128:
                self._finished.append(run.ended)
            if problem := run.unexplained():
                self.problems.append(("exit codes", f"run {len(self.runs)}: {problem}"))
        return False

    def live(self) -> None:
        """Do the faults, one after the other, and run the command until it is complete.

        Raises:
            Hangs: it does not come to an end.
        """
        self._start(0.0)
        for fault in self.faults:
            if not self._reach(fault):
                break
            self._do(fault)
        while not self._complete():
            self.poll(lambda: not self.running)
        for fault in self.faults:
            fault.recovery = self._recovery(fault)

    def poll(self, condition: Callable[[], object], seconds: float = 1e9) -> bool:
        """Look for signs of progress until `condition` holds; False if it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.look()
            last = max([*self._marks[-1:], self.runs[-1].started, self._last_fault])
            if self.now - last > QUIET:
                raise Hangs(f"run {len(self.runs)}: no sign of progress for {QUIET:g} s")
            time.sleep(0.1)
        return True

    def victims(self, find: Callable[[], Sequence[int]], seconds: float) -> list[int]:
        """Return the processes that `find` finds first while the command runs; none after `seconds`."""
        found: list[int] = []

        def look() -> bool:
            found[:] = sorted(find())
            return bool(found) or not self.running

        self.poll(look, seconds)
        return found if self.running else []

    def pause(self, seconds: float, while_running: bool = False) -> None:
        """Let time pass."""
        self.poll(lambda: while_running and not self.running, seconds)

    def look(self) -> None:
        """Note signs of progress, and fragments that were written twice or vanished."""
        checkpoints = {}
        for path in self.place.out.glob("checkpoints/*.pt"):
            try:
                checkpoints[path.name] = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
        fragments = {name: seen for name, seen in self._found().items() if self._cut.get(name) != seen}
        for name, before in self._fragments.items():
            if fragments.get(name) != before:
                what = "was written again" if name in fragments else "vanished"
                self.problems.append(("nothing trained twice", f"{name} {what} at {self.now:.1f} s"))
        if fragments.keys() - self._fragments.keys():
            self._finished.append(self.now)
        self._fragments = fragments
        if self._signs is not None and (checkpoints, fragments) != self._signs:
            self._marks.append(self.now)
        self._signs = (checkpoints, fragments)

    def forget(self, fragment: str) -> None:
        """Take it that a pack, whose file is damaged, is to be trained anew."""
        found = self._found()
        self._fragments.pop(fragment, None)
        if fragment in found:  # a kill may have left a history alone
            self._cut[fragment] = found[fragment]
        self._signs = None

    def whole_fragments(self) -> list[str]:
        """Return the files of finished packs that are not damaged."""
        self.look()
        return sorted(self._fragments)

    def go_on_in(self, out: Path) -> None:
        """Take it that the run directory was moved or copied to `out`, where the command runs next."""
        here, before = self.place.out, self._found()
        self.place.out = self.sweep.out = out
        after = self._found()
        for seen in (self._fragments, self._cut):
            kept = [name for name in seen if name in after and before.get(name, seen[name]) == seen[name]]
            seen.update({name: after[name] for name in kept})
        for path in [path for path in self.untouched if here in path.parents]:
            self.untouched[out / path.relative_to(here)] = self.untouched[path]
            if not here.exists():
                del self.untouched[path]

    def leave_untouched(self, paths: Iterable[Path]) -> None:
        """Take it that nothing may change these files from now on."""
        self.untouched |= {path: path.read_bytes() for path in paths}

    def leave_runs(self, sweep_id: str) -> None:
        """Take it that nothing may change what MLflow has of this sweep from now on."""
        self.left_runs[sweep_id] = self.place.runs(sweep_id)

    def refuse(self, words: Sequence[str], *arguments: str) -> None:
        """Run the command beside the trial's, which must be refused with a line that has all of `words`.

        Where the command runs, that it does is reason enough. Where it does not, no byte may change.
        """
        was_running = self.running
        before = {} if was_running else _contents(self.place.out)
        run = self._started(Start(), *arguments)
        self.refused.append(run)
        self.poll(lambda: not run.sweep.running)
        output, code = run.sweep.output, run.code
        says_why = all(word in output for word in words) or (was_running and "is in use" in output)
        if code != 2 or len(run.errors) != 1 or not says_why:
            self.problems.append(("refused", f"code {code}, and not a line with {words}: {output[-2000:]}"))
        if not was_running and (changed := _contents(self.place.out).items() ^ before.items()):
            self.problems.append(("refused", f"changed: {sorted({str(path) for path, _ in changed})}"))

    def signal(self, number: signal.Signals) -> bool:
        """Send the command a signal; False if it has ended."""
        try:
            os.kill(self.place.command(self.sweep), number)
        except ProcessLookupError:
            return False
        return True

    def kill_and_wait(self) -> None:
        """Kill the command if it runs, and wait until its workers have gone with it."""
        if self.running:
            self.runs[-1].expected.add(137)
            self.signal(signal.SIGKILL)
            self.poll(lambda: not self.running)
        self.poll(lambda: not self.sweep.processes(), 60)
        if self.place.name == "cluster":
            self.poll(lambda: not self.place.training(self.sweep), 60)

    def story(self) -> str:
        """Tell the faults with their times, and the runs with their ends."""
        lines = []
        for fault in self.faults:
            done = f"at {fault.at:6.1f} s" if fault.at is not None else "not done  "
            lines.append(f"  {done}  {fault.kind:18} {fault.note}  (due {fault.moment})")
        for number, run in enumerate(self.runs, start=1):
            end = f"to {run.ended:6.1f} s, code {run.code}" if run.ended is not None else "without an end"
            lines.append(
                f"  run {number}: {run.started:6.1f} {end}, after {', '.join(run.kinds) or 'no fault'}"
            )
        return "\n".join(lines)

    def _found(self) -> dict[str, tuple[int, int]]:
        """Return the finished packs' files, but for those of others."""
        try:
            found = self.sweep.fragments()
        except FileNotFoundError:  # moved between the listing and the look at it
            found = self.sweep.fragments()
        folder = self.place.out / "fragments"
        return {name: seen for name, seen in found.items() if folder / name not in self.untouched}

    def _start(self, pause: float) -> None:
        if len(self.runs) >= MOST_RUNS:
            raise Hangs(f"not complete after {MOST_RUNS} runs")
        if pause:
            time.sleep(pause)
        start, self.ahead = self.ahead, Start()
        self.runs.append(self._started(start))

    def _started(self, start: Start, *arguments: str) -> Run:
        """Return a run of the command that begins now."""
        arguments = ("--space", str(self._space), *OFTEN, *self.place.arguments, *arguments)
        environment = {"TMPDIR": str(self.scratch), **self.place.environment, **start.environment}
        terminal = None if start.terminal_seconds is None else Terminal(start.terminal_seconds)
        sweep = Sweep(
            self.place.out, arguments, self.place.folder, self.place.prefix + start.prefix,
            terminal=terminal and terminal.end, **environment,
        )  # fmt: skip
        if terminal is not None:
            os.close(terminal.end)
        sweep.store = self.place.store
        return Run(sweep, self.now, start.kinds, start.expected, start.is_silent)

    def _complete(self, pause: float = 0.0) -> bool:
        """Start the command again where it has ended incomplete or something was done since; else True."""
        if self.running:
            return False
        if self.runs[-1].code == 0 and not self.ahead.kinds:
            return True
        self._start(pause)
        return False

    def _reach(self, fault: Fault) -> bool:
        """Wait for the moment of a fault; False if the sweep is complete before."""
        pause = dice(fault.dice).choice((0.0, 0.0, 1.0, 3.0))
        since: float | None = None
        while True:
            if self._complete(pause):
                return False
            run = self.runs[-1]
            if fault.packs is None:
                since = max(run.started, self._last_fault)
            elif self.at_work and len(self._fragments) >= fault.packs:
                since = max(since or self.now, run.started)
            else:
                since = None
            if since is not None and self.now >= since + fault.wait:
                return True
            self.poll(lambda: not self.running, 0.1)

    def _do(self, fault: Fault) -> None:
        kind = KINDS[fault.kind]
        if kind.when == BETWEEN:
            self.poll(lambda: self._found() or not self.running, PATIENCE)
        if kind.when != RUNNING:
            self.kill_and_wait()
        met = self.runs[-1] if kind.when == RUNNING else self.ahead
        met.expected |= kind.codes
        met.kinds.append(fault.kind)
        self._last_fault = self.now
        fault.at = kind.do(self, fault, dice(fault.dice))
        self._last_fault = self.now
        if fault.at is None:
            met.kinds.remove(fault.kind)
        elif kind.when == RUNNING and (kind.ends or 137 in kind.codes):
            self.poll(lambda: not self.running)
            self._check_grace(fault, self.runs[-1])

    def _check_grace(self, fault: Fault, run: Run) -> None:
        """Check that the command ended in time where a signal asked for it."""
        since, allowed = fault.at, GRACE
        if self.second_signal is not None:
            since, allowed, self.second_signal = self.second_signal, AT_ONCE, None
        if KINDS[fault.kind].is_signal and run.ended - since > allowed:
            text = f"run {len(self.runs)} ended {run.ended - since:.1f} s after {fault.kind}"
            self.problems.append(("grace", text))

    def _recovery(self, fault: Fault) -> float | None:
        """Return how long it took to the next finished pack or end; after a kill, of another run."""
        if fault.at is None:
            return None
        kind = KINDS[fault.kind]
        since = fault.at
        if 137 in kind.codes:
            since = min((run.started for run in self.runs if run.started >= since), default=since)
        ends = [run.ended for run in self.runs if run.ended is not None]
        times = ends if kind.ends else self._finished
        return min((time for time in times if time >= since), default=self.now) - fault.at


def _contents(folder: Path) -> dict[Path, tuple[int, int, bytes]]:
    """Return inode, time and content of each file."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
