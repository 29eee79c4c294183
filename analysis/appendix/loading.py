"""Find the run of an exhibit; refuse runs of other spaces.

The run of table 6 at the budget `quick` is a run of the space `table6-quick`, in `runs/table6-quick`
unless another folder is given. A missing run is no error: `load` returns the command that makes it.
"""

import re
from pathlib import Path

import pyarrow as pa

from analysis import TableError
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.names import DEFAULT_BUDGET
from analysis.appendix.runs import PaperRun
from analysis.tables.files import read_costs, read_history, read_members, read_settings, rows_of


def load(exhibit: Exhibit, folder: str | Path, budget: str | None = None) -> PaperRun:
    """Read the run of an exhibit; for a run that does not exist, return one with `missing` set.

    `budget` is recommended for a missing run; None takes it from the name of the folder.
    Raises TableError for a run of another space and for tables that cannot be read.
    """
    folder = Path(folder)
    name, source = exhibit.name, exhibit.source
    space = _space_of(folder)
    if space is None:
        budget = budget or _budget(name, folder.name) or DEFAULT_BUDGET
        return PaperRun(name, budget, folder, source, missing=_command(name, budget))
    run_budget = _require(name, folder, space)
    if not (folder / f"{source}.parquet").is_file():
        return PaperRun(name, run_budget, folder, source, missing=_command(name, run_budget))
    if source == "costs":
        return PaperRun(name, run_budget, folder, source, rows=rows_of(read_costs(folder)))
    members = read_members(folder)
    _require(name, folder, _space_of_members(folder, members))
    history = read_history(folder) if exhibit.needs_history else None
    return PaperRun(name, run_budget, folder, source, rows=rows_of(members), members=members, history=history)


def _require(name: str, folder: Path, space: str) -> str:
    """Return the budget in a space's name; TableError unless it is a space of the exhibit `name`."""
    budget = _budget(name, space)
    if budget is None:
        raise TableError(
            f"{folder} is a run of the space {space}, not of {name} at some budget; "
            f"give the run of {name}, or make it: {_command(name, DEFAULT_BUDGET)}"
        )
    return budget


def _command(name: str, budget: str) -> str:
    return f"python sweeps/paper.py {name}" + (f" --budget {budget}" if budget else "")


def _budget(name: str, space: str) -> str | None:
    """The budget in the name of a space; empty where it names none, None for another space."""
    match = re.fullmatch(rf"{name}(?:-(.+))?", space)
    return None if match is None else match.group(1) or ""


def _space_of(folder: Path) -> str | None:
    """The name of a run's space, by its settings, its members, or its folder; None without a run."""
    if (folder / "space.yaml").is_file():
        return str(read_settings(folder).get("name"))
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
