"""Evidence from a published table with a run beside it: differences and ratios of two rows."""

from collections.abc import Collection
from dataclasses import dataclass

from analysis.appendix.claims import Evidence, Region
from analysis.appendix.compare import WITHOUT_REPLICATES, Replicates, replicates, selected, unequal
from analysis.appendix.published import PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.statistics.intervals import Interval, difference, exact, ratio
from analysis.tables.schema import Row


@dataclass(frozen=True)
class Rows:
    """A published table with a run beside it: the numbers of rows by label and column, for claims."""

    table: PublishedTable
    run: PaperRun

    def ours(self, label: str, key: str) -> dict[int, float]:
        """Return the first entry, the top layer's, of our numbers, by replicate."""
        return {index: numbers[0] for index, numbers in self.all_of(label, key).items()}

    def all_of(self, label: str, key: str) -> Replicates:
        """Return our numbers of a row and column, by replicate."""
        return replicates(self.run.rows, self.table.row(label), self.table.column(key))

    def published(self, label: str, key: str, part: int = 0) -> float:
        """Return one entry of a published number; KeyError for a row without published numbers."""
        value = self.table.row(label).values[key]
        return float(value[part]) if isinstance(value, tuple) else float(value)

    def unequal(self, key: str, *labels: str, apart_from: Collection[str] = ()) -> str:
        """Return in which keys of the budget the rows of a column differ, as `unequal` does."""
        return unequal(self._rows_of(key, *labels), apart_from)

    def difference(self, first: str, second: str, key: str, unit: str) -> Evidence:
        """Return that a number of the first row is more than that of the second, paired."""
        both = all(key in self.table.row(label).values for label in (first, second))
        return Evidence(
            f"{first} minus {second}",
            difference(self.ours(first, key), self.ours(second, key)),
            Region(low=0),
            unit,
            self.published(first, key) - self.published(second, key) if both else None,
            self.unequal(key, first, second),
        )

    def cost_ratio(
        self, first: str, second: str, key: str, region: Region, on_cuda: bool = False
    ) -> Evidence:
        """Return that one row's cost divided by another's lies in a region, paired where there are rounds.

        With `on_cuda`, costs that were measured on another device decide nothing.
        """
        ours, baseline = self.ours(first, key), self.ours(second, key)
        return Evidence(
            f"{first} divided by {second}",
            _exact_ratio(ours, baseline) if key in WITHOUT_REPLICATES else ratio(ours, baseline),
            region,
            "",
            self.published(first, key) / self.published(second, key),
            self.measured_unlike(key, first, second, on_cuda=on_cuda) or self.unequal(key, first, second),
        )

    def measured_unlike(self, key: str, *labels: str, on_cuda: bool = False) -> str:
        """Return why costs cannot be compared as they were measured; empty if they can."""
        rows = self._rows_of(key, *labels)
        devices = {row["device"] for row in rows}
        kinds = {row["memory_kind"] for row in rows}
        if len(devices) > 1 or len(kinds) > 1:
            return f"they were measured unlike: {', '.join(sorted(devices | kinds))}"
        if on_cuda and devices and not all(device.startswith("cuda") for device in devices):
            return f"measured on {devices.pop()}"
        return ""

    def _rows_of(self, key: str, *labels: str) -> list[Row]:
        of_column = self.table.column(key).where
        wheres = (self.table.row(label).where for label in labels)
        return [row for where in wheres for row in selected(self.run.rows, {**where, **of_column})]


def _exact_ratio(first: dict[int, float], second: dict[int, float]) -> Interval | None:
    return exact(first[0] / second[0]) if first and second and second[0] else None
