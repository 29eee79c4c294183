"""For whoever doubts that nothing stops a sweep: random faults to real sweeps, and what must hold after.

python tests/chaos.py --faults 100 --seed 0
python tests/chaos.py --faults 100 --seed 0 --report docs/chaos.md
python tests/chaos.py --seed 0 --only 7

A trial is one run directory. Faults are done to it at random moments, the command is run again whenever it
has ended incomplete, and in the end its tables must be those of a sweep that nobody disturbed, with all the
other laws kept. Trials go on until the asked number of faults was really done; the seed decides on them all.
"""

import argparse
import datetime
import os
import platform
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis.text.words import duration
from sweeps.record.provenance import commit
from tests.chaos_faults import KINDS, PACKS, Fault, dice, planned
from tests.chaos_places import PLACES, Place, RefusedHere
from tests.chaos_trial import Hangs, Trial
from tests.sweeps.conftest import tables_of, write_small_space

MEMBERS, CELLS = 12, 2
LEFT_ALONE = 60.0
"""Seconds after its end within which all of a trial's processes have ended."""

ROUND = ("local",) * 5 + ("server",) * 2 + ("disk",) * 2 + ("cluster",)
"""The places of ten trials, which are shuffled."""

LAWS = {
    "complete": "the last run ends with exit code 0, and none hangs",
    "exit codes": "every run ends as the faults done to it allow, and errors are one line",
    "grace": "a signal ends the command within 25 s, a second one at once",
    "no traceback": "no run prints a traceback",
    "tables": "members, history and thresholds are those of the undisturbed sweep to the bit",
    "MLflow": "every member is one FINISHED run, as are both cells and the sweep",
    "nothing trained twice": "what was written stays as it was written, unless it was damaged",
    "refused": "a command that is refused says why in a line, and changes no byte",
    "others": "files of others, copies, and their runs in MLflow stay as they are",
    "no process left": f"a minute after the end none of its processes is left ({LEFT_ALONE:g} s)",
    "no file left": "neither unfinished files, nor scratch folders, nor Ray's settings in the home",
    "script": "the script itself works",
}


def main() -> int:
    """Run the command line and return its exit code: 1 if a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--faults", type=int, default=100, metavar="N", help="how many are to be done; default 100")
    add("--seed", type=int, default=0, help="of the dice; default 0")
    add("--only", type=int, metavar="TRIAL", help="that trial alone, with all of its faults")
    add("--places", default=",".join(PLACES), help="of the trials, with commas; default all")
    add("--kinds", default=",".join(KINDS), help="of faults, with commas; default all")
    add(
        "--undisturbed",
        type=Path,
        nargs=2,
        metavar=("SPACE", "RUN"),
        help="a file of the small space, and a run of it that nobody disturbed; default: both are made",
    )
    add("--out", type=Path, metavar="FOLDER", help="for the trials, of which those that fail are kept")
    add("--report", type=Path, metavar="FILE", help="write the summary there too")
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # which ends its sweeps
    # Sweeps inherit ignored signals: SIGHUP by nohup, SIGINT by a script that starts this one with `&`.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    campaign = Campaign(given, folder.resolve())
    campaign.run()
    print(f"\n{campaign.summary()}")
    if given.report:
        given.report.write_text(campaign.summary())
    if not campaign.broken and given.out is None:
        shutil.rmtree(folder)
    return 1 if campaign.broken else 0


class Campaign:
    """Trials until enough faults are done."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        """Plan nothing yet."""
        self._given, self._folder = given, folder
        self._places, self._kinds = given.places.split(","), given.kinds.split(",")
        self._refused: dict[str, str] = {}
        self._began = time.monotonic()
        self._faults: list[Fault] = []
        self._trials: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._runs = 0
        self._reference: list[list[dict]] | None = None
        self.broken: list[tuple[int, str, str]] = []

    def run(self) -> None:
        """Run the undisturbed sweep, where there is none, and the trials."""
        if self._given.undisturbed:
            self._space, undisturbed = (path.resolve() for path in self._given.undisturbed)
        else:
            self._space = write_small_space(self._folder / "small.yaml")
            reference, problems = self._live(0, "local", [])
            if problems:
                self._judge(0, "undisturbed", reference, problems)
                return
            undisturbed = reference.place.out
            print(f"undisturbed: {reference.now:.0f} s", flush=True)
        self._reference = tables_of(undisturbed)
        number = self._given.only or 1
        while (missing := self._given.faults - self._done) > 0:
            name = self._place_of(number)
            faults = planned(self._given.seed, number, name, self._kinds)
            faults = faults if self._given.only else faults[:missing]
            try:
                trial, problems = self._live(number, name, faults)
            except RefusedHere as refusal:
                print(f"no trial here of the place {name}: {refusal}", flush=True)
                self._refused[name] = str(refusal)
                continue
            self._judge(number, name, trial, problems)
            if self._given.only:
                return
            number += 1

    @property
    def _done(self) -> int:
        return sum(fault.at is not None for fault in self._faults)

    def _place_of(self, number: int) -> str:
        """Return the place of a trial by the dice; `local` where that is not to be had."""
        names = [name for name in ROUND if name in self._places]
        dice(self._given.seed, "places", (number - 1) // len(names)).shuffle(names)
        name = names[(number - 1) % len(names)]
        return "local" if name in self._refused else name

    def _live(self, number: int, name: str, faults: list[Fault]) -> tuple[Trial, list[tuple[str, str]]]:
        """Run a trial to its end and return it with the laws that it broke."""
        folder = self._folder / f"trial{number:03d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        scratch = Path(tempfile.mkdtemp(prefix="chaos", dir="/tmp"))  # short, for Ray's sockets
        place = PLACES[name](folder)
        trial = Trial(place, faults, self._space, scratch)
        problems = trial.problems
        try:
            place.open()
            trial.live()
            problems += _left_behind(trial)
        except Hangs as error:
            problems.append(("complete", str(error)))
        except RefusedHere:
            raise
        except Exception:
            problems.append(("script", traceback.format_exc()))
        finally:
            for sweep in trial.sweeps:
                sweep.end()
            place.close()
            shutil.rmtree(scratch, ignore_errors=True)
        if not any(law in ("complete", "script") for law, _ in problems):
            problems += _told(trial, self._reference)
        return trial, problems

    def _judge(self, number: int, name: str, trial: Trial, problems: list[tuple[str, str]]) -> None:
        """Count a trial, say how it went, and keep its folder if it broke a law."""
        self._faults += trial.faults
        self._runs += len(trial.runs)
        self._trials[name] += 1
        laws = {law for law, _ in problems}
        self._kept.update(set(LAWS) - laws)
        self.broken += [(number, law, text) for law, text in problems]
        done = [fault.kind for fault in trial.faults if fault.at is not None]
        verdict = f"BROKEN: {', '.join(sorted(laws))}" if laws else "all laws kept"
        print(
            f"trial {number} ({name}): {len(done)} of {len(trial.faults)} faults ({', '.join(done)}), "
            f"{len(trial.runs)} runs, {trial.now:.0f} s, {self._done} faults in all: {verdict}",
            flush=True,
        )
        if not laws:
            shutil.rmtree(trial.place.folder)
            return
        told = "\n".join(f"  {law}: {text}" for law, text in problems)
        story = f"seed {self._given.seed}, trial {number}\n{told}\n{trial.story()}"
        (trial.place.folder / "story.txt").write_text(story)
        print(f"{story}\n{_tails(trial)}\nkept in {trial.place.folder}", flush=True)

    def summary(self) -> str:
        """Return what was done and what came of it, in Markdown."""
        given, trials = self._given, self._trials.total()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        packages = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "mlflow"))
        verdict = f"**Laws were broken {len(self.broken)} times.**" if self.broken else "No law was broken."
        lines = [
            "# Faults at random",
            "",
            f"{self._done} faults were done to {trials} sweeps at random moments, in {self._runs} runs of "
            f"the command and {duration(time.monotonic() - self._began)}. {verdict}",
            "",
            f"{datetime.date.today()}, commit {commit()}, {len(os.sched_getaffinity(0))} cores, "
            f"{memory:.0f} GiB, Python {platform.python_version()}, {packages}. The trials: "
            + ", ".join(f"{count} {name}" for name, count in self._trials.items())
            + ".",
            "",
        ]
        lines += [f"Not to be had here: {name} ({reason})." for name, reason in self._refused.items()]
        command = f"python tests/chaos.py --faults {given.faults} --seed {given.seed}"
        for option, texts, every in (
            ("places", self._places, PLACES),
            ("kinds", self._kinds, KINDS),
        ):
            command += f" --{option} {','.join(texts)}" if texts != list(every) else ""
        lines += ["```bash", command, "```", ""]
        lines += [*self._table_of_kinds(), "", *self._table_of_laws(trials), ""]
        if self.broken:
            lines += [
                f"- trial {number}, {law}: {_first_line(text)}" for number, law, text in self.broken
            ] + [""]
        return "\n".join(lines)

    def _table_of_kinds(self) -> list[str]:
        lines = [
            "| fault | what is done | when | may end with | asked | done | slowest recovery |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for name, kind in KINDS.items():
            own = [fault for fault in self._faults if fault.kind == name]
            times = [fault.recovery for fault in own if fault.recovery is not None]
            slowest = f"{max(times):.1f} s{' to its end' if kind.ends else ''}" if times else ""
            done = sum(fault.at is not None for fault in own)
            codes = ", ".join(map(str, sorted({0} | kind.codes)))
            lines.append(
                f"| `{name}` | {kind.says} | {kind.when} | {codes} | {len(own)} | {done} | {slowest} |"
            )
        return [
            *lines,
            "",
            "A fault that was asked for and not done came too late: the sweep was complete, or its victim "
            "had gone. Recovery is the time to the next finished pack, or to the end of the command.",
        ]

    def _table_of_laws(self, trials: int) -> list[str]:
        lines = ["| after each trial | kept | broken |", "| --- | --- | --- |"]
        for law, says in LAWS.items():
            if law != "script" or self._kept[law] < trials:
                lines.append(f"| {says} | {self._kept[law]} | {trials - self._kept[law]} |")
        return lines


def _left_behind(trial: Trial) -> list[tuple[str, str]]:
    """Return what a trial that has ended left on the machine."""
    problems = []

    def processes() -> dict[int, str]:
        return {pid: name for sweep in trial.sweeps for pid, name in sweep.processes().items()}

    if not trial.poll(lambda: not processes(), LEFT_ALONE):
        problems.append(("no process left", str(processes())))
    files = [*trial.place.out.rglob("*.tmp"), *trial.scratch.glob("ouvae-*")]
    if trial.place.name != "cluster":
        files += (trial.place.folder / "home").glob(".ray")
    theirs = {path for file in trial.untouched for path in (file, *file.parents)}
    if files := [path for path in files if path not in theirs]:
        inside = [str(path) for file in files for path in file.rglob("*")][:20]
        problems.append(("no file left", f"{', '.join(map(str, files))}; in there {inside}"))
    for path, content in trial.untouched.items():
        if not path.is_file() or path.read_bytes() != content:
            problems.append(("others", f"{path} {'was changed' if path.exists() else 'is gone'}"))
    for sweep_id, runs in trial.left_runs.items():
        if trial.place.runs(sweep_id) != runs:
            problems.append(("others", f"the runs of the sweep {sweep_id} that was copied have changed"))
    return problems


def _told(trial: Trial, reference: list[list[dict]] | None) -> list[tuple[str, str]]:
    """Return what is wrong with what a complete trial printed, wrote, and logged."""
    problems = []
    for number, sweep in enumerate(trial.sweeps, start=1):
        if "Traceback" in sweep.output:
            last = [line for line in sweep.output.splitlines() if line.strip()][-1]
            problems.append(("no traceback", f"command {number}: {last}"))
    trial.sweep.out = trial.place.out
    tables = tables_of(trial.place.out)
    for name, ours, theirs in zip(
        ("members", "history", "thresholds"), tables, reference or tables, strict=True
    ):
        if ours != theirs:
            differing = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), None)
            problems.append(("tables", f"{name}: {len(ours)} and {len(theirs)} rows, first {differing}"))
    packs = {row["pack_id"] for row in tables[0]}
    if len(packs) != PACKS:
        problems.append(("tables", f"{len(packs)} packs of {PACKS}"))
    for level, count in (("member", MEMBERS), ("cell", CELLS), ("sweep", 1)):
        statuses = Counter(trial.sweep.statuses(level))
        if statuses != {"FINISHED": count}:
            problems.append(("MLflow", f"{level}: {dict(statuses)}"))
    logged = _logged_members(trial.place)
    if logged != {row["member_id"]: 1 for row in tables[0]}:
        problems.append(("MLflow", f"runs of members: {dict(logged)}"))
    return problems


def _logged_members(place: Place) -> Counter[str]:
    """Return how many runs of the sweep MLflow has of each member."""
    select = (
        "select m.value from runs join tags m using (run_uuid) join tags s using (run_uuid) where "
        "lifecycle_stage = 'active' and m.key = 'member_id' and s.key = 'sweep_id' and s.value = ?"
    )
    with closing(sqlite3.connect(place.store)) as database:
        return Counter(value for (value,) in database.execute(select, (place.sweep_id(),)))


def _tails(trial: Trial, lines: int = 25) -> str:
    """Return the ends of what the last runs printed and of the run's log."""
    parts = [
        f"--- run {len(trial.runs) - i}\n{run.sweep.output}" for i, run in enumerate(trial.runs[::-1][:3])
    ]
    log = trial.place.out / "sweep.log"
    if log.exists():
        parts.append(f"--- {log.name}\n{log.read_text(errors='replace')}")
    return "\n".join("\n".join(part.splitlines()[:1] + part.splitlines()[1:][-lines:]) for part in parts)


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")[:300]


if __name__ == "__main__":
    sys.exit(main())
