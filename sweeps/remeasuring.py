"""A run's members measured anew from their kept weights, for when what is measured has changed."""

from __future__ import annotations

import gc
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from rich.console import Console

import search_spaces
from analysis.tables.schema import Row
from analysis.text.words import plural
from ouvae import NUMERICS_VERSION, TRAINING_VERSION
from ouvae.data import Dataset
from search_spaces import Space
from sweeps import SweepError
from sweeps.driver import NOT_LOGGED, recorded
from sweeps.errors import gist
from sweeps.machine.interrupts import Interrupted, Interrupts
from sweeps.plan.cells import PlannedCell, Point, cell_of_member, plan_cells
from sweeps.plan.data_sets import DataKey, data_key, load_data_sets
from sweeps.plan.packs import Pack
from sweeps.plan.users_code import UsersCode
from sweeps.record.rows import confirmed, measured_anew, with_last_evaluation
from sweeps.record.run_directory import RunDirectory, weights_path
from sweeps.scratch import leave_lost_folder
from sweeps.terminal.progress import Countdown
from sweeps.tracking.recorder import FAILED, OK
from sweeps.tracking.store import check as check_store
from sweeps.tracking.uri import chosen_uri
from sweeps.worker.measuring import Numbers, covered, numbers_at
from sweeps.worker.weights import WeightsError
from sweeps.worker.work import keep_freed_memory

MOST_NAMED = 3
"""Members that a line names, of those that were not measured for one reason."""

_INCOMPLETE = -1
"""In place of an exit code: MLflow's run of a sweep that lacks members becomes KILLED."""


@dataclass(frozen=True)
class Options:
    """Options of the command line.

    Attributes:
        tracking_uri: of the MLflow store; None is that of the environment, or a SQLite file beside the run
            directory.
        data_dir: folder with the data files; None downloads them.
    """

    tracking_uri: str | None = None
    data_dir: Path | None = None


def measure_anew(run: Path, options: Options, console: Console) -> int:
    """Measure the members of a run anew, write its tables, and return the exit code.

    0: all completed members are measured; 1: some are not, or something could not be written; 3: all are, but
    MLflow lacks some of it; 128 and the number of a signal: interrupted.

    Raises:
        DataError: a data set cannot be loaded.
        SpaceError: the run's space cannot be read.
        SweepError: it is no run, is in use, or none of its members can be measured.
    """
    leave_lost_folder(run)
    if not (run / "space.yaml").is_file():
        raise SweepError(f"{run} holds no run: it has no space.yaml; give the folder that a sweep wrote")
    space = search_spaces.load(str(run / "space.yaml"))
    uri = chosen_uri(options.tracking_uri, Path(os.path.abspath(run)).parent)

    def abandon() -> None:
        console.show_cursor(True)

    interrupts = Interrupts(space.grace_seconds, console.print, abandon, done="measured")
    try:
        with interrupts.caught():
            return _Evaluation(space, run, uri, options.data_dir, console, interrupts).run()
    except Interrupted:
        console.print("The evaluation is stopped before any measurement.")
        return interrupts.exit_code


class _Evaluation:
    """One run of the command."""

    def __init__(
        self,
        space: Space,
        run: Path,
        uri: str,
        data_dir: Path | None,
        console: Console,
        interrupts: Interrupts,
    ) -> None:
        self._space, self._uri, self._data_dir = space, uri, data_dir
        self._console, self._interrupts = console, interrupts
        self._directory = RunDirectory(run)
        self._cells: dict[str, PlannedCell] = {}
        self._unusable: dict[str, str] = {}  # why members of a cell cannot be measured, by cell_id
        self._data: dict[DataKey, Dataset] = {}
        self._users_code = UsersCode(())
        self._measured = 0
        self._left: defaultdict[str, list[str]] = defaultdict(list)  # members by what is missing and why

    def run(self) -> int:
        """Check, measure, write, report; return the exit code."""
        directory = self._directory
        with directory.held(self._space):
            for notice in directory.notices:
                self._console.print(notice)
            self._require_weights()
            device = self._require_device()
            self._read_cells()
            check_store(self._uri)
            directory.begin()
            self._interrupts.begin_saving()
            try:
                self._measure_all()
            except SweepError as error:  # a full disk
                self._console.print(f"error: {error}")
                return FAILED
            if self._interrupts.signal is not None:
                return self._interrupted()
            if not self._measured:
                raise SweepError("no member can be measured\n" + "\n".join(self._lines_of_left()))
            return self._finish(device)

    def _require_weights(self) -> None:
        path = self._directory.path
        if not self._directory.members:
            raise SweepError(f"{path} has no finished members; run its sweep first")
        if not any(self._directory.weights.glob("*.safetensors")):
            raise SweepError(
                f"{path} keeps no weights, so that its members cannot be measured anew; train them with "
                "save_weights=last in another --out"
            )

    def _require_device(self) -> str:
        """Return the kind of device that trained the members, which must be here.

        Noise of another kind would give other numbers under the name of this one.
        """
        device = self._directory.device or "cpu"
        if device == "cuda" and not torch.cuda.is_available():
            raise SweepError(
                f"{self._directory.path} holds members that were trained on cuda, and this machine has no "
                "GPU: evaluation noise of cpu and cuda differs; run the command on a machine with a GPU"
            )
        return device

    def _read_cells(self) -> None:
        """Read the cells of the members, load their data sets, and note which cells cannot be measured."""
        rows = self._directory.cell_rows()
        for cell_id, row in rows.items():
            try:
                self._cells[cell_id] = cell_of_member(row)
            except ValueError as error:
                self._unusable[cell_id] = f"this version cannot read the cell {row['cell']}: {gist(error)}"
        cells = [*(planned.cell for planned in self._cells.values()), *self._space.cells()]
        self._data = load_data_sets(cells, self._data_dir)
        self._users_code = UsersCode(cells)
        for cell_id, planned in self._cells.items():
            if reason := self._difference(cell_id, planned):
                self._unusable[cell_id] = reason

    def _difference(self, cell_id: str, planned: PlannedCell) -> str:
        """Return how a cell here differs from the cell that was trained; empty if it does not."""
        if planned.cell_id != cell_id:
            return (
                f"trained by another version of the project; this version, of training version "
                f"{TRAINING_VERSION}, would arrive at other weights"
            )
        data = self._data[data_key(planned.cell)]
        if data.digest != planned.data_digest:
            return (
                f"the data set {planned.cell.dataset} has the digest {data.digest} here, and had "
                f"{planned.data_digest} in training; point --data-dir to the data of then"
            )
        code_digest = self._users_code.digest(planned.cell)
        if code_digest != planned.code_digest:
            return (
                f"the files of its system or data set have the digest {code_digest} here, and had "
                f"{planned.code_digest} in training; put the files of then back"
            )
        return ""

    def _measure_all(self) -> None:
        """Measure pack after pack, those of another numerics version first, until a signal comes."""
        torch.set_num_threads(self._space.cpus_per_pack)
        keep_freed_memory()
        packs: dict[str, list[Row]] = {}
        for row in self._directory.members.values():
            packs.setdefault(row["pack_id"], []).append(row)
        work = {pack_id: len(rows) * self._multiply_adds(rows[0]) for pack_id, rows in packs.items()}
        ordered = sorted(packs, key=lambda pack_id: not _behind(packs[pack_id]))
        members = len(self._directory.members)
        self._console.print(f"{plural(members, 'member')} in {plural(len(packs), 'pack')}")
        countdown = Countdown(self._console, members, sum(work.values()))
        with countdown.shown():
            for pack_id in ordered:
                if self._interrupts.signal is not None:
                    return
                self._measure_pack(pack_id)
                self._users_code.require_unchanged()
                gc.collect()  # a pack holds itself in cycles, on a GPU with gigabytes
                countdown.update(len(packs[pack_id]), work[pack_id])

    def _multiply_adds(self, row: Row) -> int:
        planned = self._cells.get(row["cell_id"])
        return planned.multiply_adds() if planned else 1

    def _measure_pack(self, pack_id: str) -> None:
        """Measure the members of a pack and write their rows, or note why not."""
        members, history = self._directory.pack(pack_id)
        if reason := self._unusable.get(members[0]["cell_id"]):
            self._leave(members, reason)
            return
        points = tuple(Point(row["rho"], row["seed"]) for row in members)
        pack = Pack(self._cells[members[0]["cell_id"]], points)
        if pack.pack_id != pack_id:
            self._leave(members, f"the rows of pack {pack_id} are not those of its members")
            return
        numbers = self._numbers(pack, members)
        anew = [
            confirmed(row) if row["status"] != "completed" else self._row(row, pack, numbers.get(place))
            for place, row in enumerate(members)
        ]
        if anew != members:
            self._directory.replace(pack_id, anew, with_last_evaluation(history, anew))

    def _numbers(self, pack: Pack, members: Sequence[Row]) -> dict[int, Numbers]:
        """Return the numbers of a pack's members by their places; note who has none, and why."""
        completed = {place: row for place, row in enumerate(members) if row["status"] == "completed"}
        numbers: dict[int, Numbers] = {}
        reason, path = "no weights of it are kept", weights_path(self._directory.path, pack.pack_id)
        try:
            if completed and path.is_file():
                data = self._data[data_key(pack.cell.cell)]
                memory = round(self._space.evaluation_gib * 2**30)
                numbers = numbers_at(path, pack, members, data, memory)
                reason = "it is not in the file of its pack's weights"
        except WeightsError as error:
            reason = str(error)
        except Exception as error:  # a pack that cannot be measured stops no other
            reason = f"pack {pack.pack_id}: {type(error).__name__}: {gist(error)}"
        if missing := [row for place, row in completed.items() if place not in numbers]:
            self._leave(missing, reason)
        return numbers

    def _row(self, row: Row, pack: Pack, numbers: Numbers | None) -> Row:
        """Return a completed member's row with the numbers that its weights give; note what is missing."""
        if numbers is None:
            return row
        found, cell = numbers.measured, pack.cell.cell
        bounds = (found.validation["elbo_nats"], found.validation["objective_nats"])
        if not all(map(math.isfinite, bounds)):
            self._leave([row], "its ELBO or objective is not finite at the kept weights")
            return row
        validation, test = covered(cell, numbers.state, row["selected_step"])
        if not (validation or test):
            self._leave([row], "its file does not say whether the weights are the last or the best")
            return row
        if not validation:
            self._leave([row], _NOT_LAST)
        if cell.bound_samples and not test:
            self._leave([row], _NOT_BEST)
        self._measured += 1
        return measured_anew(row, found.validation if validation else None, found.test if test else None)

    def _leave(self, rows: Iterable[Row], reason: str) -> None:
        self._left[reason] += [row["member_id"] for row in rows]

    def _lines_of_left(self) -> list[str]:
        """Return a line for each reason for which members were not measured."""
        lines = []
        for reason, ids in self._left.items():
            more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
            named = ", ".join(ids[:MOST_NAMED])
            lines.append(f"{plural(len(ids), 'member')} not measured ({named}{more}): {reason}")
        return lines

    def _interrupted(self) -> int:
        self._console.print(
            f"{plural(self._measured, 'member')} measured anew; the tables are as before, and the same "
            "command measures the rest first"
        )
        return self._interrupts.exit_code

    def _finish(self, device: str) -> int:
        """Write and log the tables, say what was measured, and return the exit code."""
        space, directory = self._space, self._directory
        with suppress(OSError):  # trials never change; they are made again of the members
            directory.studies.unlink(missing_ok=True)
        cells = plan_cells(space.swept(), lambda cell: self._data[data_key(cell)], device, self._users_code)
        recorder, schedule = recorded(space, cells, directory, self._uri, 1, self._interrupts)
        tables = recorder.write(schedule)
        results = recorder.results(tables)
        complete = OK if schedule.done else _INCOMPLETE
        report = recorder.close(FAILED if directory.failed else complete, self._interrupts, self._console)
        problems = recorder.problems.values()
        self._report(tables, results, problems)
        if not schedule.done:
            self._console.print("the sweep is not complete; its command trains what is missing")
        self._console.print(f"{report}")
        if self._interrupts.signal is not None:
            return self._interrupts.exit_code
        if problems or self._left:
            return FAILED
        return OK if report.complete else NOT_LOGGED

    def _report(self, tables: Mapping[str, pa.Table], results: str, problems: Iterable[str]) -> None:
        path = self._directory.path
        if tables:
            names = ", ".join(f"{name}.parquet" for name in tables)
            self._console.print(f"\n{results}\n\ntables   {path}/: {names}")
        self._console.print(
            f"{plural(self._measured, 'member')} measured anew, numerics version {NUMERICS_VERSION}"
        )
        for line in [*self._lines_of_left(), *problems]:
            self._console.print(f"error: {line}")
        behind = [row for row in self._directory.members.values() if _behind([row])]
        if behind:
            versions = ", ".join(sorted({str(row["numerics_version"]) for row in behind}))
            self._console.print(
                f"{plural(len(behind), 'member')} still of numerics version {versions}: sweeps of this "
                f"version, {NUMERICS_VERSION}, refuse to go on in {path}; train them in another --out, or go "
                "on with the version that made them"
            )


_NOT_LAST = (
    "its metrics on the validation split, which are of the last step: the kept weights are those of the best "
    "validation ELBO (save_weights: best)"
)

_NOT_BEST = (
    "its metrics on the test split, which are of the best validation ELBO (select: best): the kept weights "
    "are those of the last step (save_weights: last)"
)


def _behind(rows: Iterable[Row]) -> bool:
    """Tell whether any of these members is of another numerics version."""
    return any(row["numerics_version"] != NUMERICS_VERSION for row in rows)
