"""Layer by layer: KL terms, active units and information of a table's rows at several steps.

Lists go from the top layer to z_1, as the appendix prints them. Numbers are means over the completed seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.appendix.compare import Measured, intervals, selected
from analysis.appendix.published import PublishedRow, PublishedTable
from analysis.appendix.runs import Lines, PaperRun
from analysis.appendix.text import published_text, values_text
from analysis.statistics.intervals import Interval
from analysis.tables.schema import Row
from analysis.text.words import NOTHING

MARKS = (12_000, 100_000)
"""Steps at which rows are compared, beside the last evaluation: 1.2 % and 10 % of the published steps."""

ONE_DRAW = "active_units_one_draw"
"""The count of active units from a single draw of the layers below, as the usual code has it."""


@dataclass(frozen=True)
class Snapshot:
    """Metrics of the completed members of one row at one moment: steps and split.

    `by_seed` has them under the names of the validation split.
    """

    when: str
    by_seed: Mapping[int, Row]

    def parts(self, metric: str) -> Measured:
        """Return the means of a metric over seeds, one per layer (top first) or a single one."""
        values = [row.get(metric) for row in self.by_seed.values()]
        lists = [value if isinstance(value, list) else [value] for value in values if value is not None]
        return intervals(lists)[::-1]

    def mean(self, metric: str) -> float | None:
        """Return the mean of a number over seeds; None where it is not measured."""
        parts = self.parts(metric)
        return parts[0].mean if parts else None

    def information(self) -> tuple[float | None, float | None, float | None]:
        """Return the means of the information in the top layer and of its two bounds."""
        mean, low, high = (self.mean(f"information_top_{bound}nats") for bound in ("", "lower_", "upper_"))
        return mean, low, high


def histories(run: PaperRun) -> dict[str, list[Row]]:
    """Return the evaluations of each member, by `member_id`, in the order of their steps."""
    evaluations: dict[str, list[Row]] = {}
    for row in () if run.history is None else run.history.sort_by("step").to_pylist():
        evaluations.setdefault(row["member_id"], []).append(row)
    return evaluations


def snapshots(members: Sequence[Row], evaluations: Mapping[str, Sequence[Row]]) -> list[Snapshot]:
    """Return snapshots of one row's members: nearest to `MARKS`, at the last step, and on the test split.

    `members` are of one cell and rho, `evaluations` as `histories` returns them.
    """
    completed = [row for row in members if row["status"] == "completed"]
    by_seed = {row["seed"]: evaluations.get(row["member_id"], ()) for row in completed}
    steps = sorted({row["step"] for history in by_seed.values() for row in history})
    shown = {min(steps, key=lambda step: abs(step - mark)) for mark in MARKS if steps} | set(steps[-1:])
    taken = []
    for step in sorted(shown):
        at_step = {seed: row for seed, history in by_seed.items() for row in history if row["step"] == step}
        taken.append(Snapshot(f"{step:,} steps, validation", at_step))
    tested = [row for row in completed if row["test_elbo_nats"] is not None]
    if tested:
        steps_of_test = " or ".join(sorted({f"{row['selected_step']:,}" for row in tested}))
        taken.append(Snapshot(f"{steps_of_test} steps, test", {row["seed"]: _tested(row) for row in tested}))
    return taken


def _tested(row: Row) -> Row:
    """The metrics on the test split, under their names without the split."""
    return {name.removeprefix("test_"): value for name, value in row.items() if name.startswith("test_")}


HEAD = (
    "model", "numbers", "L_k (nats)", "ELBO (nats)", "KL terms (nats), top first",
    "active units, 16 draws, top first", "active units, one draw, top first",
    "information in the top layer (nats)",
)  # fmt: skip


def layer_lines(table: PublishedTable, run: PaperRun) -> Lines:
    """Return each row of a table layer by layer, published and ours; nothing for a missing run."""
    if run.missing:
        return ()
    evaluations = histories(run)
    lines: list[Sequence[str]] = [HEAD]
    for row in table.rows:
        taken = snapshots(selected(run.rows, row.where), evaluations)
        if not taken:
            continue
        lines += [_published_line(table, row)] if row.values else []
        lines += [[row.label, f"ours, {snapshot.when}", *snapshot_texts(snapshot)] for snapshot in taken]
    return lines if len(lines) > 1 else ()


def _published_line(table: PublishedTable, row: PublishedRow) -> Sequence[str]:
    bound, kl_top, active = (published_text(row.values.get(key)) for key in ("bound", "kl_top", "active"))
    return [row.label, f"published, {table.budget}", bound, NOTHING, kl_top, NOTHING, active, NOTHING]


def snapshot_texts(snapshot: Snapshot) -> list[str]:
    """Return the texts of a snapshot, in the order of `HEAD` from the bound on."""
    numbers = (("bound_nats", 2), ("elbo_nats", 2), ("kl_nats", 2), ("active_units", 1), (ONE_DRAW, 1))
    texts = (" ".join(values_text(snapshot.parts(metric), decimals)) for metric, decimals in numbers)
    return [*(text.strip() for text in texts), information_text(snapshot)]


def information_text(snapshot: Snapshot) -> str:
    """Return the information in the top layer with the means of its two bounds, `3.10 (2.00 to 4.50)`."""
    mean, low, high = snapshot.information()
    return NOTHING if mean is None else f"{mean:z.2f}{bounds_text(low, high)}"


def bounds_text(low: float | None, high: float | None) -> str:
    """Return two bounds to follow a number, ` (2.00 to 4.50)`; empty without both."""
    return "" if low is None or high is None else f" ({low:z.2f} to {high:z.2f})"


def share_about_x(snapshot: Snapshot) -> Interval | None:
    """Return the top layer's information divided by its KL, with the interval from the bounds.

    None where one of them is not measured, or the KL is below a tenth of a nat.
    """
    kl = snapshot.mean("kl_top_nats")
    information = snapshot.information()
    if kl is None or kl < 0.1 or None in information:
        return None
    mean, low, high = (max(0.0, nats or 0.0) / kl for nats in information)
    return Interval(mean, low, high, len(snapshot.by_seed))
