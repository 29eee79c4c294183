"""The run directory: one fragment a finished pack, and the tables made of all fragments.

space.yaml              the space as it was last run
fragments/ID.members.parquet, ID.history.parquet    written once, atomically, when a pack is finished
fragments/merged-ID.…    many of them in one, in their place
fragments/ID.failed.parquet    the members of a pack that was given up; tried again by the next sweep
checkpoints/ID.pt       the state of a pack in training
weights/ID.safetensors  the trained weights of a pack, where they are kept
sweep.log               what Ray and failed packs had to say
.reserve, .reserve.N    room for the last fragments and tables when the disk is full, in bytes and in files
studies.log             the searches, as Optuna studies
{members,history,thresholds,comparisons,costs}.parquet, figures/, report.html    what is read and made of it
.sweep_id, .origin, .lock    who the sweep is, where its directory was made, and that it runs

Every file that a number is read from carries a digest, which is checked whenever the file is read.
"""

import errno
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from analysis import TableError
from analysis.statistics.rule import Rules
from analysis.statistics.summary import Summary
from analysis.tables.files import DamagedError, check_settings, read_table, rows_of, table_of, write_table
from analysis.tables.replacing import replacing
from analysis.tables.schema import COSTS, HISTORY, MEMBERS, Row
from analysis.tables.seal import BLANK, sealed
from ouvae import NUMERICS_VERSION, TRAINING_VERSION
from ouvae.declared import METRICS, ORDER_PARAMETERS, TEST_METRICS, CellKeys, curve_value, keys_of, labels
from search_spaces import Space, SpaceError, read_yaml_mapping
from sweeps import SweepError
from sweeps.plan.cells import PlannedCell, Point
from sweeps.record.fragments import Fragment
from sweeps.record.holding import HeldError, Holding
from sweeps.record.identity import ORIGIN, SWEEP_ID, identify
from sweeps.search.base import Observations

LEAST_FREE_BYTES = 64_000_000
"""A sweep does not start with less room than this for its tables and checkpoints."""

WEIGHTS_FOLDER = "weights"
"""Where trained weights are in a run, where they are kept."""

MERGED_PACKS = 64
"""Packs whose fragments become one: a file takes milliseconds to open, whatever is in it."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)

_KNOWN = (
    *("member_id", "cell_id", "cell", "pack_id", "rho", "seed", "status"),
    *("dataset", "system", "device", "data_digest", "code_digest", "numerics_version"),
    *(order.metric for order in ORDER_PARAMETERS.values()),
)
"""Columns of a member that are at hand in Python; a sweep of 100,000 has no room for all."""

_RESULTS = (
    *("member_id", "rho", "seed", "status", "diverged_at_step", "numerics_version"),
    *(metric.name for metric in (*METRICS, *TEST_METRICS)),
)
"""Columns in which two rows of the same member agree, whenever and in whichever pack it was trained."""

_WRITTEN = {
    "": r"(space\.yaml|\.sweep_id|\.origin|\.reserve[.\d]*|report\.html|[a-z_]+\.parquet)",
    "fragments": r"[^.]+\.(members|history|failed)\.parquet",
    "checkpoints": r"[^.]+\.pt",
    "weights": r"[^.]+\.safetensors",
    "figures": r"[^.].*",
}
"""Patterns of the files that are written aside first, by their folder."""


class DiskFullError(SweepError):
    """There is no room for more; what was to be written is written, in the room that was kept for it."""


def is_of_disk(error: BaseException) -> bool:
    """Tell whether the disk takes nothing more: it is full, or has become read-only."""
    return isinstance(error, DiskFullError) or _has_cause(error, (*_FULL, errno.EROFS))


def weights_path(run: Path, pack_id: str) -> Path:
    """Return the file of a pack's trained weights in a run."""
    return run / WEIGHTS_FOLDER / f"{pack_id}.safetensors"


class RunDirectory:
    """A run directory, held by one driver at a time.

    A directory belongs to one space. Running the space again with more cells, rho or seeds, another
    search or another threshold adds to it; a change of what all cells share would mix curves that do not
    belong together, and is refused.

    Attributes:
        path: the folder.
        members: of each finished member, by its id, what searches, studies and checks ask for.
        failed: rows of the members that were given up.
        notices: lines for whoever runs the sweep.
        sweep_id: who the sweep is.
    """

    def __init__(self, path: Path) -> None:
        """Name the directory; `opened` makes and holds it."""
        self.path = path
        self.members: dict[str, Row] = {}
        self.failed: dict[str, Row] = {}
        self.notices: list[str] = []
        self.sweep_id = ""
        self._observed: defaultdict[str, dict[Point, float | None]] = defaultdict(dict)  # by cell_id
        self._fragments = path / "fragments"
        self._tables: dict[str, tuple[pa.Table, pa.Table]] = {}  # members and history, by fragment
        self._loose: list[str] = []  # fragments of a single pack
        self._holding = Holding(path, (self.log.name, self.studies.name))
        self._begun = False
        self._untidy: list[Callable[[], object]] = []  # what is due once nothing refuses the run

    @property
    def checkpoints(self) -> Path:
        """The folder of the packs' states."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The folder of the packs' trained weights."""
        return self.path / WEIGHTS_FOLDER

    @property
    def log(self) -> Path:
        """The file for what is too long for the terminal."""
        return self.path / "sweep.log"

    def note(self, text: str) -> None:
        """Append to the log; where that is impossible nothing else is lost."""
        with suppress(OSError), self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            print(text, file=log)

    @property
    def costs(self) -> Path:
        """The table of costs, where they are measured."""
        return self.path / "costs.parquet"

    @property
    def studies(self) -> Path:
        """The journal of the Optuna studies."""
        return self.path / "studies.log"

    @contextmanager
    def opened(self, space: Space) -> Iterator[None]:
        """Hold the directory for `space` and begin. Raises as `held` and `begin`."""
        with self.held(space):
            self.begin()
            yield

    @contextmanager
    def held(self, space: Space) -> Iterator[None]:
        """Hold the directory for `space`: check it, and read what is finished.

        Nothing in it changes until `begin`: a run that is refused leaves it as it was.

        Raises:
            SweepError: the directory cannot be written, is held by another driver, holds another space, an
                unreadable fragment, or two results of one member.
            TableError: its settings were changed.
        """
        self._space, self._target = space, ORDER_PARAMETERS[space.follow].metric
        with self._locked():
            self._check_space()
            self._read_fragments()
            self._check_costs()
            yield

    def begin(self) -> None:
        """Write settings and identity, tidy up, and keep room: from now on the run belongs to its space.

        Raises:
            SweepError: the directory cannot be written.
        """
        holding, keeps_weights = self._holding, self._space.save_weights != "none"
        self._begun = True
        try:
            for folder in (self._fragments, self.checkpoints, *[self.weights] * keeps_weights):
                holding.make(folder)
            for name in ("space.yaml", SWEEP_ID, ORIGIN):
                holding.claim(self.path / name)
            holding.reserve()
            self._write_space()
            self.sweep_id, original = identify(self.path)
        except (OSError, TableError) as error:
            raise self._unwritable(error) from None
        if original is not None:
            self.notices.append(f"{self.path} is a copy of {original}: it gets a sweep of its own in MLflow")
        finished = {row["pack_id"] for row in self.members.values()}
        for path in self.checkpoints.glob("*.pt"):
            if path.stem in finished:  # a kill came between the fragment and the removal of the state
                self.drop_checkpoint(path.stem)
        for tidy in self._untidy:
            with suppress(OSError):  # the next run tries again
                tidy()
        holding.clear_leftovers(_WRITTEN)

    def require_like(self, cells: Sequence[PlannedCell]) -> None:
        """Refuse to mix members of another device, data, code or numerics with those that are there.

        Args:
            cells: of the space.

        Raises:
            SweepError: naming what differs.
        """
        alike: dict[str, tuple[tuple[str, ...], str]] = {
            "device": ((), "set device to what is there"),
            "data_digest": (("dataset",), "point --data-dir to the data of then"),
            "code_digest": (
                ("dataset", "system"),
                "put the files of then back, those beside the modules included,",
            ),
        }
        if old := {row["numerics_version"] for row in self.members.values()} - {NUMERICS_VERSION}:
            measure = f"measure its weights anew with ouvae-evaluate {self.path}, "
            raise SweepError(
                f"{self.path} holds members of numerics version {', '.join(map(str, sorted(old)))}, and this "
                f"version trains others, {NUMERICS_VERSION}: one curve would mix them; "
                f"{measure * self._can_be_measured(old)}give another --out, or go on with the version that "
                "made them"
            )
        for key, (shared, mend) in alike.items():
            allowed: dict[tuple[str, ...], set[str]] = {}
            for cell in cells:
                allowed.setdefault(_picked(dict(cell.cell), shared), set()).add(str(getattr(cell, key)))
            for row in self.members.values():
                own = allowed.get(_picked(row, shared))
                if own is not None and str(row[key]) not in own:
                    raise SweepError(
                        f"{self.path} holds members with {key} {row[key]}, this sweep has "
                        f"{', '.join(sorted(own))}: one curve would mix them; {mend} or give another --out"
                    )

    def _can_be_measured(self, versions: set[int]) -> bool:
        """Tell whether weights are kept that this version would train too, of members of those versions."""
        same_training = min(versions) >= TRAINING_VERSION and max(versions) <= NUMERICS_VERSION
        return same_training and any(self.weights.glob("*.safetensors"))

    @property
    def device(self) -> str | None:
        """Where the members that are there were trained, by one of them."""
        return next((str(row["device"]) for row in self.members.values()), None)

    def observed(self, cell: PlannedCell) -> Observations:
        """Return the observations of a cell's members, which follow what is added.

        A member that failed permanently is lost, until a run of the same sweep tries it again.
        """
        return self._observed[cell.cell_id]

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Return all rows of finished members, and those of their histories."""
        return rows_of(self._all_members()), rows_of(self._all_history())

    def cell_rows(self) -> dict[str, Row]:
        """Return the first member's row of each cell, by the cell's id."""
        members = self._all_members()
        first = _firsts(members)
        return dict(zip(first, rows_of(members.take(list(first.values()))), strict=True))

    def pack(self, pack_id: str) -> tuple[list[Row], list[Row]]:
        """Return the rows of a finished pack's members, in their order, and of their histories."""
        members, history = self._tables[self._fragment_with(pack_id)]
        members = members.filter(pc.equal(members["pack_id"], pack_id))
        return rows_of(members), rows_of(history.filter(_of_members(history, members)))

    def replace(self, pack_id: str, members: Sequence[Row], history: Sequence[Row]) -> None:
        """Write other rows in place of those of a finished pack.

        A kill between the two files leaves the other history with the members of before.

        Raises:
            SweepError: they cannot be written.
            TableError: a row lacks a column, or has what is none.
        """
        fragment = self._fragment_with(pack_id)
        tables = dict(zip(("members", "history"), self._tables[fragment], strict=True))
        of_pack = pc.equal(tables["members"]["pack_id"], pack_id)
        of_members = _of_members(tables["history"], tables["members"].filter(of_pack))
        tables["history"] = _with_rows(tables["history"], of_members, table_of(history, HISTORY))
        tables["members"] = _with_rows(tables["members"], of_pack, table_of(members, MEMBERS))
        for kind in ("history", "members"):
            try:
                write_table(tables[kind], self._fragment(fragment, kind))
            except TableError as error:
                raise SweepError(
                    f"the measured pack {pack_id} could not be written: {error}; {self._mend(error)}"
                ) from error
        self._take(fragment, tables["members"], tables["history"])

    def add(self, pack_id: str, fragment: Fragment) -> None:
        """Write a finished pack; it counts as finished once its members' file is in place.

        Raises:
            DiskFullError: the disk is full; the pack is written all the same, in the room kept for it.
            SweepError: it cannot be written.
        """
        full = self._write(pack_id, {"history": fragment.history, "members": fragment.members})
        self._take(pack_id, fragment.members, fragment.history)
        self._loose.append(pack_id)
        self.drop_checkpoint(pack_id)
        if full is not None:
            raise full
        if len(self._loose) % MERGED_PACKS == 0:
            self._merge()

    def add_failed(self, pack_id: str, fragment: Fragment) -> None:
        """Write the members of a pack that failed permanently. Raises as `add`."""
        full = self._write(pack_id, {"failed": fragment.members})
        for row in rows_of(fragment.members):
            self.failed[row["member_id"]] = row
            self._observed[row["cell_id"]][Point(row["rho"], row["seed"])] = None
        if full is not None:
            raise full

    def keep_failed(self, is_wanted: Callable[[Row], bool]) -> None:
        """Forget the failed members that are not wanted any more: nothing would try them again.

        Raises:
            SweepError: the file of a pack in which others are wanted cannot be written.
        """
        self.failed = {member_id: row for member_id, row in self.failed.items() if is_wanted(row)}
        kept: dict[str, list[Row]] = {}
        for row in self.failed.values():
            kept.setdefault(row["pack_id"], []).append(row)
        for path in self._files("failed"):
            pack_id = path.name.removesuffix(".failed.parquet")
            if pack_id not in kept:
                path.unlink(missing_ok=True)
            elif len(kept[pack_id]) < pq.read_metadata(path).num_rows:
                self._write(pack_id, {"failed": table_of(kept[pack_id], MEMBERS)})

    def drop_checkpoint(self, pack_id: str) -> None:
        """Remove the state of a pack that is not trained any more."""
        with suppress(OSError):
            (self.checkpoints / f"{pack_id}.pt").unlink(missing_ok=True)

    def _write(self, pack_id: str, tables: Mapping[str, pa.Table]) -> SweepError | None:
        """Write fragments of a pack; return the error of a full disk if the reserve was needed for it."""
        full: SweepError | None = None
        self._follow()
        for name, table in tables.items():
            path = self._fragment(pack_id, name)
            try:
                if cause := self._write_in_reserve(table, path):
                    full = DiskFullError(
                        f"the disk is full: {cause}; all that is trained is written; make room in "
                        f"{self.path} and run the same command again: it trains what is missing"
                    )
            except TableError as error:
                raise SweepError(
                    f"the finished pack {pack_id} could not be written: {error}; "
                    f"{self._mend(error)}: it goes on from the packs that are written"
                ) from error
        return full

    def _follow(self) -> None:
        """Go on in the directory where it was moved to: a second one would have half of the results."""
        if moved := self._holding.follow():
            self.path, self._fragments = moved, moved / "fragments"
            self.note(f"the run directory was moved to {moved}")

    def _write_in_reserve(self, table: pa.Table, path: Path) -> TableError | None:
        """Write a table; on a full disk, in the room that was kept for it, and return the disk's error.

        Raises:
            TableError: it cannot be written.
        """
        try:
            write_table(table, path)
        except TableError as error:
            if not _has_cause(error, _FULL):
                raise
            self._holding.release()
            write_table(table, path)
            return error
        return None

    def write_tables(
        self, cell_ids: Sequence[str], rules: Rules, compared: bool = True
    ) -> dict[str, pa.Table]:
        """Write and return members, history, thresholds and comparisons by name, made of all fragments.

        Rows go by cell, seed, rho and step, however packs finished. Members and history are written before
        anything is estimated from them.

        Args:
            cell_ids: of the space's cells in their order; others come after them.
            rules: of the thresholds.
            compared: whether comparisons are among them: cells have as many pairs as their number squared.
                Tables with comparisons are the last, and may take the room that is kept for a full disk.
        """
        order = {cell_id: index for index, cell_id in enumerate(cell_ids)}
        self._follow()
        failed = table_of(list(self.failed.values()), MEMBERS)
        members = _named(pa.concat_tables([self._all_members(), failed]))
        places = pa.array([order.get(cell_id, len(order)) for cell_id in members["cell_id"].to_pylist()])
        members = _ordered(members, places, ("cell_id", "seed", "rho"))
        history = self._all_history()
        places = pc.index_in(history["member_id"], value_set=members["member_id"].combine_chunks())
        history = _ordered(history, places, ("step",))
        tables: dict[str, pa.Table] = {}

        def write(name: str, table: pa.Table) -> None:
            (self._write_in_reserve if compared else write_table)(table, self.path / f"{name}.parquet")
            tables[name] = table

        write("history", history)
        write("members", members)
        summary = Summary(members, rules)
        write("thresholds", summary.thresholds)
        if compared:
            write("comparisons", summary.comparisons)
        return tables

    def _all_members(self) -> pa.Table:
        return pa.concat_tables([MEMBERS.empty_table(), *(members for members, _ in self._tables.values())])

    def _all_history(self) -> pa.Table:
        return pa.concat_tables([HISTORY.empty_table(), *(history for _, history in self._tables.values())])

    def _fragment_with(self, pack_id: str) -> str:
        """Return the name of the fragment that holds a pack."""
        if pack_id in self._tables:
            return pack_id
        packs = ((name, members["pack_id"]) for name, (members, _) in self._tables.items())
        return next(name for name, ids in packs if pc.index(ids, pack_id).as_py() >= 0)

    def _take(self, fragment: str, members: pa.Table, history: pa.Table) -> None:
        """Know what is in a fragment."""
        self._tables[fragment] = (members, history)
        for row in members.select(_KNOWN).to_pylist():
            self.members[row["member_id"]] = row
            self._observed[row["cell_id"]][Point(row["rho"], row["seed"])] = curve_value(row, self._target)
            self.failed.pop(row["member_id"], None)

    def _merge(self) -> None:
        """Put the fragments of single packs into one; where there is no room for it they stay.

        Its members come last, as those of a pack do, and go first of the ones that it stands for: a kill in
        between leaves both, or a history alone, which counts as nothing.
        """
        merged = f"merged-{hashlib.sha256(' '.join(self._loose).encode()).hexdigest()[:16]}"
        parts = zip(*(self._tables[pack_id] for pack_id in self._loose), strict=True)
        members, history = (pa.concat_tables(part).combine_chunks() for part in parts)
        with suppress(TableError):
            write_table(history, self._fragment(merged, "history"))
            write_table(members, self._fragment(merged, "members"))
            self._tables[merged] = (members, history)
            for pack_id in self._loose:
                del self._tables[pack_id]
                self._remove(pack_id)
            self._loose.clear()

    def _fragment(self, name: str, kind: str) -> Path:
        return self._fragments / f"{name}.{kind}.parquet"

    def _remove(self, pack_id: str) -> None:
        with suppress(OSError):  # what stays is the same once more
            for kind in ("members", "history"):
                self._fragment(pack_id, kind).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the directory; remove what was made in it for a run that was refused or trained nothing."""
        holding = self._holding
        try:
            lock = holding.lock()
        except HeldError:
            raise SweepError(
                f"{self.path} is in use by another sweep or evaluation; wait for its end, or give a "
                "sweep another --out"
            ) from None
        except OSError as error:
            raise self._unwritable(error) from None
        with lock:
            try:
                self._check_writable()
                self.notices += holding.notices
                yield
            except BaseException as error:
                if self._begun:
                    holding.release()
                if not (self._begun and self._has_trained()):
                    holding.unmake(str(error))
                raise
            holding.release()

    def _check_writable(self) -> None:
        self._check_kinds()
        try:
            self._holding.check_writable(LEAST_FREE_BYTES)
        except OSError as error:
            raise self._unwritable(error) from None

    def _check_kinds(self) -> None:
        """Refuse a folder in place of a file, and the reverse; a pipe would be waited for."""
        for name, pattern in _WRITTEN.items():
            folder = self.path / name
            files = [path for path in folder.glob("*") if re.fullmatch(pattern, path.name) and path.exists()]
            wrong = [path for path in files if not path.is_file()]
            if wrong or (folder.exists() and not folder.is_dir()):
                kind, path = ("file", wrong[0]) if wrong else ("folder", folder)
                raise SweepError(
                    f"{path} is no {kind}, and a run has one there; move it away, or give another --out"
                )

    def _has_trained(self) -> bool:
        return bool(self.members or self.failed or any(self.checkpoints.glob("*.pt")))

    def _read_fragments(self) -> None:
        """Read what is finished, and what failed permanently; note which fragments to set aside or remove."""
        names = [path.name.removesuffix(".members.parquet") for path in self._files("members")]
        for name in sorted(names, key=lambda name: (not name.startswith("merged-"), name)):
            self._take_fragment(name)
        for path in self._files("failed"):
            try:
                rows = rows_of(_read_fragment(path, MEMBERS))
            except DamagedError:
                self._set_aside([path], [path], "its members failed, and are tried again")
                continue
            left = {row["member_id"]: row for row in rows if row["member_id"] not in self.members}
            self.failed.update(left)
            if not left:
                self._untidy.append(partial(path.unlink, missing_ok=True))

    def _take_fragment(self, name: str) -> None:
        """Take the members of a fragment that no earlier fragment has."""
        files = [self._fragment(name, kind) for kind in ("members", "history")]
        tables, damaged = [], []
        for file, schema in zip(files, (MEMBERS, HISTORY), strict=True):
            try:
                tables.append(_read_fragment(file, schema))
            except DamagedError:
                damaged.append(file)
        if not damaged and not pc.all(_of_members(tables[1], tables[0]), min_count=0).as_py():
            damaged = files[1:]  # the history of another fragment
        if damaged:
            self._set_aside(files, damaged, "members that no other fragment has are trained anew")
            return
        members, history = tables
        repeated = pa.array(
            [member in self.members for member in members["member_id"].to_pylist()], pa.bool_()
        )
        if repeated.true_count:
            holders = self._check_repeated(name, members.filter(repeated))
            new = members.filter(pc.invert(repeated))
            if not len(new):
                is_own = members["pack_id"].unique().to_pylist() == [name]
                if is_own and all(holder.startswith("merged-") for holder in holders):
                    self._untidy.append(partial(self._remove, name))  # a kill came before its removal
                return
            members, history = new, history.filter(_of_members(history, new))
        self._take(name, members, history)
        if not name.startswith("merged-"):
            self._loose.append(name)

    def _files(self, kind: str) -> list[Path]:
        """Return the fragments of a kind; names with more dots are not of this project."""
        return sorted(path for path in self._fragments.glob(f"*.{kind}.parquet") if path.name.count(".") == 2)

    def _check_repeated(self, name: str, members: pa.Table) -> set[str]:
        """Return the earlier fragments that have these members; refuse members with other results there."""
        rows = {row["member_id"]: row for row in members.select(_RESULTS).to_pylist()}
        ids, holders = pa.array(list(rows), pa.string()), set()
        for holder, (table, _) in self._tables.items():
            held = table.filter(pc.is_in(table["member_id"], value_set=ids)).select(_RESULTS)
            for row in held.to_pylist():
                holders.add(holder)
                other = rows[row["member_id"]]
                if differing := [key for key in _RESULTS if repr(row[key]) != repr(other[key])]:
                    key = differing[0]
                    first, second = self._fragment(holder, "members"), self._fragment(name, "members").name
                    raise SweepError(
                        f"{first} and {second} hold member {row['member_id']} with different results "
                        f"({key} '{row[key]}' and '{other[key]}'), so that one of them is of another run; "
                        "move its members and history files out of the folder, and run the same command again"
                    )
        return holders

    def _check_costs(self) -> None:
        """Set costs aside that cannot be read; they are measured anew."""
        if self.costs.exists():
            try:
                read_table(self.costs, COSTS)
            except TableError:
                self._set_aside([self.costs], [self.costs], "costs are measured anew")

    def _set_aside(self, files: Sequence[Path], damaged: Sequence[Path], consequence: str) -> None:
        """Note that files are set aside as .bad, since some of them are damaged."""
        names = " and ".join(file.name for file in damaged)
        self.notices.append(f"{names} cut, changed or missing, and set aside as .bad; {consequence}")
        self._untidy += [partial(_rename_bad, file) for file in files]

    def _check_space(self) -> None:
        """Refuse a space that does not belong to the members that are there."""
        path, space = self.path / "space.yaml", self._space
        if not path.exists():
            return
        held = {"name": None} | _neutral() | _read_space(path)
        wanted = {"name": space.name, **space.shared()}
        conflicts = [
            f"{key}: {held.get(key)!r} there, {value!r} now"
            for key, value in wanted.items()
            if held.get(key) != value
        ]
        if conflicts:
            raise SweepError(
                f"{self.path} holds a sweep of a space that conflicts with this one\n  "
                + "\n  ".join(conflicts)
                + "\n  give another --out, or set these keys as they are there"
            )

    def _write_space(self) -> None:
        text = yaml.safe_dump(self._space.model_dump(mode="json"), sort_keys=False)
        with replacing(self.path / "space.yaml") as file:
            file.write(sealed(b"# " + BLANK + b"\n" + text.encode()))  # first: a cut file has it still

    def _mend(self, error: BaseException) -> str:
        """Return what to do about a file that could not be written, and run the same command again."""
        if _has_cause(error, _FULL):
            return f"make room in {self.path}, and run the same command again"
        if _has_cause(error, _NOT_WRITABLE):
            return f"make {self.path} writable, and run the same command again"
        return "run the same command again"

    def _unwritable(self, error: Exception) -> SweepError:
        return SweepError(
            f"cannot write to the output directory {self.path}: {error}; "
            "free some space or give a writable --out"
        )


def _rename_bad(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.replace(path, path.with_name(f"{path.name}.bad"))


def _has_cause(error: BaseException, numbers: tuple[int, ...]) -> bool:
    """Tell whether an error is, or was raised from, an error of the system with one of these numbers."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return cause is not None and cause.errno in numbers


def _firsts(members: pa.Table) -> dict[str, int]:
    """Return the place of the first member of each cell, by the cell's id."""
    first: dict[str, int] = {}
    for row, cell_id in enumerate(members["cell_id"].to_pylist()):
        first.setdefault(cell_id, row)
    return first


def _of_members(history: pa.Table, members: pa.Table) -> pa.ChunkedArray:
    """Return which rows of a history are of these members."""
    return pc.is_in(history["member_id"], value_set=members["member_id"].combine_chunks())


def _with_rows(table: pa.Table, replaced: pa.ChunkedArray, rows: pa.Table) -> pa.Table:
    """Return a table with other rows, as many, at the places of those that are replaced."""
    places = np.arange(len(table))
    places[replaced.to_numpy()] = len(table) + np.arange(len(rows))
    return pa.concat_tables([table, rows]).take(places).combine_chunks()


def _named(members: pa.Table) -> pa.Table:
    """Return members with the names of their cells, which tell all of these apart."""
    first = _firsts(members)
    cells = pa.array(list(first), pa.string())
    names = pa.array(labels(rows_of(members.take(list(first.values())))), pa.string())
    named = names.take(pc.index_in(members["cell_id"].combine_chunks(), value_set=cells))
    return members.set_column(members.schema.get_field_index("cell"), members.schema.field("cell"), named)


def _ordered(table: pa.Table, places: pa.Array | pa.ChunkedArray, keys: Sequence[str]) -> pa.Table:
    """Return a table's rows in increasing order of their places and, where these are equal, of columns."""
    by = pa.table({"place": places} | {key: table[key] for key in keys})
    return table.take(pc.sort_indices(by, sort_keys=[(key, "ascending") for key in by.column_names]))


def _picked(row: Row, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(row[key] for key in keys)


def _neutral() -> dict[str, Any]:
    """Return the neutral values of keys, which hold for a run that is older than the key."""
    return {name: key.neutral for name, key in keys_of(CellKeys).items() if key.has_neutral}


def _read_space(path: Path) -> dict[str, Any]:
    try:
        check_settings(path)
        return read_yaml_mapping(path)
    except (SpaceError, OSError) as error:
        raise SweepError(f"{path} cannot be read: {error}; delete it or give another --out") from None


def _read_fragment(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        return read_table(path, schema)
    except DamagedError:
        raise
    except TableError as error:
        raise SweepError(
            f"{error}\ngive another --out, or delete {path} and its twin: their members are then trained anew"
        ) from None
