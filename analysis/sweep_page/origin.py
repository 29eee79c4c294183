"""Where the numbers of a page come from: settings, versions, and the command that gives them again."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from analysis.charts.cells import ChartCell
from analysis.results import Results
from analysis.tables.files import rows_of
from analysis.text.words import data_used, lost
from ouvae.declared import Cell, keys_of
from ouvae.declared.labels import differing_keys

MOST_FAILURES = 5
"""Reasons for which members failed."""

_LONGEST_TEXT, _LONGEST_SPACE = 160, 20_000
_MACHINE = {"processor": "processor", "cpu_features": "features of the CPU", "library_versions": "libraries"}
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
    """The keys of cells: in which they differ, a line per cell under a head, and which they share.

    `neutral` are the shared keys at their neutral values, in which they play no role.
    """

    differing: list[list[str]]
    shared: Pairs
    neutral: Sequence[str]


def settings_of(cells: Sequence[ChartCell]) -> Settings:
    """Return the keys of the cells."""
    rows = [cell.rows[0] for cell in cells]
    differing = differing_keys(rows)
    lines = [
        [cell.name, *(text_of(row[key]) for key in differing)] for cell, row in zip(cells, rows, strict=True)
    ]
    shared, neutral = [], []
    for name, key in keys_of(Cell).items():
        if name in differing:
            continue
        if key.has_neutral and text_of(rows[0][name]) == text_of(key.neutral):
            neutral.append(name)
        else:
            shared.append((name, text_of(rows[0][name])))
    return Settings([["cell", *differing], *lines] if differing else [], shared, neutral)


@dataclass(frozen=True)
class Origin:
    """A run: its space, how it was swept, what trained it, and the commands that make run and page again.

    `name` is that of its space, with its folder where several runs of the page have the same; `space` is
    empty where space.yaml is too long for a page.
    """

    name: str
    swept: Pairs
    made: Pairs
    commands: Sequence[str]
    space: str


def origin_of(results: Results, name: str) -> Origin:
    """Return what is known of a run, which has this name in the page."""
    settings = results.settings
    elsewhere = {*keys_of(Cell), "name", "question"}
    swept = [
        (key, text_of(value)) for key, value in settings.items() if key not in elsewhere and value is not None
    ]
    space = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=100)
    return Origin(
        name,
        swept,
        _made(results),
        _commands(results),
        space if len(space) <= _LONGEST_SPACE else "",
    )


def text_of(value: Any) -> str:
    """Return a value of a key as short text."""
    if isinstance(value, dict):
        text = ", ".join(f"{key}: {text_of(entry)}" for key, entry in value.items())
    elif isinstance(value, list | tuple):
        nested = any(isinstance(entry, list | tuple | dict) for entry in value)
        text = ("; " if nested else ", ").join(map(text_of, value)) or "none"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = "null" if value is None else str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


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
    firsts = members.append_column("place", pa.array(range(members.num_rows))).group_by(
        "cell_id", use_threads=False
    )
    of_cells = members.take(firsts.aggregate([("place", "min")])["place_min"])
    pairs += [
        ("data", "; ".join(dict.fromkeys(map(data_used, rows_of(of_cells))))),
        ("members", f"{members.num_rows:,}{lost(Counter(members['status'].to_pylist()))}"),
        ("finished (UTC)", first if first == last else f"{first} to {last}"),
        ("time of training", f"{pc.sum(members['seconds']).as_py() / 60:,.1f} min"),
    ]
    reasons = Counter(members["failure"].drop_null().to_pylist())
    pairs += [(f"why {count:,} failed", reason) for reason, count in reasons.most_common(MOST_FAILURES)]
    return pairs


def _values(results: Results, column: str) -> str:
    """Return the values of a column of the members; with how many have each, where there are several."""
    counts = Counter(results.members[column].drop_null().to_pylist())
    if len(counts) == 1:
        return str(next(iter(counts)))
    texts = (f"{value} ({count:,} members)" for value, count in counts.most_common())
    return ", ".join(texts) or "unknown"


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
