"""A sweep from end to end: read, check, plan, train, record, report."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from rich.console import Console

from search_spaces import Space
from sweeps import SweepError
from sweeps.executors.events import Failed, Finished, Lost, Nodes, Progressed, Returned
from sweeps.executors.executor import next_of
from sweeps.executors.places import Places
from sweeps.executors.waiting import Waiting
from sweeps.machine.interrupts import Interrupts
from sweeps.plan.cells import PlannedCell
from sweeps.plan.users_code import UsersCode
from sweeps.preparing import Options, executor_of, leave, planned, prepare, refuse
from sweeps.record.agreement import fixed_probes
from sweeps.record.costs import are_measured, measure_missing
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.schedule import Schedule
from sweeps.scratch import leave_lost_folder, scratch_folder
from sweeps.search.base import rule_of, threshold_at
from sweeps.search.of_space import searches_of, with_probes
from sweeps.terminal.lines import Lines
from sweeps.terminal.progress import Progress
from sweeps.tracking.recorder import FAILED, OK, Recorder

NOT_LOGGED = 3
"""The exit code of a complete sweep of which MLflow lacks something; 128 and more are for signals."""


def sweep(space: Space, options: Options, console: Console) -> int:
    """Run a space and return the exit code.

    0: complete; 1: packs failed permanently, or the sweep could not go on; 3: complete, but not all of it is
    in MLflow; 128 and the number of a signal: interrupted. Everything that can be wrong with the input raises
    before any training: DataError, SweepError, TableError.

    Raises:
        Interrupted: a signal came before any training.
    """
    stores = refuse(space, options)
    run = RunDirectory(options.run_directory(space), stores.states)
    lines = Lines(space, run, console)
    interrupts = Interrupts(space.grace_seconds, console.print, ends_process=options.ends_process)
    with interrupts.caught(), scratch_folder() as scratch, run.held():
        ledger = Ledger(run, space)
        lines.start(options.address)
        users_code = UsersCode(space.cells())
        with executor_of(space, options, run, scratch, users_code) as executor:
            interrupts.on_leave = partial(leave, executor, console)
            data = prepare(space, options, stores.tracking, interrupts)
            places = Places(space, executor.connect(), ledger.device, options.is_local)
            cells = planned(space.swept(), data, places.device, users_code, ledger)
            space = with_probes(space, fixed_probes(run), places.slots, places.device)
            interrupts.begin_saving()
            run.begin(space.model_dump(mode="json"))
            ledger.keep_failed_of(cells)
            searches = searches_of(space, [ledger.observed(cell) for cell in cells])
            recorder = Recorder(space, cells, searches, ledger, stores.tracking)
            interrupts.on_signal = recorder.tracker.interrupt
            schedule = Schedule(cells, searches, ledger, places.slots, space.pack_size)
            lines.plan(options.address, places, schedule, ledger)
            screen = Progress(console, schedule, partial(threshold_at, rule_of(space)))
            waiting = Waiting(space.wait_minutes, places, console.print)
            next_task = partial(next_of, schedule, space, run, interrupts)
            with lines.timed(), recorder.stopped_by_errors(executor):
                for event in screen.shown(executor.train(data.by_digest, next_task, places, interrupts)):
                    lines.event(event)
                    match event:
                        case Progressed(pack_id, steps, news):
                            schedule.progressed(pack_id, steps)
                            if news.state and (problem := run.keep_state(pack_id, news.state)):
                                lines.unsaved(pack_id, problem)
                            with recorder.beside("progress"):
                                recorder.tracker.begin()
                                screen.update()
                        case Finished(pack_id, result):
                            recorder.tell(ledger.add(schedule.pack(pack_id), result))
                            schedule.finished(pack_id)
                        case Failed(pack_id, failure):
                            attempt = schedule.failed(pack_id, failure)
                            if attempt.is_last:
                                recorder.tell(ledger.fail(attempt.pack, failure.reason))
                            elif attempt.is_split:
                                run.drop_checkpoint(pack_id)
                            schedule.advance()
                            lines.attempt(attempt)
                        case Returned(pack_id):
                            schedule.returned(pack_id)
                        case Lost():
                            schedule.return_all()
                        case Nodes(nodes):
                            places.resize(nodes)
                            schedule.resize(places.slots)
                            lines.nodes(places)
                    waiting.look(schedule, event)
                if schedule.done and interrupts.signal is None:
                    measure = partial(executor.measure, places, interrupts)
                    measure_missing(space.costs, cells, data.by_digest, run, measure)
        return finish(space, cells, ledger, schedule, recorder, interrupts, lines)


def finish(
    space: Space,
    cells: Sequence[PlannedCell],
    ledger: Ledger,
    schedule: Schedule,
    recorder: Recorder,
    interrupts: Interrupts,
    lines: Lines,
) -> int:
    """Write and log the tables, report, and return the exit code."""
    with suppress(SweepError):  # the run directory went with its folder, as the tables say
        leave_lost_folder(ledger.run.path)
    if schedule.done:
        with recorder.beside("clean-up"):
            ledger.keep_failed(schedule.asks_for)
    tables = recorder.write(schedule)
    results = recorder.results(tables)
    problems = list(dict.fromkeys([*filter(None, [recorder.stopped]), *recorder.problems.values()]))
    complete = schedule.done and are_measured(space.costs, cells, ledger.run)
    if not complete and interrupts.signal is not None and not recorder.stopped:
        code = interrupts.exit_code
    else:
        code = OK if complete and not (problems or schedule.failures) else FAILED
    report = recorder.close(code, interrupts, lines.console)
    if code == OK and not report.complete:
        code = NOT_LOGGED
    lines.end(problems, results, schedule, tables, report, recorder.uri, is_complete=code in (OK, NOT_LOGGED))
    return code
