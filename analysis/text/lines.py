"""The tables of thresholds and comparisons as lines of text, for a terminal and for pages."""

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa

from analysis.statistics.rule import Rules
from analysis.statistics.summary import thresholds_table
from analysis.tables.schema import Row
from analysis.text.words import (
    NOTHING,
    STATUS,
    aligned,
    cell_names,
    critical_name,
    ends_text,
    interval,
    interval_kind,
    lost_of_cell,
    span_unit,
    value_text,
)
from ouvae.declared import CONTROLS, ORDER_PARAMETERS
from ouvae.declared.order_parameters import HALF_PLATEAU
from ouvae.declared.pairs import MAX_PAIRS

WIDTH = 80
"""Characters of a terminal's line."""

SENSITIVITY_NATS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Values from which a member is active, beside half of the plateau, for which the critical value is shown."""


def format_thresholds(table: pa.Table) -> str:
    """Return a thresholds table as text, narrow enough for a terminal, without a final newline.

    Below the lines of each order parameter stands which cells have no transition, where intervals are wider
    than was asked for, and where information and KL disagree.
    """
    rows = table.to_pylist()
    named: dict[str, list[tuple[str, Row]]] = {}
    for name, row in zip(cell_names(rows), rows, strict=True):
        named.setdefault(row["order_parameter"], []).append((name, row))
    return "\n\n".join(_block(block) for block in named.values())


def _block(named: Sequence[tuple[str, Row]]) -> str:
    """Return the thresholds of one order parameter as text, each with the name of its cell."""
    rows = [row for _, row in named]
    columns = _columns(rows) | {
        critical_name(*rows): lambda row: (
            interval(row, 3) or NOTHING if row["critical_value"] is None else _critical(row)
        ),
        "interval": lambda row: NOTHING if row["critical_value"] is None else interval(row, 3) or NOTHING,
        "seeds": lambda row: str(row["n_seeds"]),
    }
    heading = [*_rules(rows), interval_kind(rows)]
    if len(steps := {row["steps"] for row in rows}) == 1:
        heading.append(f"{steps.pop()} steps")
        del columns["steps"]
    del columns["order parameter"], columns["status"]
    lines = [["cell", *columns], *([name, *(text(row) for text in columns.values())] for name, row in named)]
    notes = [f"{name}: {_status(row)}" for name, row in named if _status(row) != STATUS["transition"]]
    notes += [f"{name}: {text}" for name, row in named if (text := _too_wide(row))]
    notes += [f"{name}: {row['remark']}" for name, row in named if row["remark"]]
    wrapped = [line for note in notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ")]
    return "\n".join(["; ".join(heading), *aligned(lines), *wrapped])


def threshold_lines(rows: Sequence[Row], names: Sequence[str]) -> list[list[str]]:
    """Return rows of a thresholds table as lines of texts under a head, with a name for each row's cell."""
    columns = _columns(rows)
    named = zip(names, rows, strict=True)
    lines = [[name, *(text(row) for text in columns.values())] for name, row in named]
    return [["cell", *columns], *lines]


def _columns(rows: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """Return how each column is written; that of the exact critical value is there where a row has one."""
    columns: dict[str, Callable[[Row], str]] = {
        "steps": lambda row: str(row["steps"]),
        "order parameter": lambda row: str(row["order_parameter"]),
        "status": _status,
        critical_name(*rows): _critical,
        "interval": _interval,
        _span_head("spread", rows[0]): _spread,
        "seeds": lambda row: f"{row['n_seeds']} ({row['n_resolved']} resolved)",
        "members": lambda row: f"{row['n_members']}{lost_of_cell(row)}",
    }
    if any(row["critical_exact"] is not None for row in rows):
        columns["exact"] = _exact
    return columns


def threshold_notes(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Return what counts as active, and which intervals are wider than was asked for."""
    named = zip(names, rows, strict=True)
    return [*_rules(rows), *(f"{name}: {text}" for name, row in named if (text := _too_wide(row)))]


def format_comparisons(table: pa.Table) -> str:
    """Return a comparisons table as text, narrow enough for a terminal; empty without any."""
    rows = table.to_pylist()
    blocks: dict[str, list[list[str]]] = {}
    for row in rows:
        head = [f"{critical_name(row)} of", "minus that of", _span_head("difference", row)]
        lines = blocks.setdefault(row["order_parameter"], [[*head, "interval", "verdict"]])
        difference = NOTHING if row["difference"] is None else f"{row['difference']:+.3f}"
        ends = ends_text(row["difference_low"], row["difference_high"], "+.3f") or NOTHING
        lines.append([row["first_cell"], row["second_cell"], difference, ends, row["verdict"]])
    if not rows:
        return ""
    note = f"{interval_kind(rows)}; verdicts are corrected for all comparisons of an order parameter (Holm)"
    texts = ["\n".join([f"differences in {name}", *aligned(lines)]) for name, lines in blocks.items()]
    return "\n\n".join(texts) + f"\n{note}{_margin(rows)}"


def comparison_lines(rows: Sequence[Row]) -> list[list[str]]:
    """Return rows of a comparisons table as lines of texts under a head."""
    with_margin = any(row["margin"] is not None for row in rows)
    head = [
        f"{critical_name(*rows)} of",
        "minus that of",
        "they differ in",
        "order parameter",
        _span_head("difference", rows[0]),
        "interval",
    ]
    lines = [[*head, "p different", *["p alike"] * with_margin, "verdict"]]
    for row in rows:
        low, high = row["difference_low"], row["difference_high"]
        texts = [row["first_cell"], row["second_cell"], row["differs_in"], row["order_parameter"]]
        texts.append(NOTHING if row["difference"] is None else f"{row['difference']:+.3f}")
        ends = ends_text(low, high, "+.3f")
        texts.append(f"{ends} {100 * row['confidence']:g}%" if ends else NOTHING)
        texts += [_p_value(row[name]) for name in ("p_different", *["p_alike"] * with_margin)]
        lines.append([*texts, row["verdict"]])
    return lines


def _span_head(name: str, row: Row) -> str:
    """Return the head of a column of spans, with their unit."""
    unit = span_unit(row)
    return f"{name} ({unit})" if unit else name


def comparison_note(rows: Sequence[Row]) -> str:
    """Return what the p-values of comparisons are corrected for, and within which margin cells are alike."""
    note = f"p-values are corrected for all comparisons of an order parameter (Holm){_margin(rows)}"
    if max(Counter(row["order_parameter"] for row in rows).values(), default=0) >= MAX_PAIRS:
        note += f"; only the {MAX_PAIRS:,} pairs closest in the order of the cells are compared"
    return note


def _margin(rows: Sequence[Row]) -> str:
    return next((f"; alike within ±{row['margin']:g}" for row in rows if row["margin"] is not None), "")


def format_results(thresholds: pa.Table, comparisons: pa.Table) -> str:
    """Return both tables as text, one under the other."""
    return "\n\n".join(filter(None, [format_thresholds(thresholds), format_comparisons(comparisons)]))


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _rules(rows: Sequence[Row]) -> list[str]:
    """Return a line an order parameter: what it is, and from where on it counts as active."""
    levels_of: dict[str, set[str]] = {}
    for row in rows:
        level = "half of its plateau" if row["rule"] == HALF_PLATEAU else _level(row)
        levels_of.setdefault(row["order_parameter"], set()).add(level)
    return [
        f"{name}: active from {', '.join(sorted(levels))} of {ORDER_PARAMETERS[name].words}"
        for name, levels in levels_of.items()
    ]


def _level(row: Row) -> str:
    unit = ORDER_PARAMETERS[row["order_parameter"]].unit
    return f"{row['active_from']:g}" + (f" {unit}" if unit != "1" else "")


def format_sensitivity(members: pa.Table, rule: Rules) -> str:
    """Return critical values by other rules as aligned text, a line per cell and order parameter."""
    tables = {}
    for level in (*SENSITIVITY_NATS, HALF_PLATEAU):
        watched = {name: level for name in rule.active_from if ORDER_PARAMETERS[name].unit == "nats"}
        if not watched:
            return ""
        tables[level] = thresholds_table(members, replace(rule, active_from=watched)).to_pylist()
    columns = [f"{level:g}" if isinstance(level, float) else "half plateau" for level in tables]
    rows = tables[HALF_PLATEAU]
    lines = [["cell", f"{critical_name(*rows)} by active from (nats)", *columns]]
    for index, name in enumerate(cell_names(rows)):
        by_level = [table[index] for table in tables.values()]
        texts = [
            STATUS[row["status"]] if row["critical_value"] is None else _critical(row) for row in by_level
        ]
        lines.append([name, rows[index]["order_parameter"], *texts])
    return "\n".join(aligned(lines))


def _critical(row: Row) -> str:
    return NOTHING if row["critical_value"] is None else value_text(row["critical_value"], row, 3)


def _exact(row: Row) -> str:
    return NOTHING if row["critical_exact"] is None else value_text(row["critical_exact"], row, 4)


def _status(row: Row) -> str:
    side, control = row["collapsed_side"], row["control"]
    is_usual = side == CONTROLS[control].collapsed
    side = "" if is_usual else f", collapsed at {side} {control}"
    return STATUS[row["status"]] + side


def _interval(row: Row) -> str:
    text = interval(row, 3)
    return f"{text} {100 * row['confidence']:g}%" if text else NOTHING


def _spread(row: Row) -> str:
    if row["spread_left"] is None:
        return NOTHING
    return f"-{row['spread_left']:.3f} +{row['spread_right']:.3f}"


def _too_wide(row: Row) -> str:
    """Say that the search could not reach what it was asked for; empty where it did."""
    limit, reached = row["half_width_asked"], row["half_width"]
    if limit is None or (reached is not None and reached <= limit):
        return ""
    if reached is not None:
        half_width = f"±{reached:.3f} {span_unit(row)}".rstrip()
        return f"{half_width} after {row['n_members']} members, for ±{limit:g} asked; raise max_members"
    if row["critical_low"] is None and row["critical_high"] is None:
        return "no interval: no member that counts, or too few"
    side = "above" if row["critical_high"] is None else "below"
    return f"{critical_name(row)} may lie {side} all that was trained, and its interval is open there"
