"""The results of a pack as two tables."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Fragment:
    """The results of a pack, finished or failed permanently.

    Attributes:
        members: rows of the members table.
        history: rows of the history table.
    """

    members: pa.Table
    history: pa.Table
