"""The paper's tables and our numbers as text, for a terminal and for the page."""

from collections.abc import Sequence
from math import isfinite

from analysis.appendix.claims import HOLDS, Claim, Evidence
from analysis.appendix.compare import QUANTITIES, WITHOUT_REPLICATES, ComparedRow, Measured, published_value
from analysis.appendix.published import Column, PublishedTable, Value
from analysis.appendix.runs import PaperRun, settings
from analysis.statistics.intervals import interval_text
from analysis.text.words import NOTHING, aligned


def published_text(value: Value | None) -> str:
    """Return a published number as it is printed, `1, 3, 9, 17` for active units."""
    if value is None:
        return NOTHING
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:.2f}" if value != round(value, 3) else f"{value:g}"


def measured_text(column: Column, ours: Measured) -> tuple[str, str]:
    """Return our number and, apart from it, its interval (the half widths for several layers).

    The second is empty for what has no replicates, and says why where there is no interval.
    """
    decimals = 2 if column.ratio else QUANTITIES[column.quantity].decimals
    means, interval = values_text(ours, decimals)
    return means, "" if column.quantity in WITHOUT_REPLICATES else interval


def values_text(ours: Measured, decimals: int) -> tuple[str, str]:
    """Return means and, apart from them, their interval, as `measured_text` does."""
    if not ours:
        return NOTHING, ""
    means = ", ".join(_rounded(entry.mean, decimals) for entry in ours)
    if len(ours) == 1:
        return means, interval_text(ours[0], decimals)
    lacks = {entry.lack for entry in ours}
    (lack,) = lacks - {""} or {""}
    if lack and len(lacks) == 1:
        return means, lack
    halves = (NOTHING if entry.low is None else _rounded(entry.mean - entry.low, decimals) for entry in ours)
    return means, f"± {', '.join(halves)}" + (f" ({NOTHING}: {lack})" if lack else "")


def _rounded(value: float, decimals: int) -> str:
    text = f"{value:z.{decimals}f}"  # z: no minus before a zero
    return text.removesuffix(".0") if decimals == 1 else text


def significant(value: float) -> str:
    """Return a number with three significant digits, never in powers of ten below a million."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def evidence_text(evidence: Evidence) -> str:
    """Return our number of a piece of evidence with its interval, or with one end of it, and its unit."""
    ours = evidence.ours
    if ours is None:
        return NOTHING
    text = significant(ours.mean)
    low, high = ours.low, ours.high
    if low is not None and high is not None and low < high:
        if isfinite(low) and isfinite(high):
            text += f" [{significant(low)}, {significant(high)}]"
        elif isfinite(low):
            text = f"above {significant(low)}"
        elif isfinite(high):
            text = f"below {significant(high)}"
    return f"{text} {evidence.unit}".rstrip()


def wanted_text(evidence: Evidence) -> str:
    """Return where the claim wants the number, and what the published numbers give.

    These are rounded to two decimals before they are held against the claim, as they are printed.
    """
    published = evidence.published
    if published is None:
        return f"{evidence.region}"
    misses = "" if round(published, 2) in evidence.region else ", which misses it"
    return f"{evidence.region}, published {significant(published)}{misses}"


def summary(claim: Claim) -> str:
    """Return how many pieces of evidence hold and which is the deciding one, in one line."""
    if claim.missing:
        return f"not run: {claim.missing}"
    closest = claim.closest
    if closest is None:
        return "the run has nothing to decide it by"
    held = sum(piece.verdict == HOLDS for piece in claim.evidence)
    count = f"{held} of {len(claim.evidence)} hold; " if len(claim.evidence) > 1 else ""
    word = "nearest: " if len(claim.evidence) > 1 else ""
    return f"{count}{word}{_against_wanted(closest)}"


def _against_wanted(evidence: Evidence) -> str:
    why = f" ({evidence.why})" if evidence.why else ""
    return f"{evidence.what}: {evidence_text(evidence)}, wanted {wanted_text(evidence)}{why}"


def table_lines(table: PublishedTable, rows: Sequence[ComparedRow]) -> list[str]:
    """Return a published table with ours beside it as aligned lines, a line per row."""
    columns = table.columns
    head = ["", *(text for column in columns for text in (f"{column.header}: published", "ours")), "budget"]
    lines = [head]
    for row in rows:
        cells = []
        for column in columns:
            number, interval = measured_text(column, row.ours[column.key])
            cells += [
                published_text(published_value(table, row.published, column)),
                f"{number} {interval}".strip(),
            ]
        lines.append([row.published.label, *cells, row.budget or "not in the run"])
    return aligned(lines)


def claim_lines(claims: tuple[Claim, ...]) -> list[str]:
    """Return claims with verdicts and all evidence, as lines."""
    lines = []
    for claim in claims:
        lines.append(f"{claim.verdict}: {claim.statement} ({claim.basis})")
        if claim.missing:
            lines.append(f"  not run: {claim.missing}")
            continue
        lines += [f"  {piece.verdict}: {_against_wanted(piece)}" for piece in claim.evidence]
    return lines


def settings_line(run: PaperRun) -> str:
    """Return what a run was made with in one line, or how to make it."""
    if run.missing:
        return f"not run: {run.missing}"
    return "; ".join(f"{word} {text}" for word, text in settings(run))
