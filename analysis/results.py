"""The results of one run: its tables, its rules and its summary, each read once."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analysis import TableError
from analysis.statistics.rule import Rules
from analysis.statistics.summary import Summary, read_rule
from analysis.tables.files import (
    read_history,
    read_members,
    read_settings,
    read_sheet,
    rows_of,
    table_path,
)
from analysis.tables.schema import Row


class Results:
    """What is known of a run. Thresholds and comparisons follow from its members by its own rules.

    An attribute is read when it is asked for. It raises TableError as its reader does.

    Args:
        run: folder of the run, or its members.parquet.
        tables: tables that need not be read, by name: `members`, `history`, `thresholds`, `comparisons`.
    """

    def __init__(self, run: str | Path, tables: Mapping[str, pa.Table] | None = None) -> None:
        """Read nothing yet."""
        self.path = Path(run)
        self.sheet_problems: dict[str, str] = {}
        vars(self).update(tables or {})

    @cached_property
    def folder(self) -> Path:
        """The folder of the run."""
        return table_path(self.path, "members").parent

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The keys of its space."""
        return read_settings(self.path)

    @property
    def name(self) -> str:
        """The name of its space."""
        return str(self.settings.get("name") or self.folder.name)

    @cached_property
    def rules(self) -> Rules:
        """The rules of its thresholds."""
        return read_rule(self.path)

    @cached_property
    def members(self) -> pa.Table:
        """A row per member."""
        return read_members(self.path)

    @cached_property
    def history(self) -> pa.Table:
        """A row per member and evaluation."""
        return read_history(self.path)

    @cached_property
    def summary(self) -> Summary:
        """The estimates behind thresholds and comparisons."""
        return Summary(self.members, self.rules)

    @cached_property
    def thresholds(self) -> pa.Table:
        """A row per cell and order parameter."""
        return self.summary.thresholds

    @cached_property
    def comparisons(self) -> pa.Table:
        """A row an order parameter and pair of cells that differ in one key."""
        return self.summary.comparisons

    def sheet(self, cell_id: str) -> list[Row]:
        """Return a row of the table `sheets` per completed member of a cell, with its `kl_top_nats`.

        A cell whose images cannot be read has none; `sheet_problems` says why.
        """
        try:
            sheets = rows_of(read_sheet(self.path, cell_id))
        except TableError as error:
            self.sheet_problems[cell_id] = str(error)
            return []
        members = self.members.filter(pc.equal(self.members["cell_id"], cell_id)) if sheets else self.members
        kl = dict(zip(*(members[name].to_pylist() for name in ("member_id", "kl_top_nats")), strict=True))
        return [
            {**row, "kl_top_nats": kl[row["member_id"]]}
            for row in sheets
            if kl.get(row["member_id"]) is not None
        ]

    def shared_members(self, other: "Results") -> int:
        """Return how many members another run has too: what the two say is not independent then."""
        others = other.members["member_id"].combine_chunks()
        return int(pc.sum(pc.is_in(self.members["member_id"], value_set=others)).as_py() or 0)


def read_results(runs: Iterable[str | Path]) -> list[Results]:
    """Read members, history and rules of several runs. Raises TableError with the problems of all."""
    several = [Results(run) for run in runs]
    problems = []
    for results in several:
        for part in ("members", "history", "rules"):
            try:
                getattr(results, part)
            except TableError as error:
                problems.append(str(error))
    if problems:
        raise TableError("\n".join(dict.fromkeys(problems)))
    return several
