"""Thresholds of a table of your own runs: `thresholds_of`."""

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from analysis import TableError
from analysis.statistics.comparisons import compare
from analysis.statistics.curves import end_medians
from analysis.statistics.estimate import ALWAYS_ACTIVE, ALWAYS_COLLAPSED, CellThreshold
from analysis.statistics.probes import probe_values
from analysis.statistics.rule import Rule
from analysis.statistics.scale import scale_of
from analysis.tables.foreign import Columns, Group, arrow_table, groups_of, read_foreign
from analysis.tables.schema import Row
from analysis.text.foreign import (
    COMPARISON_NOTE,
    heading,
    notes,
    printed_comparisons,
    printed_groups,
)
from ouvae.declared import OrderParameter
from ouvae.declared.keys import ScaleKind
from ouvae.declared.order_parameters import HALF_PLATEAU, ORDER_PARAMETERS, PAPERS
from ouvae.declared.pairs import MAX_PAIRS, Pair

if TYPE_CHECKING:
    from analysis.charts.chart import Chart
    from analysis.text.printed import PrintedTable

ACTIVE_FROM = ORDER_PARAMETERS[PAPERS].active_from
"""Default level, of a KL in nats; the least one that half of a plateau is taken as."""

NUMBERS = (
    *("critical_value", "critical_low", "critical_high", "half_width"),
    *(f"spread_{side}{end}" for side in ("left", "right") for end in ("", "_low", "_high")),
)
"""Columns of an estimate: attributes of `CellThreshold`."""

_SCHEMA = (
    ("control", pa.string()),
    ("value", pa.string()),
    ("scale", pa.string()),
    ("status", pa.string()),
    *((name, pa.float64()) for name in NUMBERS),
    ("seeds", pa.int64()),
    ("members", pa.int64()),
    ("diverged", pa.int64()),
    ("collapsed_side", pa.string()),
    ("active_from", pa.float64()),
    ("confidence", pa.float64()),
)


class TableThresholds:
    """The critical values of the groups of a table; see `thresholds_of`.

    Attributes:
        columns: what the table's columns hold.
        groups: its groups, in the order of first appearance.
        rule: how their thresholds are estimated.
        estimates: the threshold of each group.
        name: of the table.
    """

    def __init__(self, groups: Sequence[Group], columns: Columns, rule: Rule, name: str) -> None:
        self.groups, self.columns, self.rule, self.name = list(groups), columns, rule, name
        self.estimates: list[CellThreshold] = [rule.threshold(group.curves) for group in self.groups]

    @property
    def names(self) -> list[str]:
        """A name for each group, `model=a, size=8`; empty for a table of one group."""
        pairs = (zip(self.columns.by, group.key, strict=True) for group in self.groups)
        return [", ".join(f"{column}={value}" for column, value in pair) for pair in pairs]

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of `thresholds` in plain values."""
        return [self._row(*part) for part in zip(self.groups, self.estimates, strict=True)]

    def _row(self, group: Group, estimate: CellThreshold) -> dict[str, Any]:
        return {
            **dict(zip(self.columns.by, group.key, strict=True)),
            "control": self.columns.control,
            "value": self.columns.value,
            "scale": self.rule.scale.kind,
            "status": estimate.status,
            **{name: getattr(estimate, name) for name in NUMBERS},
            "seeds": len(group.curves),
            "members": group.members,
            "diverged": group.diverged,
            "collapsed_side": estimate.collapsed_side,
            "active_from": self.rule.level(group.curves),
            "confidence": self.rule.confidence,
        }

    @cached_property
    def thresholds(self) -> pa.Table:
        """A row per group: the columns `by`, the critical value with its interval, and the spreads.

        `half_width` and spreads are in the unit of the control parameter, or in decades on a log scale.
        `seeds` and `members` are counts. The statuses are those of a run's thresholds table.
        """
        by = {column: pa.array([row[column] for row in self.rows]) for column in self.columns.by}
        fixed = {name: pa.array([row[name] for row in self.rows], dtype) for name, dtype in _SCHEMA}
        return pa.table(by | fixed)

    @cached_property
    def comparisons(self) -> pa.Table:
        """A row per pair of groups that differ in one of the columns `by`.

        The first group is `lower` or `higher`, or the comparison is `undecided`. On a log scale `ratio` is
        the critical value of the first group over the second's, on a linear scale `difference` is the first
        minus the second. Verdicts are corrected for all comparisons.
        """
        pairs = _pairs([group.key for group in self.groups], self.columns.by)
        posteriors = [estimate.population for estimate in self.estimates]
        medians = [None if posterior is None else posterior.median for posterior in posteriors]
        is_log = self.rule.scale.kind == "log"
        measure = "ratio" if is_log else "difference"
        rows: list[dict[str, Any]] = []
        for pair, comparison in zip(
            pairs, compare(pairs, medians, self.rule.confidence, None, self.rule.scale), strict=True
        ):
            spans = (comparison.difference, comparison.difference_low, comparison.difference_high)
            apart = [span if span is None or not is_log else 10.0**span for span in spans]
            rows.append(
                {
                    "control": self.columns.control,
                    "differs_in": pair.key,
                    "first": self.names[pair.first],
                    "second": self.names[pair.second],
                    **dict(zip((measure, f"{measure}_low", f"{measure}_high"), apart, strict=True)),
                    "p_different": comparison.p_different,
                    "verdict": comparison.verdict,
                    "confidence": self.rule.confidence,
                }
            )
        texts = ("control", "differs_in", "first", "second", "verdict")
        numbers = (measure, f"{measure}_low", f"{measure}_high", "p_different", "confidence")
        fields = [(name, pa.string()) for name in texts] + [(name, pa.float64()) for name in numbers]
        return pa.Table.from_pylist(rows, schema=pa.schema(fields))

    @property
    def notes(self) -> list[str]:
        """A line for whatever a reader of the estimates must know: rows left out, one seed, open ends."""
        seen = {name: self._side_is_seen(group) for name, group in zip(self.names, self.groups, strict=True)}
        return notes(self.rows, self.names, seen)

    def _side_is_seen(self, group: Group) -> bool:
        ends = end_medians(group.curves, self.rule.scale)
        level = self.rule.level(group.curves)
        return self.rule.side is not None or (ends is not None and min(ends) < level <= max(ends))

    def next(self, count: int) -> pa.Table:
        """Return where to train next: `count` members of fresh seeds for each group.

        The columns are those of the table: `by`, the control parameter, and the seed (`seed` if the table
        has none). Values lie within the trained range of the group. A group has no rows if its rows are all
        active or all collapsed: train beyond its values first, as `notes` says.
        """
        seeds = [seed for group in self.groups for seed in group.curves]
        fresh = max(seeds, default=-1) + 1
        columns = [*self.columns.by, self.columns.control, self.columns.seed or "seed"]
        rows = []
        for group, estimate in zip(self.groups, self.estimates, strict=True):
            statuses = {seed.status for seed in estimate.seeds if seed.n_members}
            if not statuses or statuses in ({ALWAYS_ACTIVE}, {ALWAYS_COLLAPSED}):
                continue
            trained = np.concatenate([x for x, _ in group.curves.values()])
            probes = sum(seed.n_members == 1 for seed in estimate.seeds)
            values = probe_values(estimate, (trained.min(), trained.max()), probes, count)
            rows += [(*group.key, value, fresh + index) for index, value in enumerate(values)]
        by = zip(*rows, strict=True) if rows else [[]] * len(columns)
        return pa.table(dict(zip(columns, map(list, by), strict=True)))

    def table(self) -> "PrintedTable":
        """Return the critical values as a table of texts: `to_latex`, `to_markdown`, `to_csv`."""
        return printed_groups(self.rows, self.columns.by)

    def plot(self) -> "Chart":
        """Return the chart of the curves: the order parameter against the control parameter, a panel a group.

        A notebook shows it; `save` writes it as SVG, PNG or PDF.
        """
        from analysis.charts.foreign import curves_figure

        return curves_figure(self)

    def page(self) -> str:
        """Return one HTML page with the answer in words, the tables and the interactive curves."""
        from analysis.sweep_page.foreign import render

        return render(self)

    def __str__(self) -> str:
        """Return critical values, comparisons and notes as text."""
        parts = [f"{heading(self.rows)}\n{self.table()}", "\n".join(self.notes)]
        if self.comparisons.num_rows:
            table = printed_comparisons(self.comparisons.to_pylist())
            parts.insert(1, f"{table}\n{COMPARISON_NOTE}")
        return "\n\n".join(filter(None, parts))

    def __repr__(self) -> str:
        return f"<TableThresholds of {self.name}: {len(self.groups)} groups>"


def _pairs(keys: Sequence[tuple[Any, ...]], by: Sequence[str]) -> list[Pair]:
    """Return the pairs of groups that differ in one column, at most MAX_PAIRS."""
    alike: dict[tuple[str, tuple[Any, ...]], list[int]] = {}
    for index, key in enumerate(keys):
        for place, column in enumerate(by):
            alike.setdefault((column, (*key[:place], *key[place + 1 :])), []).append(index)
    pairs = (Pair(*pair, column) for (column, _), group in alike.items() for pair in combinations(group, 2))
    return sorted(pairs)[:MAX_PAIRS]


def thresholds_of(
    frame: Any,
    *,
    control: str,
    value: str,
    seed: str | None = None,
    by: Sequence[str] = (),
    scale: ScaleKind = "linear",
    active_from: float | str = ACTIVE_FROM,
    collapsed: str | None = None,
    confidence: float = 0.95,
) -> TableThresholds:
    """Estimate at which value of a control parameter each group of your own runs collapses.

    Args:
        frame: a row per trained model: a frame of pandas or polars, an Arrow table, a dict of lists, or the
            path of a CSV or Parquet file.
        control: column of the control parameter.
        value: column of the order parameter, large in the active phase and small in the collapsed one.
        seed: column of the seed, a number or a name; None makes each row a seed of its own.
        by: columns whose values tell groups apart.
        scale: `linear`, or `log` for a positive control parameter whose ratios matter.
        active_from: level of the order parameter from which a model is active, or `half_plateau`, half of the
            larger of the values at both ends.
        collapsed: `low` or `high`, the end of the control parameter at which models collapse; by default what
            the rows say.
        confidence: nominal coverage of the intervals.

    Raises:
        TableError: as `analysis.tables.foreign.groups_of`; for a file that cannot be read.
        ValueError: for another scale or end, a level that is not positive, a confidence outside (0, 1).

    Examples:
        >>> from analysis import thresholds_of
        >>> runs = {"beta": [1, 2, 4, 8] * 2, "kl": [3, 2, 0, 0, 3, 1, 0, 0], "seed": [0] * 4 + [1] * 4}
        >>> result = thresholds_of(runs, control="beta", value="kl", seed="seed", scale="log")
        >>> round(result.thresholds["critical_value"][0].as_py(), 1)
        2.8
    """
    if isinstance(active_from, str) and active_from != HALF_PLATEAU:
        raise ValueError(f"active_from must be a number or {HALF_PLATEAU!r}, not {active_from!r}")
    is_path = isinstance(frame, str | Path)
    name = str(frame) if is_path else "the table"
    columns = Columns(control, value, seed, tuple(by))
    if clashing := [column for column in columns.by if column in dict(_SCHEMA)]:
        raise TableError(f"{name}: column '{clashing[0]}' has the name of a result's column; rename it")
    table = read_foreign(frame) if is_path else arrow_table(frame)
    groups = groups_of(table, columns, name, scale == "log")
    trained = np.concatenate([x for group in groups for x, _ in group.curves.values()])
    order = OrderParameter("value", "observed", value, ACTIVE_FROM)
    of_range = scale_of(scale, float(trained.min()), float(trained.max()))
    return TableThresholds(groups, columns, Rule(order, active_from, confidence, of_range, collapsed), name)
