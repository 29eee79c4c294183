"""Fragments: the results of packs as two tables each, and their files."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis import TableError
from analysis.tables.files import DamagedError, read_table, rows_of, table_of, write_table
from analysis.tables.schema import HISTORY, MEMBERS, Row
from ouvae.declared import METRICS, TEST_METRICS
from sweeps.errors import SweepError
from sweeps.record.directory import RunDirectory

MERGED_PACKS = 64
"""Packs whose fragments are merged into one: opening a file takes milliseconds, whatever is in it."""

MERGED = "merged-"
"""Prefix of the names of merged fragments. Other names are the ids of packs."""

_RESULTS = (
    *("member_id", "value", "seed", "status", "diverged_at_step", "numerics_version"),
    *(metric.name for metric in (*METRICS, *TEST_METRICS)),
)
"""Columns in which two rows of a member agree, whenever and in whichever pack it was trained."""


@dataclass(frozen=True)
class Fragment:
    """The results of packs, finished or failed permanently."""

    members: pa.Table
    history: pa.Table

    def of(self, mask: pa.ChunkedArray) -> "Fragment":
        """Return the part with these members, a mask over `members`."""
        members = self.members.filter(mask)
        return Fragment(members, self.history.filter(_of_members(self.history, members)))

    def pack(self, pack_id: str) -> "Fragment":
        """Return the part with the members of a pack."""
        return self.of(pc.equal(self.members["pack_id"], pack_id))


def joined(fragments: Iterable[Fragment]) -> Fragment:
    """Return fragments as one."""
    parts = list(fragments)
    members = [MEMBERS.empty_table(), *(part.members for part in parts)]
    return Fragment(
        pa.concat_tables(members),
        pa.concat_tables([HISTORY.empty_table(), *(part.history for part in parts)]),
    )


class Fragments:
    """The fragments of a run; each member is in one of them.

    Args:
        run: the directory, held.

    Attributes:
        by_name: the fragments by name.
    """

    def __init__(self, run: RunDirectory) -> None:
        """Hold nothing yet; see `read`."""
        self._run = run
        self.by_name: dict[str, Fragment] = {}
        self._unmerged: list[str] = []
        self._ids: set[str] = set()

    def with_pack(self, pack_id: str) -> str:
        """Return the name of the fragment that holds a pack."""
        if pack_id in self.by_name:
            return pack_id
        packs = ((name, fragment.members["pack_id"]) for name, fragment in self.by_name.items())
        return next(name for name, ids in packs if pc.index(ids, pack_id).as_py() >= 0)

    def read(self) -> None:
        """Read the finished packs. Damaged files are set aside, and repeated ones removed, in `begin`.

        Raises:
            SweepError: a fragment cannot be read, or two hold a member with different results.
        """
        names = [path.name.removesuffix(".members.parquet") for path in self._run.fragment_files("members")]
        for name in sorted(names, key=lambda name: (not name.startswith(MERGED), name)):
            if (fragment := self._read(name)) is not None:
                self._hold(name, fragment)

    def add(self, pack_id: str, fragment: Fragment) -> TableError | None:
        """Write a finished pack: history first, members last. Returns the error of a full disk.

        The pack counts as finished once the members' file is in place.

        Raises:
            SweepError: it cannot be written.
        """
        full = self._write(pack_id, {"history": fragment.history, "members": fragment.members})
        self._hold(pack_id, fragment)
        return full

    def join(self, fragment: Fragment) -> TableError | None:
        """Write members of another run. Returns and raises as `add`."""
        return self.add(_merged_name(fragment.members["member_id"].to_pylist()), fragment)

    def merge(self) -> None:
        """Merge the fragments of single packs when there are enough of them and there is room.

        Members are written last and deleted first. A kill in between leaves both fragments, or a history
        without members, which does not count.
        """
        if not self._unmerged or len(self._unmerged) % MERGED_PACKS:
            return
        name = _merged_name(self._unmerged)
        merged = joined(self.by_name[pack_id] for pack_id in self._unmerged)
        merged = Fragment(merged.members.combine_chunks(), merged.history.combine_chunks())
        with suppress(TableError):
            write_table(merged.history, self._run.fragment(name, "history"))
            write_table(merged.members, self._run.fragment(name, "members"))
            self.by_name[name] = merged
            for pack_id in self._unmerged:
                del self.by_name[pack_id]
                self._remove(pack_id)
            self._unmerged.clear()

    def replace(self, pack_id: str, part: Fragment) -> None:
        """Write other rows, as many, in place of the rows of a finished pack.

        A kill between the two files leaves the new history with the old members.

        Raises:
            SweepError: they cannot be written.
        """
        name = self.with_pack(pack_id)
        members, history = self.by_name[name].members, self.by_name[name].history
        of_pack = pc.equal(members["pack_id"], pack_id)
        of_members = _of_members(history, members.filter(of_pack))
        new = Fragment(
            _with_rows(members, of_pack, part.members), _with_rows(history, of_members, part.history)
        )
        try:
            write_table(new.history, self._run.fragment(name, "history"))
            write_table(new.members, self._run.fragment(name, "members"))
        except TableError as error:
            raise SweepError(
                f"the measured pack {pack_id} could not be written: {error}; {self._run.mend(error)}"
            ) from error
        self.by_name[name] = new

    def read_failed(self) -> list[Row]:
        """Return the members that failed permanently and are not finished. Raises as `read`."""
        failed: list[Row] = []
        for path in self._run.fragment_files("failed"):
            try:
                rows = rows_of(_read_table(path, MEMBERS))
            except DamagedError:
                self._run.set_aside([path], [path], "its members failed, and are tried again")
                continue
            left = [row for row in rows if row["member_id"] not in self._ids]
            failed += left
            if not left:
                self._run.at_begin(partial(path.unlink, missing_ok=True))
        return failed

    def add_failed(self, pack_id: str, members: pa.Table) -> TableError | None:
        """Write the members of a pack that failed permanently. Returns and raises as `add`."""
        return self._write(pack_id, {"failed": members})

    def keep_failed(self, rows: Iterable[Row]) -> None:
        """Remove the failed members without these from the files. Raises SweepError as `add`."""
        kept: dict[str, list[Row]] = {}
        for row in rows:
            kept.setdefault(row["pack_id"], []).append(row)
        for path in self._run.fragment_files("failed"):
            pack_id = path.name.removesuffix(".failed.parquet")
            if pack_id not in kept:
                path.unlink(missing_ok=True)
            elif len(kept[pack_id]) < pq.read_metadata(path).num_rows:
                self.add_failed(pack_id, table_of(kept[pack_id], MEMBERS))

    def _hold(self, name: str, fragment: Fragment) -> None:
        self.by_name[name] = fragment
        self._ids.update(fragment.members["member_id"].to_pylist())
        if not name.startswith(MERGED):
            self._unmerged.append(name)

    def _write(self, pack_id: str, tables: Mapping[str, pa.Table]) -> TableError | None:
        """Write the files of a fragment; return the error of a full disk if the reserve was needed."""
        full: TableError | None = None
        self._run.follow()
        for kind, table in tables.items():
            try:
                full = self._run.write(table, self._run.fragment(pack_id, kind)) or full
            except TableError as error:
                raise SweepError(
                    f"the finished pack {pack_id} could not be written: {error}; "
                    f"{self._run.mend(error)}: it goes on from the packs that are written"
                ) from error
        return full

    def _read(self, name: str) -> Fragment | None:
        """Return the part of a fragment with members that no earlier fragment has; None without any."""
        files = [self._run.fragment(name, kind) for kind in ("members", "history")]
        tables, damaged = [], []
        for file, schema in zip(files, (MEMBERS, HISTORY), strict=True):
            try:
                tables.append(_read_table(file, schema))
            except DamagedError:
                damaged.append(file)
        if not damaged and not pc.all(_of_members(tables[1], tables[0]), min_count=0).as_py():
            damaged = files[1:]  # the history of another fragment
        if damaged:
            self._run.set_aside(files, damaged, "members that no other fragment has are trained anew")
            return None
        fragment = Fragment(*tables)
        repeated = pa.array(
            [member in self._ids for member in tables[0]["member_id"].to_pylist()], pa.bool_()
        )
        if not repeated.true_count:
            return fragment
        holders = self._check_repeated(name, tables[0].filter(repeated))
        if repeated.true_count < len(repeated):
            return fragment.of(pc.invert(repeated))
        of_its_pack = tables[0]["pack_id"].unique().to_pylist() == [name]
        if of_its_pack and all(holder.startswith(MERGED) for holder in holders):
            self._run.at_begin(partial(self._remove, name))  # a kill came before its removal
        return None

    def _check_repeated(self, name: str, members: pa.Table) -> set[str]:
        """Return the earlier fragments that have these members; refuse members with other results there."""
        rows = {row["member_id"]: row for row in members.select(_RESULTS).to_pylist()}
        ids, holders = pa.array(list(rows), pa.string()), set()
        for holder, fragment in self.by_name.items():
            mask = pc.is_in(fragment.members["member_id"], value_set=ids)
            for row in fragment.members.filter(mask).select(_RESULTS).to_pylist():
                holders.add(holder)
                other = rows[row["member_id"]]
                if differing := [key for key in _RESULTS if repr(row[key]) != repr(other[key])]:
                    key = differing[0]
                    first, second = (self._run.fragment(place, "members") for place in (holder, name))
                    raise SweepError(
                        f"{first} and {second.name} hold member {row['member_id']} with different results "
                        f"({key} '{row[key]}' and '{other[key]}'), so that one of them is of another run; "
                        "move its members and history files out of the folder, and run the same command again"
                    )
        return holders

    def _remove(self, name: str) -> None:
        with suppress(OSError):  # a file that stays repeats what is known
            for kind in ("members", "history"):
                self._run.fragment(name, kind).unlink(missing_ok=True)


def _merged_name(ids: Iterable[str]) -> str:
    """Return the name of a fragment of several packs, which depends on what it holds."""
    return f"{MERGED}{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:16]}"


def _of_members(history: pa.Table, members: pa.Table) -> pa.ChunkedArray:
    """Return which rows of a history are of these members."""
    return pc.is_in(history["member_id"], value_set=members["member_id"].combine_chunks())


def _with_rows(table: pa.Table, replaced: pa.ChunkedArray, rows: pa.Table) -> pa.Table:
    """Return a table with other rows, as many, at the places of the replaced ones."""
    places = np.arange(len(table))
    places[replaced.to_numpy()] = len(table) + np.arange(len(rows))
    return pa.concat_tables([table, rows]).take(places).combine_chunks()


def _read_table(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        return read_table(path, schema)
    except DamagedError:
        raise
    except TableError as error:
        raise SweepError(
            f"{error}\ngive another --out, or delete {path} and its twin: their members are then trained anew"
        ) from None
