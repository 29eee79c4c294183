"""A run of a table or figure of the paper, and what it was made with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa

from analysis.results import Results
from analysis.tables.schema import Row
from analysis.text.words import data_used, join, plural
from ouvae.declared.order_parameters import PAPERS

Lines: TypeAlias = Sequence[Sequence[str]]
"""A table as text: a head and lines, all of one length; empty without a table."""

Source: TypeAlias = Literal["members", "costs"]
"""The table of a run that is set beside the paper."""


@dataclass(frozen=True)
class PaperRun:
    """A run of a table or figure of the paper.

    `rows` are the members or the costs that are compared, as `source` says, `members` the members table
    (None where costs are compared) and `history` the history table, where the exhibit needs it. `missing`
    is empty, or says how to get the run, which then has no rows.
    """

    name: str
    budget: str
    folder: Path
    source: Source = "members"
    missing: str = ""
    rows: Sequence[Row] = ()
    members: pa.Table | None = None
    history: pa.Table | None = None

    @cached_property
    def results(self) -> Results:
        """The thresholds of the members, by the run's own rules."""
        return Results(self.folder, {"members": self.members})

    @cached_property
    def all_thresholds(self) -> list[Row]:
        """The rows of the thresholds table."""
        rows: list[Row] = self.results.thresholds.to_pylist()
        return rows

    @property
    def thresholds(self) -> list[Row]:
        """Those of the top-layer KL."""
        return [row for row in self.all_thresholds if row["order_parameter"] == PAPERS]


_SETTINGS = (
    ("networks", "architecture"), ("latents", "latents"), ("hidden", "hidden"),
    ("activation", "activation"), ("initial weights", "initialisation"), ("normalisation", "normalisation"),
    ("batch size", "batch_size"),
    ("learning rate", "learning_rate"), ("K", "ou_samples"), ("smoothing", "smoothing"),
    ("smoothed networks", "smoothed_networks"),
    ("precision", "precision"), ("memory", "memory_kind"), ("device", "device"),
)  # fmt: skip


def settings(run: PaperRun) -> list[tuple[str, str]]:
    """Return what the rows of a run were made with, as names and texts; several values are joined.

    What no row knows, as none does where all members failed, is left out.
    """
    if not run.rows:
        return []
    members = run.source == "members"
    data = join(data_used(row) if members else row["dataset"] for row in run.rows)
    pairs = [("budget", run.budget or "that of the space"), ("data", data)]
    pairs += [(word, _distinct(run.rows, key)) for word, key in _SETTINGS if key in run.rows[0]]
    if members:
        pairs += [
            ("steps", join(f"{row['steps']:,}" for row in run.rows)),
            ("weights", join(str(row["select"]) for row in run.rows)),
            ("bound", join(map(_bound, run.rows))),
            ("PyTorch", _distinct(run.rows, "torch_version")),
            ("commit", _distinct(run.rows, "commit")),
        ]
    return [(word, text) for word, text in pairs if text]


def short_budget(run: PaperRun) -> str:
    """Return steps and seeds of a run's rows, or where costs were measured; empty for a missing run."""
    if not run.rows:
        return ""
    if run.source == "costs":
        return f"measured on {_distinct(run.rows, 'device')}"
    steps = join(f"{row['steps']:,}" for row in run.rows)
    return f"{steps} steps, {plural(len({row['seed'] for row in run.rows}), 'seed')}"


def _bound(row: Row) -> str:
    if row["bound_samples"] is None:
        return "not measured"
    images = "all test images" if row["bound_images"] is None else f"{row['bound_images']:,} test images"
    return f"L_{row['bound_samples']} on {images}"


def _distinct(rows: Iterable[Row], key: str) -> str:
    return join(_text(row[key]) for row in rows if row[key] is not None)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
