"""What a published table is: its columns, and its rows with their numbers.

Pervez and Gavves, "Spectral Smoothing Unveils Phase Transitions in Hierarchical Variational
Autoencoders", ICML 2021 (PMLR 139:8536-8545), appendix A. Each row of a table says with a selector
which rows of a run's members or costs are ours; see `analysis.appendix.matching`.

Units: nats, seconds, G (as printed: the appendix does not say whether 10^9 or
2^30 bytes) and millions of parameters. Active units are listed top to bottom, as the appendix does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from analysis.appendix.matching import RELU, Where

Value: TypeAlias = float | tuple[int, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `quantity` names what of ours stands beside it (`analysis.appendix.compare.QUANTITIES`), `where` restricts
    the rows' selectors further. A `ratio` column is the quantity divided by that of the row's baseline.
    """

    key: str
    header: str
    quantity: str
    where: Where = field(default_factory=dict)
    ratio: bool = False


@dataclass(frozen=True)
class PublishedRow:
    """A row: its label, its numbers by the columns' keys, and which rows of our runs it is.

    A row without numbers is our own, to compare published rows with. `baseline` is the label of the row that
    ratios refer to. `reading_of` is the label of the row whose published numbers this row has too, where the
    appendix can be read in two ways; empty for the first reading.
    """

    label: str
    values: Mapping[str, Value]
    where: Where
    baseline: str = ""
    reading_of: str = ""


def with_relu(*rows: PublishedRow) -> tuple[PublishedRow, ...]:
    """Return the rows and a copy of each with ReLU, for runs that have ReLU and another activation."""
    of_relu = (PublishedRow(f"{row.label}, ReLU", {}, {**row.where, **RELU}) for row in rows)
    return (*rows, *of_relu)


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """The numbers of a table of the appendix.

    `budget` says how the published models were trained or measured, as far as the appendix does, and
    `note` what a reader must know to compare.
    """

    columns: tuple[Column, ...]
    rows: tuple[PublishedRow, ...]
    budget: str
    note: str = ""

    def row(self, label: str) -> PublishedRow:
        """Return the row of that label; KeyError if there is none."""
        return {row.label: row for row in self.rows}[label]

    def column(self, key: str) -> Column:
        """Return the column of that key; KeyError if there is none."""
        return {column.key: column for column in self.columns}[key]


ACTIVE_UNITS = Column("active", "Active units, top to bottom", "active")

BOUND_NOTE = (
    "V. ELBO is a bound on the validation split in the appendix (its text says validation ELBO); ours is the "
    "importance-weighted bound L_k on the test split, with k and the number of images in the settings below."
)
"""What a reader must know of the bounds of tables 6 to 8."""
