"""Short texts about the rows of a thresholds table, for tables in a terminal and for figures."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

from analysis.schema import LOST

Row: TypeAlias = dict[str, Any]

STATUS = {
    "transition": "transition",
    "always_active": "always active",
    "always_collapsed": "always collapsed",
    "unresolved": "unresolved",
}
"""The words for each status."""


def cell_names(rows: list[Row]) -> list[str]:
    """Return a name for each cell that no other cell has.

    It is the cell's label; cells that share a label are told apart by whichever of budget,
    smoothing and number of draws differs among them, else by the head of their hash.
    """
    names = [row["cell"] for row in rows]
    for name, count in Counter(names).items():
        if count > 1:
            twins = [index for index, row in enumerate(rows) if row["cell"] == name]
            for index in twins:
                names[index] = f"{name} {_distinction(rows[index], [rows[i] for i in twins])}"
    return names


def _distinction(row: Row, twins: list[Row]) -> str:
    settings = [_settings(twin) for twin in twins]
    own = _settings(row)
    words = [word for place, word in enumerate(own) if len({s[place] for s in settings}) > 1]
    if not words or settings.count(own) > 1:
        words.append(row["cell_id"][:8])
    return ", ".join(words)


def _settings(row: Row) -> tuple[str, str, str]:
    return f"{row['steps']} steps", f"{row['smoothing']} smoothing", f"K = {row['ou_samples']}"


def aligned(lines: list[list[str]]) -> list[str]:
    """Return the cells of each line as one text, in columns of one width."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def common_words(names: list[str]) -> str:
    """Return the leading words that several names share, leaving at least one word of each."""
    if len(names) < 2:
        return ""
    words = [name.split(" ") for name in names]
    shared = []
    for column in zip(*(w[:-1] for w in words), strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return " ".join(shared)


def heading(rows: list[Row]) -> str:
    """Return what cells have in common: leading words of their names, budget, smoothing."""
    shared = [common_words(cell_names(rows))]
    for place in range(3):
        values = {_settings(row)[place] for row in rows}
        if len(values) == 1:
            shared.append(values.pop())
    return " \u00b7 ".join(word for word in shared if word)


def lost(counts: Mapping[str, int], head: str = "", more: str = "") -> str:
    """Return how many members were lost and how, ` (1 diverged, 2 failed)`; empty where none were.

    `counts` are numbers of members by status; `head` stands before them, `more` after each.
    """
    texts = [f"{counts[status]}{more} {status}" for status in LOST if counts[status]]
    return f" ({head}{', '.join(texts)})" if texts else ""


def lost_of_cell(row: Row, head: str = "") -> str:
    """Return how many members of a cell were lost, as `lost` does."""
    return lost({status: row[f"n_{status}"] for status in LOST}, head)


def interval(row: Row, decimals: int) -> str:
    """Return the interval of a cell's rho_c, `[low, high]`."""
    return f"[{row['rho_c_low']:.{decimals}f}, {row['rho_c_high']:.{decimals}f}]"


def interval_kind(rows: list[Row]) -> str:
    """Return what the intervals of some cells are, `95% interval` or the bracket of one seed."""
    kinds = [f"{100 * c:g}% interval" for c in sorted({row["confidence"] or 0 for row in rows}) if c]
    if any(row["rho_c"] is not None and row["confidence"] is None for row in rows):
        kinds.append("bracket (one seed)")
    return " or ".join(kinds)


def estimate(row: Row) -> str:
    """Return a cell's estimate in mathtext, `rho_c = 0.73 [0.70, 0.76]`, or its status.

    Two decimals, or three where the interval is narrower than 0.02.
    """
    if row["status"] != "transition":
        return STATUS[row["status"]]
    decimals = 2 if row["rho_c_high"] - row["rho_c_low"] >= 0.02 else 3
    return rf"$\rho_c$ = {row['rho_c']:.{decimals}f} {interval(row, decimals)}"
