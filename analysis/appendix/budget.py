"""What rows must share for their difference to be that of the methods: one tuple of keys for all claims."""

from collections.abc import Collection, Sequence

from analysis.tables.schema import Row
from ouvae.declared import Cell, keys_of

BUDGET = ("data_digest", *(name for name, key in keys_of(Cell).items() if not key.method))
"""What rows that are compared agree in, apart from what a claim varies: all of a cell but its method."""


def unequal(rows: Sequence[Row], apart_from: Collection[str] = ()) -> str:
    """Return in which keys of `BUDGET` rows differ, in words; empty if in none.

    Args:
        rows: members or costs. What they lack, as costs lack the steps, is None for all of them.
        apart_from: the keys that the claim itself varies.
    """
    differing = [
        key
        for key in BUDGET
        if key not in apart_from and any(row.get(key) != rows[0].get(key) for row in rows)
    ]
    return f"they differ in {', '.join(differing)}" if differing else ""
