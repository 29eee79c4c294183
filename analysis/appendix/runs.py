"""The runs of the paper's spaces: finding one, refusing another, and what a run was trained with.

The run of table 6 at the budget `quick` is a run of the space `table6-quick`, in `runs/table6-quick`
unless said otherwise. A run that is not there is no error: `load` says how to get it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis import TableError
from analysis.appendix.published import NAMES, TABLES
from analysis.tables import read_costs, read_history, read_members

Row = dict[str, Any]

DEFAULT_BUDGET = "quick"
"""The budget of a run that nothing names one for."""


@dataclass(frozen=True)
class PaperRun:
    """A run of a table or figure of the paper.

    `rows` are the members or the costs that are compared, `members` the members table (None where
    costs are compared) and `history` the history table (of figure 4 alone). `missing` is empty, or says
    how to get the run, which then has no rows.
    """

    name: str
    budget: str
    folder: Path
    missing: str = ""
    rows: Sequence[Row] = ()
    members: pa.Table | None = None
    history: pa.Table | None = None


def load(name: str, folder: str | Path, budget: str | None = None) -> PaperRun:
    """Read the run of a table or figure; one that is not there comes back with `missing` set.

    `budget` is the one to recommend for a missing run; None takes it from the name of the folder.
    Raises TableError for a run of another space and for tables that cannot be read.
    """
    folder = Path(folder)
    source = source_of(name)
    known = space_of(folder)
    if known is None:
        budget = budget or _budget(name, folder.name) or DEFAULT_BUDGET
        return PaperRun(name, budget, folder, missing=_command(name, budget))
    found = _require(name, folder, known)
    if not (folder / f"{source}.parquet").is_file():
        return PaperRun(name, found, folder, missing=_command(name, found))
    if source == "costs":
        rows = [row | {"depth": len(row["latents"])} for row in read_costs(folder).to_pylist()]
        return PaperRun(name, found, folder, rows=rows)
    members = read_members(folder)
    _require(name, folder, _space_of_members(folder, members))
    history = read_history(folder) if name == "figure4" else None
    return PaperRun(name, found, folder, rows=members.to_pylist(), members=members, history=history)


def _require(name: str, folder: Path, space: str) -> str:
    """Return the budget in the name of a space of `name`; TableError for another space."""
    budget = _budget(name, space)
    if budget is None:
        raise TableError(
            f"{folder} is a run of the space {space}, not of {name} at some budget; "
            f"give the run of {name}, or make it: {_command(name, DEFAULT_BUDGET)}"
        )
    return budget


def source_of(name: str) -> str:
    """Return the table of a run that a table or figure is made of, `members` or `costs`."""
    return TABLES[name].source if name in TABLES else "members"


def _command(name: str, budget: str) -> str:
    return f"python sweeps/paper.py {name}" + (f" --budget {budget}" if budget else "")


def _budget(name: str, space: str) -> str | None:
    """The budget in the name of a space; empty where it names none, None for another space."""
    match = re.fullmatch(rf"{name}(?:-(.+))?", space)
    return None if match is None else match.group(1) or ""


def space_of(folder: Path) -> str | None:
    """Return the name of the space that a folder holds a run of; None where there is no run.

    It is the one in space.yaml, without that file the one that the members name, and for costs alone the
    name of the folder. Raises TableError for members of several spaces.
    """
    written = folder / "space.yaml"
    if written.is_file():
        text = written.read_text(encoding="utf-8", errors="replace")
        named = re.search(r"^name:\s*['\"]?([A-Za-z0-9._-]+)", text, re.MULTILINE)
        if named:
            return named.group(1)
    if (folder / "members.parquet").is_file():
        return _space_of_members(folder, read_members(folder))
    return folder.name if (folder / "costs.parquet").is_file() else None


def _space_of_members(folder: Path, members: pa.Table) -> str:
    spaces = sorted(set(members["space"].to_pylist()))
    if len(spaces) > 1:
        raise TableError(
            f"{folder} holds members of several spaces: {', '.join(spaces)}; give the folder of one run"
        )
    return str(spaces[0])


_SETTINGS = (
    ("data", "dataset"), ("networks", "architecture"), ("latents", "latents"), ("hidden", "hidden"),
    ("batch size", "batch_size"),
    ("learning rate", "learning_rate"), ("K", "ou_samples"), ("smoothing", "smoothing"),
    ("precision", "precision"), ("memory", "memory_kind"), ("device", "device"),
)  # fmt: skip


def settings(run: PaperRun) -> list[tuple[str, str]]:
    """Return what the rows of a run were made with, as names and texts; several values are joined.

    What no row knows, as none does where all members failed, is left out.
    """
    if not run.rows:
        return []
    found = [("budget", run.budget or "that of the space")]
    found += [(word, _distinct(run.rows, key)) for word, key in _SETTINGS if key in run.rows[0]]
    if "bound_samples" in run.rows[0]:
        found += [
            ("steps", join(f"{row['steps']:,}" for row in run.rows)),
            ("weights", join(str(row["select"]) for row in run.rows)),
            ("bound", join(map(_bound, run.rows))),
            ("PyTorch", _distinct(run.rows, "torch_version")),
            ("commit", _distinct(run.rows, "commit")),
        ]
    return [(word, text) for word, text in found if text]


def short_budget(run: PaperRun) -> str:
    """Return steps and seeds of a run's rows, or where costs were measured; empty for a missing run."""
    if not run.rows:
        return ""
    if source_of(run.name) == "costs":
        return f"measured on {_distinct(run.rows, 'device')}"
    seeds = len({row["seed"] for row in run.rows})
    steps = join(f"{row['steps']:,}" for row in run.rows)
    return f"{steps} steps, {seeds} seed{'' if seeds == 1 else 's'}"


def _bound(row: Mapping[str, Any]) -> str:
    if row["bound_samples"] is None:
        return "not measured"
    images = "all test images" if row["bound_images"] is None else f"{row['bound_images']:,} test images"
    return f"L_{row['bound_samples']} on {images}"


def _distinct(rows: Iterable[Mapping[str, Any]], key: str) -> str:
    return join(_text(row[key]) for row in rows if row[key] is not None)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def join(texts: Iterable[str]) -> str:
    """Return the distinct texts in the order of first appearance, with `or` between them."""
    return " or ".join(dict.fromkeys(texts))


def check_name(name: str) -> None:
    """Raise TableError unless the paper has a table or figure of that name."""
    if name not in NAMES:
        raise TableError(f"no table or figure {name}; there are: {', '.join(NAMES)}")
