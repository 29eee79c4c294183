"""A trial of `tests/chaos.py`: one run directory from the first start of the command to its good end."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos_faults import KINDS, Fault, dice
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
class Run:
    """One run of the command, and what was done to it.

    Attributes:
        sweep: the command.
        started: when.
        kinds: of the faults that were done to it.
        expected: codes with which it may end for what was done to it.
        ended: when.
    """

    sweep: Sweep
    started: float
    kinds: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    ended: float | None = None

    @property
    def code(self) -> int:
        """Return the exit code as a shell has it."""
        code = self.sweep.process.returncode
        return 128 - code if code < 0 else code

    def unexplained(self) -> str | None:
        """Say what is wrong with how it ended, if anything is."""
        output, code = self.sweep.output, self.code
        errors = [line for line in output.splitlines() if line.startswith("error:")]
        after = f"code {code} after {', '.join(self.kinds) or 'no fault'}"
        if code == 0:
            return f"{after}, with {errors}" if errors else None
        if code not in self.expected:
            return f"{after}: {errors}"
        if code in (1, 2) and len(errors) != 1:
            return f"{after}, with {len(errors)} error lines: {errors}"
        if code == 2 and "members are there already" in output:
            return f"{after}, and it had begun to train: {errors}"
        if code == 1 and "disk_full" in self.kinds:
            return None if "the disk is full" in errors[0] else f"{after}: {errors}"
        if code == 1 and sum(kind in ("raylet", "gcs", "second_node") for kind in self.kinds) < 2:
            return f"{after}, of which one alone should end nothing: {errors}"
        if code == 3 and "not logged" not in output:
            return f"{after}, and it does not say what is not logged"
        return None


class Trial:
    """Runs the command in one run directory and does faults to it until it ends well."""

    def __init__(self, place: Place, faults: Sequence[Fault], space: Path, scratch: Path) -> None:
        """Start nothing yet; `scratch` is the command's TMPDIR."""
        self.place, self.faults, self.scratch = place, faults, scratch
        self.runs: list[Run] = []
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
        """Take it that a pack, whose file was cut, is to be trained anew."""
        self._fragments.pop(fragment, None)
        self._cut[fragment] = self._found()[fragment]
        self._signs = None

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
        try:
            return self.sweep.fragments()
        except FileNotFoundError:  # moved between the listing and the look at it
            return self.sweep.fragments()

    def _start(self, pause: float) -> None:
        if len(self.runs) >= MOST_RUNS:
            raise Hangs(f"not complete after {MOST_RUNS} runs")
        if pause:
            time.sleep(pause)
        arguments = ["--space", str(self._space), *OFTEN, *self.place.arguments]
        environment = {"TMPDIR": str(self.scratch), **self.place.environment}
        sweep = Sweep(self.place.out, arguments, self.place.folder, self.place.prefix, **environment)
        sweep.store = self.place.store
        self.runs.append(Run(sweep, self.now))

    def _complete(self, pause: float = 0.0) -> bool:
        """Start the command again where it has ended incomplete; True if it has ended complete."""
        if self.running:
            return False
        if self.runs[-1].code == 0:
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
            elif "members are there already" in run.sweep.output and len(self._fragments) >= fault.packs:
                since = max(since or self.now, run.started)
            else:
                since = None
            if since is not None and self.now >= since + fault.wait:
                return True
            self.poll(lambda: not self.running, 0.1)

    def _do(self, fault: Fault) -> None:
        run, kind = self.runs[-1], KINDS[fault.kind]
        run.expected |= kind.codes
        run.kinds.append(fault.kind)
        self._last_fault = self.now
        fault.at = kind.do(self, fault, dice(fault.dice))
        self._last_fault = self.now
        if fault.at is None:
            run.kinds.remove(fault.kind)
        elif kind.ends or 137 in kind.codes:
            self.poll(lambda: not self.running)
            self._check_grace(fault, run)

    def _check_grace(self, fault: Fault, run: Run) -> None:
        """Check that the command ended in time where a signal asked for it."""
        since, allowed = fault.at, GRACE
        if self.second_signal is not None:
            since, allowed, self.second_signal = self.second_signal, AT_ONCE, None
        if fault.kind in ("term", "int", "two_signals") and run.ended - since > allowed:
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
