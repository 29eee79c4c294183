"""Sheets: the images of a run's members, a file for each cell. No number depends on them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from analysis import TableError
from analysis.tables.files import DamagedError, read_table, write_table
from analysis.tables.schema import SHEETS
from sweeps.record.directory import RunDirectory


class Sheets:
    """The sheets of a run.

    Args:
        run: its directory, held. Damaged files are set aside in `begin`.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        for path in _files(run.sheets):
            if _is_damaged(path):
                run.set_aside([path], [path], "no number depends on it: it held the images of a cell's sheet")

    def add(self, sheets: pa.Table) -> None:
        """Write rows of the table `sheets`; they replace rows of the same members.

        What cannot be written is missing, with a line in the run's log.
        """
        self._run.follow()
        for cell_id in sheets["cell_id"].unique().to_pylist():
            new, path = sheets.filter(pc.equal(sheets["cell_id"], cell_id)), self._run.sheet(cell_id)
            others = _without(_read(path), new)
            try:
                write_table(pa.concat_tables([others, new]).sort_by("value"), path)
            except TableError as error:
                self._run.note(f"a sheet is not kept: {error}")

    def join(self, source: Path) -> None:
        """Add the sheets in a folder of another run, of members that have none here."""
        for path in _files(source):
            self.add(_without(_read(path), _read(self._run.sheets / path.name)))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*.parquet")) if path.name.count(".") == 1)


def _is_damaged(path: Path) -> bool:
    try:
        read_table(path, SHEETS)
    except DamagedError:
        return True
    except TableError:  # of another version
        return False
    return False


def _read(path: Path) -> pa.Table:
    """Return the rows of a file; none where it is missing or cannot be read."""
    try:
        return read_table(path, SHEETS)
    except TableError:
        return SHEETS.empty_table()


def _without(sheets: pa.Table, others: pa.Table) -> pa.Table:
    """Return the rows whose members are not among those of another table."""
    of_others = pc.is_in(sheets["member_id"], value_set=others["member_id"].combine_chunks())
    return sheets.filter(pc.invert(of_others))
