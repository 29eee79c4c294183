"""What the terminal shows of a sweep that goes on."""

import contextlib
import errno
import io
import itertools
import re

import pytest
from rich.console import Console
from rich.live import Live

from analysis.statistics.rule import Rule
from analysis.text.words import duration
from ouvae.declared import ORDER_PARAMETERS
from sweeps.search.base import threshold_at
from sweeps.terminal import progress
from sweeps.terminal.console import Terminal
from sweeps.terminal.progress import Countdown, Progress
from tests.sweeps.conftest import finish, opened, schedule_of

CELLS = {"latents": "[[4, 4], [6, 6], [30, 30, 30, 30, 30]]"}


def kl(point):
    return 3.0 if point.value < 0.8 else 0.0


def estimate(observations):
    rule = Rule(ORDER_PARAMETERS["kl_top"], 0.1, 0.95)
    return threshold_at(rule, observations)


@pytest.fixture
def clock(monkeypatch):
    """Return the time, which stands still unless it is moved."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def follow(make_space, tmp_path, clock):
    """Return a maker of a schedule and of what a console of some width and kind shows of it."""

    with contextlib.ExitStack() as held:

        def make(width=80, terminal=False, **keys):
            space = make_space(**CELLS | keys)
            schedule = schedule_of(space, 2, held.enter_context(opened(tmp_path / "run", space)))
            console = Console(file=io.StringIO(), width=width, force_terminal=terminal, height=40)
            return schedule, Progress(console, schedule, estimate), console.file.getvalue

        yield make


def progress_of(schedule, shown, pack, steps):
    """Report the steps of a pack."""
    if pack.pack_id in schedule.in_training:
        schedule.progressed(pack.pack_id, steps)
    shown.update()


@contextlib.contextmanager
def showing(shown):
    """Show the progress within the block."""
    events = shown.shown(itertools.repeat(None))
    next(events)
    try:
        yield
    finally:
        events.close()


def train(schedule, result_of, clock, shown, packs, seconds=10.0):
    """Train packs, of each of which half is reported, and then all."""
    for _ in range(packs):
        pack = schedule.next_pack()
        progress_of(schedule, shown, pack, 10)
        clock[0] += seconds
        progress_of(schedule, shown, pack, 20)
        finish(schedule, schedule._ledger, pack, result_of(pack, kl))


def test_a_plain_log_gets_the_cells_with_their_thresholds_now_and_then(follow, result_of, clock):
    schedule, shown, said = follow(seeds="4")
    with showing(shown):
        train(schedule, result_of, clock, shown, packs=5)
        train(schedule, result_of, clock, shown, packs=1, seconds=40.0)
    lines = said().splitlines()
    assert max(map(len, lines)) <= 90
    heads = [place for place, line in enumerate(lines) if line.startswith("cell ")]
    assert len(heads) == 2, "after half a minute, and when twice the time has gone"
    assert re.fullmatch(r"cell +members +rho_c +interval +search", lines[heads[-1]].strip())
    for name in ("4,4", "6,6", "30,30,30,30,30"):  # the middle of 0.75, active, and 1, collapsed
        (row,) = [line for line in lines[heads[-1] :] if line.startswith(f"digits mlp {name} ")]
        assert re.search(r" (6|12)/12 +0\.875 +(above |\[)0\.\d+.* +(grid|done)", row), row
    assert re.search(
        r"^1 min 30 s  members 30/36 · \d+ % of work · about \d+ s left · \d+\.\d/min · \d", said(), re.M
    )


def test_nothing_is_cut_in_a_plain_log(follow, result_of, clock):
    schedule, shown, said = follow(width=40)
    with showing(shown):
        train(schedule, result_of, clock, shown, packs=1, seconds=31.0)
        progress_of(schedule, shown, schedule.next_pack(), 10)
    assert re.search(r"^digits mlp 30,30,30,30,30 +3/6 +0\.875 +above 0\.\d+ +grid *$", said(), re.M)
    assert re.search(r"left · \d+\.\d/min · \d packs? training$", said(), re.M)
    assert "…" not in said()


def test_a_cell_is_not_said_to_be_active_before_its_first_batch_is_complete(follow, result_of, clock):
    schedule, shown, said = follow(latents="[[4, 4]]", rho="[0.5, 0.6, 0.7, 0.75]", pack_size=4)
    with showing(shown):
        train(schedule, result_of, clock, shown, packs=1, seconds=31.0)
        progress_of(schedule, shown, schedule.next_pack(), 10)
        assert re.search(r"^digits mlp 4,4 +2/8 +- +grid", said(), re.M)
    assert "always active" not in said()


def test_a_cell_of_which_nothing_is_known_says_so(follow, result_of, clock):
    schedule, shown, said = follow()
    with showing(shown):
        train(schedule, result_of, clock, shown, packs=1, seconds=31.0)
        progress_of(schedule, shown, schedule.next_pack(), 10)
    assert re.search(r"^digits mlp 6,6 +0/6 +- +grid", said(), re.M)


def test_before_the_first_member_there_is_a_line_alone(follow, clock):
    schedule, shown, said = follow()
    with showing(shown):
        pack = schedule.next_pack()
        for steps in (2, 4, 6):
            clock[0] += 16
            progress_of(schedule, shown, pack, steps)
    lines = said().splitlines()
    assert lines
    assert all(line.startswith(("16 s", "32 s", "48 s")) for line in lines)


def test_the_time_left_follows_the_speed_since_the_first_steps(follow, result_of, clock):
    """Ray and the trace of a step take their time, which says nothing of the training."""
    schedule, shown, _ = follow(latents="[[4, 4]]", seeds="1", rho="[0.6, 0.8]")
    with showing(shown):
        clock[0] += 100
        pack = schedule.next_pack()
        progress_of(schedule, shown, pack, 0)
        clock[0] += 50
        progress_of(schedule, shown, pack, 1)
        assert "left" not in shown.line(clock[0])
        clock[0] += 10
        progress_of(schedule, shown, pack, 6)
        work = sum(len(other.points) for other in [pack, *schedule.cells[0].waiting])
        left = 10 * (20 * work - 6 * len(pack.points)) / (5 * len(pack.points))
        assert f"about {duration(left)} left" in shown.line(clock[0])


def test_many_cells_are_counted(follow, result_of, clock):
    sizes = ", ".join(f"[{size}, {size}]" for size in range(2, 42))
    schedule, shown, said = follow(latents=f"[{sizes}]")
    with showing(shown):
        train(schedule, result_of, clock, shown, packs=1, seconds=31.0)
        progress_of(schedule, shown, schedule.next_pack(), 10)
    assert f"and {40 - progress.MOST_ROWS} more cells, 1 of them done" in said()


def test_estimates_take_a_small_share_of_the_time(follow, result_of, clock, monkeypatch):
    schedule, _, _ = follow(seeds="12", latents="[[4, 4]]", pack_size=6)
    made = []

    def slow(observations):
        made.append(len(observations))
        clock[0] += 1.0
        return estimate(observations)

    shown = Progress(Console(file=io.StringIO(), force_terminal=True, height=40), schedule, slow)
    started = clock[0]
    with showing(shown):
        train(schedule, result_of, clock, shown, packs=6)
    assert 1 <= len(made) <= 1 + progress.ESTIMATES_SHARE * (clock[0] - started)


def test_a_terminal_gets_the_same_above_the_line(follow, result_of, clock):
    schedule, shown, said = follow(terminal=True)
    with showing(shown):
        train(schedule, result_of, clock, shown, packs=2)
    assert "rho_c" in said()
    assert " training" in said()


def test_a_countdown_says_what_is_done_and_what_time_is_left(clock):
    console = Console(file=io.StringIO(), width=80)
    countdown = Countdown(console, members=30, work=400.0)
    with countdown.shown():
        for members, work in ((10, 50.0), (5, 50.0), (15, 300.0)):
            clock[0] += 10
            countdown.update(members, work)
    assert console.file.getvalue() == "20 s  members 15/30 · 25 % of work · about 1 min 00 s left\n", (
        "each 15 s"
    )


class Gone:
    """A terminal that takes nothing any more."""

    encoding = "utf-8"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    def isatty(self) -> bool:
        return True


def test_a_terminal_without_columns_shows_tables(monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")
    assert Terminal().width == 80


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "its reader has left"),
        OSError(errno.EIO, "it hung up"),
        OSError(errno.ENOSPC, "the disk is full"),
        ValueError("I/O operation on closed file"),
        RuntimeError("reentrant call: a signal came while it was printed to"),
    ],
)
def test_a_terminal_may_go_at_any_moment(monkeypatch, error):
    monkeypatch.setattr("sys.stdout", Gone(error))
    terminal = Terminal()
    terminal.print("a line")
    with Live("a table", console=terminal, auto_refresh=False) as live:
        live.update("another", refresh=True)
    terminal.show_cursor(True)
