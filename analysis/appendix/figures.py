"""The figures beside the paper's: points for its tables, variances for figure 4, curves for 5 and 6.

Ours are filled circles with intervals, published numbers hollow diamonds, so that neither rests on
colour alone.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from analysis import style
from analysis.appendix.claims_figures import Row, gradient_variances, measured_at, thresholds
from analysis.appendix.compare import replicates
from analysis.appendix.published import TABLES, Column, PublishedTable, Value
from analysis.appendix.runs import PaperRun
from analysis.estimate import Array, mean_curve
from analysis.intervals import Interval, student
from analysis.labels import STATUS
from analysis.tables import curves

PANELS: Mapping[str, Sequence[tuple[str, str, int]]] = {
    "table5": (("mnist", "bound, static MNIST (nats)", 1), ("omniglot", "bound, OMNIGLOT (nats)", 1)),
    "table6": (
        ("kl_top", "top-layer KL (nats)", 1),
        ("active", "active units, top layer", 1),
        ("bound", "bound (nats)", 1),
    ),
    "table7": (("active", "active units", 1), ("bound", "bound (nats)", 1)),
    "table8": (
        ("active", "active units, top two layers", 2),
        ("bound", "bound (nats)", 1),
        ("kl_top", "top-layer KL (nats)", 1),
    ),
    "table9": (("seconds_ratio", "time per epoch / VAE's", 1),),
    "table10": (("memory_ratio", "memory / VAE's", 1), ("parameters", "parameters (millions)", 1)),
}
"""The panels of a table's figure: column, label, and how many entries from the top are added."""

_STYLES = (
    (style.BLUE, "o", "-"),
    (style.VERMILLION, "s", (0, (5, 1.5))),
    (style.GREEN, "^", (0, (1.5, 1))),
    (style.PURPLE, "D", (0, (5, 1.5, 1, 1.5))),
    (style.ORANGE, "v", (0, (3, 1))),
    (style.BLACK, "x", (0, (1, 2))),
)


def draw(run: PaperRun) -> Figure | None:
    """Return the figure of a run's table or figure; None where the run has nothing to draw."""
    if run.missing:
        return None
    drawn: Mapping[str, Callable[[PaperRun], Figure | None]] = {
        "figure4": plot_gradient_variance,
        "figure5": lambda own: plot_transitions(own, "depth"),
        "figure6": lambda own: plot_transitions(own, "architecture"),
    }
    with style.figure_style():
        return drawn[run.name](run) if run.name in drawn else plot_table(TABLES[run.name], run)


def plot_table(table: PublishedTable, run: PaperRun) -> Figure:
    """Draw a table's numbers, a panel a quantity of `PANELS` and a line a row."""
    panels = PANELS[table.name]
    labels = [row.label for row in table.rows]
    figure, axes = _panels(len(panels), height=0.27 * len(labels) + 1.1)
    places = np.arange(len(labels))
    for ax, (key, title, entries) in zip(axes, panels, strict=True):
        column = next(column for column in table.columns if column.key == key)
        for place, row in zip(places, table.rows, strict=True):
            published = _published(table, row.label, column, entries)
            if published is not None:
                ax.plot(published, place - 0.16, ls="none", marker="D", ms=4.5, mfc="white",
                        mec=style.VERMILLION, mew=1.1, label="published")  # fmt: skip
            ours = _ours(table, run, row.label, column, entries)
            if ours is not None:
                _draw_interval(ax, ours, place + 0.16)
        ax.set_xlabel(title)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.grid(axis="y", color=style.GREY, lw=0.3, alpha=0.5)
    axes[0].set_yticks(places, labels)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    _legend(figure, axes)
    return figure


def _published(table: PublishedTable, label: str, column: Column, entries: int) -> float | None:
    row = table.row(label)
    if column.ratio:
        own, base = (_entry(one.values[column.quantity], 1) for one in (row, table.row(row.baseline)))
        return own / base
    value = row.values.get(column.key)
    return None if value is None else _entry(value, entries)


def _entry(value: Value, entries: int) -> float:
    return float(sum(value[:entries])) if isinstance(value, tuple) else float(value)


def _ours(table: PublishedTable, run: PaperRun, label: str, column: Column, entries: int) -> Interval | None:
    row = table.row(label)
    own = {key: sum(numbers[:entries]) for key, numbers in replicates(run.rows, row, column).items()}
    if column.ratio:
        base = replicates(run.rows, table.row(row.baseline), column)
        own = {key: value / base[key][0] for key, value in own.items() if key in base}
    return student(list(own.values()))


def _draw_interval(ax: Axes, ours: Interval, place: float) -> None:
    label = "ours"
    if ours.low is not None and ours.high is not None:
        ax.plot([ours.low, ours.high], [place, place], color=style.BLUE, lw=1.2, zorder=2)
        label += ", with 95 % interval"
    ax.plot(ours.mean, place, ls="none", marker="o", ms=4.5, color=style.BLUE, zorder=3, label=label)


def plot_gradient_variance(run: PaperRun) -> Figure | None:
    """Draw the gradient's variance with and without smoothing against the step, a panel a member kind.

    Lines are geometric means over seeds at the steps that all seeds have, bands their range. None if the
    history has no variances.
    """
    measured = {} if run.history is None else gradient_variances(run.history)
    if not measured:
        return None
    # the titles are long: at most two panels side by side
    lines = -(-len(measured) // 2)
    figure, axes = _panels(len(measured), height=0.5 + 2.4 * lines, lines=lines, panel_width=3)
    for ax, ((cell_id, rho), seeds) in zip(axes, measured.items(), strict=True):
        for index, label in ((1, "without smoothing"), (2, "with smoothing")):
            colour, marker, dash = _STYLES[2 - index]
            steps, values = _stacked({seed: (own[0], own[index]) for seed, own in seeds.items()})
            if len(seeds) > 1:
                ax.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0,
                                label=f"range of {len(seeds)} seeds")  # fmt: skip
            mean = np.exp(np.log(values).mean(0))
            every = max(1, len(steps) // 12)
            ax.plot(steps, mean, color=colour, ls=dash, marker=marker, ms=3, markevery=every, label=label)
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(LogFormatter())
        ax.yaxis.set_minor_formatter(LogFormatter())
        ax.set_xlabel("optimizer step")
        ax.set_title(measured_at(run, cell_id, rho).replace(" trained ", "\ntrained "))
    for ax in axes[::2]:
        ax.set_ylabel("gradient variance")
    _legend(figure, axes)
    return figure


def _stacked(seeds: Mapping[int, tuple[Array, Array]]) -> tuple[Array, Array]:
    """The steps that all seeds have, shape (T,), and the values there, shape (seeds, T)."""
    shared = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in seeds.values())))
    values = [value[np.isin(steps, shared)] for steps, value in seeds.values()]
    return np.array(shared), np.stack(values)


def plot_transitions(run: PaperRun, panel: str) -> Figure:
    """Draw top-layer KL against rho, a panel a value of the column `panel`, a curve a latent size.

    Seeds are thin lines, their mean the bold one. Above the curves stands each cell's rho_c with its
    interval, or its status where it has none.
    """
    rows = thresholds(run)
    by_cell = curves(run.members)
    values = sorted({row[panel] for row in rows}, key=lambda value: (value == "conv", value))
    sizes = sorted({tuple(row["latents"]) for row in rows}, key=lambda latents: (sum(latents), latents))
    widths = sorted({latents[0] for latents in sizes}) if panel == "depth" else []
    figure, axes = _panels(len(values), height=2.7 + 0.17 * max(_counts(rows, panel)))
    for ax, value in zip(axes, values, strict=True):
        own = sorted((row for row in rows if row[panel] == value), key=lambda row: sum(row["latents"]))
        for place, row in enumerate(own):
            index = widths.index(row["latents"][0]) if widths else place
            _draw_cell(ax, row, by_cell[row["cell_id"]], index, place)
        ax.set_xlabel(r"smoothing parameter $\rho$")
        ax.set_title(f"{value} layers" if panel == "depth" else str(value))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), handlelength=3)
    axes[0].set_ylabel("top-layer KL (nats)")
    highest = max(
        [float(kl.max()) for seeds in by_cell.values() for _, kl in seeds.values() if kl.size] or [1.0]
    )
    figure.suptitle(r"marks above the curves: $\rho_c$ with its interval", fontsize=7)
    # room above for the marks
    axes[0].set_ylim(-0.03 * highest, highest * (1.1 + 0.06 * max(_counts(rows, panel))))
    return figure


def _counts(rows: Sequence[Row], panel: str) -> list[int]:
    """How many cells each panel has."""
    return list(Counter(row[panel] for row in rows).values())


def _draw_cell(ax: Axes, row: Row, seeds: Mapping[int, tuple[Array, Array]], index: int, place: int) -> None:
    colour, marker, dash = _STYLES[index % len(_STYLES)]
    for rho, kl in seeds.values():
        ax.plot(rho, kl, color=colour, lw=0.5, alpha=0.5)
    rho, kl = mean_curve(seeds)
    name = ",".join(map(str, row["latents"]))
    status = "" if row["rho_c"] is not None else f" ({STATUS[row['status']]})"
    ax.plot(rho, kl, color=colour, lw=1.5, ls=dash, marker=marker, ms=3, label=name + status)
    if row["rho_c"] is not None:
        height = 0.97 - 0.05 * place
        where = ax.get_xaxis_transform()
        ends = [row["rho_c_low"], row["rho_c_high"]]
        ax.plot(ends, [height, height], color=colour, lw=1.1, transform=where)
        ax.plot(row["rho_c"], height, color=colour, marker=marker, ms=4, ls="none", transform=where)


def _panels(count: int, height: float, lines: int = 1, panel_width: float = 2.3) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels in so many lines, from left to right and top to bottom."""
    columns = -(-count // lines)
    width = max(4.4, min(7.4, 1.4 + panel_width * columns))
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=min(4, len(entries))
        )
