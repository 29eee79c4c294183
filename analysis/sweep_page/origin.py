"""Where the numbers of a page come from: settings, versions, and the command that gives them again."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from analysis.charts.cells import ChartCell
from analysis.results import Results
from analysis.tables.files import rows_of
from analysis.tables.schema import LOST, Row
from analysis.text.words import data_used, lost
from ouvae.declared import Cell, keys_of
from ouvae.declared.labels import differing_keys

MOST_FAILURES = 5
"""Reasons for which members failed."""

_LONGEST_TEXT, _LONGEST_SPACE = 160, 20_000
_MACHINE = {
    "processor": "processor",
    "cpu_features": "features of the CPU",
    "library_versions": "libraries",
}
_VERSIONS = {
    "project_version": "version of the project",
    "commit": "commit",
    "numerics_version": "version of the numerics",
    "torch_version": "PyTorch",
    "python_version": "Python",
    "device": "device",
    **_MACHINE,
}
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Settings:
    """The keys of cells: in which they differ, with each cell's values, and which they share.

    Attributes:
        differing: lines of texts under a head, a line per cell; empty where the cells differ in nothing.
        shared: keys with their values.
        neutral: the shared keys that are at their neutral values, in which they play no role.
    """

    differing: list[list[str]]
    shared: Pairs
    neutral: Sequence[str]


def settings_of(cells: Sequence[ChartCell]) -> Settings:
    """Return the keys of the cells."""
    rows = [cell.rows[0] for cell in cells]
    told = differing_keys(rows)
    lines = [[cell.name, *(text_of(row[key]) for key in told)] for cell, row in zip(cells, rows, strict=True)]
    shared, neutral = [], []
    for name, key in keys_of(Cell).items():
        if name in told:
            continue
        if key.has_neutral and text_of(rows[0][name]) == text_of(key.neutral):
            neutral.append(name)
        else:
            shared.append((name, text_of(rows[0][name])))
    return Settings([["cell", *told], *lines] if told else [], shared, neutral)


@dataclass(frozen=True)
class Origin:
    """A run: how it was swept, what trained it, and how it is made again.

    Attributes:
        name: of its space.
        question: of its space; empty where none is kept.
        swept: keys of how it was swept, with their values.
        made: versions, devices, data, times.
        commands: that give the run and the page again.
        space: its space.yaml; empty where that is too long for a page.
    """

    name: str
    question: str
    swept: Pairs
    made: Pairs
    commands: Sequence[str]
    space: str


def origin_of(results: Results) -> Origin:
    """Return what is known of a run."""
    settings = results.settings
    of_cells = {*keys_of(Cell), "name", "question"}
    swept = [
        (key, text_of(value)) for key, value in settings.items() if key not in of_cells and value is not None
    ]
    space = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=100)
    question = settings.get("question")
    return Origin(
        results.name,
        str(question) if question else "",
        swept,
        _made(results),
        _commands(results),
        space if len(space) <= _LONGEST_SPACE else "",
    )


def text_of(value: Any) -> str:
    """Return a value of a key as short text."""
    if isinstance(value, dict):
        text = ", ".join(f"{key}: {text_of(one)}" for key, one in value.items())
    elif isinstance(value, list | tuple):
        text = "; ".join(map(text_of, value)) if _is_nested(value) else ", ".join(map(text_of, value))
        text = text or "none"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = "null" if value is None else str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _is_nested(values: Iterable[Any]) -> bool:
    return any(isinstance(one, list | tuple | dict) for one in values)


def _made(results: Results) -> Pairs:
    members = results.members
    pairs = [(words, _values(results, column)) for column, words in _VERSIONS.items()]
    kinds = members.select([*_MACHINE, "torch_version"]).group_by([*_MACHINE, "torch_version"]).aggregate([])
    kinds = kinds.filter(pc.is_valid(kinds["processor"]))
    if kinds.num_rows > 1:
        mixed = f"members were trained on {kinds.num_rows} kinds of machine: numbers differ between them"
        pairs.append(("mixed", f"{mixed} in their last digits (docs/clusters.md)"))
    ends = pc.min_max(members["finished_at"].cast(pa.timestamp("ms"))).as_py()  # in UTC
    first, last = (f"{ends[end]:%Y-%m-%d %H:%M}" for end in ("min", "max"))
    statuses = {one["values"]: one["counts"] for one in pc.value_counts(members["status"]).to_pylist()}
    counts = {status: statuses.get(status, 0) for status in LOST}
    pairs += [
        ("data", "; ".join(dict.fromkeys(data_used(row) for row in _first_members(results)))),
        ("members", f"{members.num_rows:,}{lost(counts)}"),
        ("finished (UTC)", first if first == last else f"{first} to {last}"),
        ("time of training", f"{pc.sum(members['seconds']).as_py() / 60:,.1f} min"),
    ]
    reasons = pc.value_counts(members["failure"].drop_null()).to_pylist()
    for one in sorted(reasons, key=lambda one: -one["counts"])[:MOST_FAILURES]:
        pairs.append((f"why {one['counts']:,} failed", one["values"]))
    return pairs


def _first_members(results: Results) -> Sequence[Row]:
    """Return a member of each cell."""
    ids = results.members["cell_id"].to_pylist()
    firsts = {cell_id: place for place, cell_id in reversed(list(enumerate(ids)))}
    return rows_of(results.members.take(sorted(firsts.values())))


def _values(results: Results, column: str) -> str:
    """Return the values of a column of the members; with how many have each, where there are several."""
    found = pc.value_counts(results.members[column].drop_null()).to_pylist()
    if len(found) == 1:
        return str(found[0]["values"])
    ordered = sorted(found, key=lambda one: -one["counts"])
    return ", ".join(f"{one['values']} ({one['counts']:,} members)" for one in ordered) or "unknown"


def _commands(results: Results) -> list[str]:
    """Return the commands that train a run anew, at the commit of its members where that is known."""
    members = results.members
    commits = members["commit"].unique().to_pylist()
    commands = []
    if len(commits) == 1 and commits[0] not in (None, "unknown"):
        commands.append(f"git checkout {commits[0].removesuffix('-dirty')}")
    space = shlex.quote(str(results.folder / "space.yaml"))
    device = shlex.quote(f"device={members['device'][0].as_py()}")
    again = shlex.quote(f"{results.folder}-again")
    commands.append(f"python sweeps/phase_transition.py --space {space} --set {device} --out {again}")
    commands.append(f"python analysis/report.py {again}")
    return commands
