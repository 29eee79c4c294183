"""Thresholds of a table of any columns in words: numbers, sentences, printed tables and notes.

Rows are those of an `analysis.foreign.TableThresholds`. Numbers have the digits that their interval resolves.
On a log scale a spread is a factor, and a difference a ratio.
"""

from collections.abc import Mapping, Sequence

from analysis.tables.schema import Row
from analysis.text.printed import PrintedTable
from analysis.text.words import (
    NOTHING,
    STATUS,
    ends_text,
    interval_kind,
    lost,
    plural,
    significant_digits,
    without_points,
)


def critical_interval(row: Row) -> str:
    """Return the interval of a group's critical value, or its one end; empty without any."""
    return without_points(
        ends_text(row["critical_low"], row["critical_high"], f"#.{significant_digits(row)}g")
    )


def critical_value(row: Row) -> str:
    """Return a group's critical value in digits."""
    return without_points(f"{row['critical_value']:#.{significant_digits(row)}g}")


def estimate(row: Row) -> str:
    """Return a group's critical value with its interval, or its status with its bound."""
    ends = critical_interval(row)
    if row["critical_value"] is None:
        return STATUS[row["status"]] + (f", {row['control']} {ends}" if ends else "")
    return f"{row['control']} = {critical_value(row)} {ends}".rstrip()


def sentence(row: Row, name: str) -> str:
    """Return in words where the critical value of a group lies, or what is known of it."""
    ends, control, of_name = critical_interval(row), row["control"], f" of {name}" if name else ""
    share = f" ({100 * row['confidence']:g} %)" if ends else ""
    if row["critical_value"] is not None:
        return f"the critical {control}{of_name} is {critical_value(row)} {ends}".rstrip() + share
    if row["status"] == "unresolved":
        return f"nothing is known{of_name}: all its rows diverged"
    return (
        f"the critical {control}{of_name} lies beyond all that was trained{', ' * bool(ends)}{ends}{share}: "
        f"{STATUS[row['status']]}"
    )


def printed_groups(rows: Sequence[Row], by: Sequence[str]) -> PrintedTable:
    """Return the critical values of groups as a table, with a column for each of `by`."""
    head = [*by, f"critical {rows[0]['control']}", "interval", "spread", "seeds", "members"]
    return PrintedTable(head, [_line(row, by) for row in rows])


def _line(row: Row, by: Sequence[str]) -> list[str]:
    is_located, ends = row["critical_value"] is not None, critical_interval(row)
    return [
        *(str(row[column]) for column in by),
        critical_value(row) if is_located else ends or NOTHING,
        (ends or NOTHING) if is_located else STATUS[row["status"]],
        _spread(row),
        str(row["seeds"]),
        f"{row['members']}{lost({'diverged': row['diverged'], 'failed': 0})}",
    ]


def _spread(row: Row) -> str:
    left, right = row["spread_left"], row["spread_right"]
    if left is None:
        return NOTHING
    if row["scale"] == "log":
        return f"÷{10**left:#.3g} ×{10**right:#.3g}"
    return without_points(f"-{left:#.2g} +{right:#.2g}")


def heading(rows: Sequence[Row]) -> str:
    """Return what makes a member active, the kind of the intervals, and the scale."""
    levels = {row["active_from"] for row in rows if row["active_from"] is not None}
    level = f"{levels.pop():g}" if len(levels) == 1 else "half of its plateau"
    scale = "; log scale" * (rows[0]["scale"] == "log")
    return f"{rows[0]['value']}: active from {level}; {interval_kind(rows)}{scale}"


def printed_comparisons(rows: Sequence[Row]) -> PrintedTable:
    """Return the comparisons of groups as a table."""
    measure = "ratio" if "ratio" in rows[0] else "difference"
    head = [f"critical {rows[0]['control']} of", "beside", measure, "interval", "p different", "verdict"]
    return PrintedTable(head, [_comparison_line(row, measure) for row in rows])


def _comparison_line(row: Row, measure: str) -> list[str]:
    form = "#.3g" if measure == "ratio" else "+#.3g"
    p_value = row["p_different"]
    return [
        row["first"],
        row["second"],
        NOTHING if row[measure] is None else without_points(f"{row[measure]:{form}}"),
        without_points(ends_text(row[f"{measure}_low"], row[f"{measure}_high"], form)) or NOTHING,
        NOTHING if p_value is None else "<0.001" if p_value < 0.001 else f"{p_value:.3f}",
        row["verdict"],
    ]


def comparison_sentence(row: Row) -> str:
    """Return in words how the critical values of two groups compare."""
    first, second = f"the critical {row['control']} of {row['first']}", f"that of {row['second']}"
    if row["verdict"] in ("lower", "higher"):
        return f"{first} is {row['verdict']} than {second}"
    return f"whether {first} is lower or higher than {second} is undecided"


COMPARISON_NOTE = "verdicts are corrected for all comparisons (Holm)"


def notes(rows: Sequence[Row], names: Sequence[str], sides_seen: Mapping[str, bool]) -> list[str]:
    """Return a line for whatever a reader of the estimates must know.

    Args:
        rows: of the groups.
        names: of the groups, empty for a table of one group.
        sides_seen: by name, whether the data or the user say on which side the group is collapsed.
    """
    return [
        note for row, name in zip(rows, names, strict=True) for note in _notes(row, name, sides_seen[name])
    ]


def _notes(row: Row, name: str, side_seen: bool) -> list[str]:
    control, texts = row["control"], []
    if row["diverged"]:
        count = plural(row["diverged"], "row")
        texts.append(f"{count} without a finite {control} or {row['value']} left out, as diverged")
    if row["seeds"] == 1:
        texts.append("one seed, whose spread is not seen: the interval rests on the prior; train more seeds")
    if row["status"] in ("always_active", "always_collapsed"):
        side = "above" if row["critical_high"] is None else "below"
        texts.append(
            f"{STATUS[row['status']]}, so that the critical {control} lies {side} the trained values; train "
            f"{side} them"
        )
        if not side_seen:
            other = "low" if row["collapsed_side"] == "high" else "high"
            texts.append(
                f"no row says at which end of {control} models collapse; the {row['collapsed_side']} end is "
                f"assumed, --collapsed {other} assumes the other"
            )
    elif row["status"] == "transition" and row["half_width"] is None:
        texts.append(f"the critical {control} may lie beyond the trained values, the interval is open there")
    head = f"{name}: " if name else ""
    return [head + text for text in texts]
