"""Short texts about the rows of a thresholds table, for tables in a terminal and for figures."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from math import floor, log10

from analysis.tables.schema import LOST, SPLIT_IMAGES, Row
from ouvae.declared import ARCHITECTURES, CONTROLS, labels
from ouvae.declared.labels import differing_keys, word

STATUS = {
    "transition": "transition",
    "always_active": "always active",
    "always_collapsed": "always collapsed",
    "unresolved": "unresolved",
}
"""The words for each status."""

_DIGITS = 4  # of a number whose interval is open

NOTHING = "-"
"""Stands where there is no number."""


def cell_names(rows: Sequence[Row]) -> list[str]:
    """Return a name for each cell that no other cell has.

    It is that of `ouvae.declared.labels`, which tells cells apart by the keys in which they differ; those
    that differ in none, such as those of two versions of a data set, by the head of their hash.
    """
    names = labels(rows)
    cells = dict(zip((row["cell_id"] for row in rows), names, strict=True))
    counts = Counter(cells.values())
    return [
        f"{name} {row['cell_id'][:8]}" if counts[name] > 1 else name
        for name, row in zip(names, rows, strict=True)
    ]


def data_used(row: Row) -> str:
    """Return a member's data set and how many images of each split it uses, `300 of 1,345 validation`.

    The head of the digest says which file it was; a member of older tables has only the name.
    """
    train, validation, test = (row[name] for name in SPLIT_IMAGES)
    if train is None:
        return str(row["dataset"])
    uses = [f"{train:,} training", f"{_of(row['eval_images'], validation)} validation"]
    if row["bound_samples"] is not None:
        uses.append(f"{_of(row['bound_images'], test)} test")
    return f"{row['dataset']} {row['data_digest'][:8]}, {', '.join(uses)} images"


def _of(used: int | None, total: int) -> str:
    return f"{total:,}" if used is None else f"{used:,} of {total:,}"


def plural(count: int, word: str) -> str:
    """Return a count with its word, `1 seed` or `3 seeds`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


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
    columns = zip(*(name.split(" ")[:-1] for name in names), strict=False)
    return " ".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns))


def heading(rows: Sequence[Row]) -> str:
    """Return what cells have in common: leading words of their names, activation, budget, smoothing."""
    layered = all(ARCHITECTURES[row["architecture"]].layered for row in rows)
    smoothed = any(row["smoothed_networks"] for row in rows)
    keys = ("activation",) * layered + ("steps",) + ("smoothing", "ou_samples") * smoothed
    differing = differing_keys(rows)
    words = [word(rows[0], key) for key in keys if key not in differing]
    return " \u00b7 ".join(text for text in [common_words(cell_names(rows)), *words] if text)


def lost(counts: Mapping[str, int], head: str = "", more: str = "") -> str:
    """Return how many members were lost and how, ` (1 diverged, 2 failed)`; empty where none were.

    `counts` are numbers of members by status; `head` stands before them, `more` after each.
    """
    texts = [f"{counts[status]}{more} {status}" for status in LOST if counts[status]]
    return f" ({head}{', '.join(texts)})" if texts else ""


def lost_of_cell(row: Row, head: str = "") -> str:
    """Return how many members of a cell were lost, as `lost` does."""
    return lost({status: row[f"n_{status}"] for status in LOST}, head)


def critical_symbol(row: Row) -> str:
    """Return the symbol of the critical value of a row of thresholds or comparisons, such as ρ_c."""
    return CONTROLS[row["control"]].critical


def critical_name(*rows: Row) -> str:
    """Return the head of the critical values' column in printed tables, such as rho_c."""
    controls = {row["control"] for row in rows}
    return f"{controls.pop()}_c" if len(controls) == 1 else "critical value"


def span_unit(row: Row) -> str:
    """Return the unit of spans: decades on a log scale; empty on a linear one."""
    return "decades" if row["scale"] == "log" else ""


def significant_digits(row: Row) -> int:
    """Return the significant digits of a critical value and its interval: two of its half width."""
    value, half_width = row["critical_value"], row["half_width"]
    if not value or not half_width:
        return _DIGITS
    resolution = half_width if row["scale"] == "linear" else abs(value) * (10**half_width - 1)
    return min(max(floor(log10(abs(value))) - floor(log10(resolution)) + 2, 2), 9)


def without_points(text: str) -> str:
    """Return a text of numbers without points that no digit follows."""
    return re.sub(r"(?<=\d)\.(?!\d)", "", text)


def value_text(value: float, row: Row, decimals: int) -> str:
    """Return a value of a row's control parameter: with decimals, or on a log scale significant digits."""
    if row["scale"] == "linear":
        return f"{value:.{decimals}f}"
    return without_points(f"{value:#.{significant_digits(row)}g}")


def interval(row: Row, decimals: int) -> str:
    """Return the interval of a cell's critical value, `[low, high]`, or its one end, if any."""
    form = f".{decimals}f" if row["scale"] == "linear" else f"#.{significant_digits(row)}g"
    return without_points(ends_text(row["critical_low"], row["critical_high"], form))


def ends_text(low: float | None, high: float | None, form: str) -> str:
    """Return an interval, `[low, high]`, or the one end that it has; empty without either."""
    if low is None:
        return "" if high is None else f"below {high:{form}}"
    return f"above {low:{form}}" if high is None else f"[{low:{form}}, {high:{form}}]"


def ends_within(row: Row, trained: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of a cell's interval for a drawing: an end that the row lacks is that of the range."""
    low, high = row["critical_low"], row["critical_high"]
    return trained[0] if low is None else low, trained[1] if high is None else high


def interval_kind(rows: Sequence[Row]) -> str:
    """Return what the intervals of some cells are, `95% interval`."""
    return " or ".join(f"{100 * share:g}% interval" for share in sorted({row["confidence"] for row in rows}))


def estimate(row: Row) -> str:
    """Return a cell's estimate, `ρ_c = 0.73 [0.70, 0.76]`, or its status with its bound.

    Two decimals, or three where the interval is narrower than 0.02.
    """
    if row["status"] != "transition":
        bound = interval(row, 2)
        return STATUS[row["status"]] + (f", {critical_symbol(row)} {bound}" if bound else "")
    narrow = row["half_width"] is not None and row["half_width"] < 0.01
    decimals = 3 if narrow else 2
    value = value_text(row["critical_value"], row, decimals)
    return f"{critical_symbol(row)} = {value} {interval(row, decimals)}"


def threshold_sentence(row: Row, name: str) -> str:
    """Return in words where the threshold of a cell of that name lies, or what is known of it."""
    ends, critical = _ends_with_share(interval(row, 3), row), critical_symbol(row)
    if row["critical_value"] is not None:
        return f"{critical} of {name} is {value_text(row['critical_value'], row, 3)}{ends}"
    if row["status"] == "unresolved":
        return f"nothing is known of {name}: it has no member that counts"
    return f"{critical} of {name} lies beyond all that was trained{ends}: {STATUS[row['status']]}"


def comparison_sentence(row: Row, first: str, second: str) -> str:
    """Return in words how the thresholds of two cells of these names compare, or that it is undecided.

    The numbers count in the direction of the verdict: by how much the first is higher, or lower.
    """
    verdict, critical, other = row["verdict"], f"{critical_symbol(row)} of {first}", f"that of {second}"
    sign = -1 if verdict == "lower" else 1
    low, high = (
        None if row[name] is None else sign * row[name]
        for name in ("difference_low", "difference_high")[::sign]
    )
    ends = ends_text(low, high, ".3f").replace("above", "more than").replace("below", "less than")
    number = "" if row["difference"] is None else f"{sign * row['difference']:.3f} {span_unit(row)}".rstrip()
    numbers = (number + _ends_with_share(ends, row)).removeprefix(", ")
    if verdict in ("lower", "higher"):
        return f"{critical} is {verdict} than {other}" + f" by {numbers}" * bool(numbers)
    tail = f": the difference is {numbers}" if numbers else ""
    if verdict == "alike":
        return f"{critical} and {other} are alike within ±{row['margin']:g}{tail}"
    return f"whether {critical} is lower or higher than {other} is undecided{tail}"


def _ends_with_share(ends: str, row: Row) -> str:
    """Return an interval, or its one end after a comma, with its coverage, to follow a number; or nothing."""
    if not ends:
        return ""
    return f"{' ' if ends.startswith('[') else ', '}{ends} ({100 * row['confidence']:g} %)"


def join(texts: Iterable[str]) -> str:
    """Return the distinct texts in the order of first appearance, with `or` between them."""
    return " or ".join(dict.fromkeys(texts))


def duration(seconds: float) -> str:
    """Return seconds as 42 s, 3 min 05 s, 2 h 10 min or 3 d 4 h."""
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    if hours:
        return f"{hours} h {minute:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{second} s"
