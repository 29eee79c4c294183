"""The runs that a page is about, and their cells in one order."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis import TableError, style
from analysis.statistics.summary import Summary, read_rule
from analysis.tables.files import read_members_and_history, read_settings, table_path
from analysis.tables.schema import Row
from analysis.text.words import cell_names


@dataclass(frozen=True)
class Source:
    """A run: its folder, the keys of its space, and its tables."""

    folder: Path
    settings: Mapping[str, Any]
    members: pa.Table
    history: pa.Table
    thresholds: pa.Table
    comparisons: pa.Table

    @property
    def name(self) -> str:
        """The name of its space."""
        return str(self.settings.get("name") or self.folder.name)


def source_of(run: str | Path, tables: Mapping[str, pa.Table]) -> Source:
    """Return a run of which all tables are at hand, by name. Raises TableError as `read_settings`."""
    names = ("members", "history", "thresholds", "comparisons")
    return Source(Path(run), read_settings(run), *(tables[name] for name in names))


def read_source(run: str | Path) -> Source:
    """Read a run; its thresholds and comparisons follow from its members, by its own rule.

    Raises TableError where its members, history or settings cannot be read.
    """
    members, history = read_members_and_history(run)
    summary = Summary(members, read_rule(run))
    tables = {
        "members": members,
        "history": history,
        "thresholds": summary.thresholds,
        "comparisons": summary.comparisons,
    }
    return source_of(table_path(run, "members").parent, tables)


def read_sources(runs: Iterable[str | Path]) -> list[Source]:
    """Read several runs. Raises TableError with the problems of all of them."""
    sources, problems = [], []
    for run in runs:
        try:
            sources.append(read_source(run))
        except TableError as error:
            problems.append(str(error))
    if problems:
        raise TableError("\n".join(dict.fromkeys(problems)))
    return sources


@dataclass(frozen=True)
class Look:
    """How a cell is drawn, everywhere: colour, marker and dashes, as `analysis.style.STYLES` has them."""

    colour: str
    marker: str
    dashes: Any


@dataclass(frozen=True)
class PageCell:
    """A cell of a page.

    Attributes:
        source: the run that it is of.
        name: which no other cell of the page has.
        rows: of the thresholds table, one an order parameter.
        look: None for a cell that is not drawn.
    """

    source: Source
    name: str
    rows: tuple[Row, ...]
    look: Look | None

    @property
    def cell_id(self) -> str:
        """The identity of the cell in its run."""
        return str(self.rows[0]["cell_id"])


def page_cells(sources: Sequence[Source]) -> list[PageCell]:
    """Return the cells of all runs in their order; the first `style.MOST_CELLS` of them are drawn."""
    found = [
        (source, tuple(rows))
        for source in sources
        for _, rows in groupby(source.thresholds.to_pylist(), key=lambda row: str(row["cell_id"]))
    ]
    names = cell_names([rows[0] for _, rows in found])
    counts = Counter(names)
    looks: list[Look | None] = [Look(*one) for one in style.cell_styles(min(len(found), style.MOST_CELLS))]
    looks += [None] * (len(found) - len(looks))
    cells = []
    for (source, rows), name, look in zip(found, names, looks, strict=True):
        own = f"{name} of {source.folder.name}" if counts[name] > 1 else name
        cells.append(PageCell(source, own, rows, look))
    return cells
