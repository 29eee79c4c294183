"""Figure 4: the variance of the gradient that the encoder receives, with smoothing and without."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis import TableError
from analysis.appendix.claims import OURS, STATED, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.runs import PaperRun
from analysis.charts.chart import Chart
from analysis.charts.data import columns_of
from analysis.charts.layout import Entry, figure, layer, line_entry, nominal, number
from analysis.charts.looks import STYLES, Spec
from analysis.statistics.censored import Array
from analysis.statistics.intervals import ratio
from analysis.tables.schema import Row

MARGIN = 0.05
"""Smoothing lowers the variance if it is lower by at least this share: a ratio near 1 is no reduction."""

_COLUMNS = 2
_PLAIN, _SMOOTHED = "without smoothing", "with smoothing"

VarianceCurves: TypeAlias = dict[tuple[str, float], dict[int, tuple[Array, ...]]]


def gradient_variances(history: pa.Table) -> VarianceCurves:
    """Return `{(cell_id, rho): {seed: (steps, variance, variance smoothed)}}`, each array by step.

    `rho` is that of the member in training; what it is measured with is the column `gradient_rho` of the
    members. Evaluations are left out unless both variances are there and positive.
    """
    columns = ["gradient_variance", "gradient_variance_smoothed"]
    positive = (pc.field(columns[0]) > 0) & (pc.field(columns[1]) > 0)
    points: dict[tuple[str, float], dict[int, list[tuple[float, ...]]]] = {}
    for row in history.select(["cell_id", "value", "seed", "step", *columns]).filter(positive).to_pylist():
        seeds = points.setdefault((row["cell_id"], row["value"]), {})
        seeds.setdefault(row["seed"], []).append((row["step"], *(row[name] for name in columns)))
    return {
        key: {seed: tuple(np.array(sorted(values), dtype=np.float64).T) for seed, values in seeds.items()}
        for key, seeds in points.items()
    }


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Smoothed over plain gradient variance: geometric means over training, paired by seed."""
    evidence = []
    for (cell_id, rho), seeds in _measured(run).items():
        plain, smoothed = (
            {seed: float(np.exp(np.log(values[column]).mean())) for seed, values in seeds.items()}
            for column in (1, 2)
        )
        what = f"variance with smoothing divided by that without, {_measured_at(run, cell_id, rho)}"
        evidence.append(Evidence(what, ratio(smoothed, plain), Region(high=1 - MARGIN, closed=True)))
    statement = (
        f"Smoothing lowers the gradient's variance by at least {MARGIN:.0%} (geometric mean over training, "
        "at the same seed)."
    )
    return (Claim(statement, f"{STATED}; {OURS}", tuple(evidence)),)


def plot(run: PaperRun) -> Chart | None:
    """Return the gradient's variance with and without smoothing against the step, a panel per member kind.

    Lines are geometric means over seeds at the steps that all seeds have, bands their range. None if the
    history has no variances.
    """
    measured = _measured(run)
    if not measured:
        return None
    rows: list[Row] = []
    stacks = []
    for panel, ((cell_id, rho), seeds) in enumerate(measured.items()):
        for index, kind in ((1, "plain"), (2, "smoothed")):
            steps, values = _stacked({seed: (curve[0], curve[index]) for seed, curve in seeds.items()})
            numbers = steps, np.exp(np.log(values).mean(0)), values.min(0), values.max(0)
            rows += [
                {"panel": panel, "kind": kind, "step": step, "mean": mean, "low": low, "high": high}
                for step, mean, low, high in zip(*(array.tolist() for array in numbers), strict=True)
            ]
        title = _measured_at(run, cell_id, rho).partition(" trained ")
        lines = [title[0], f"trained {title[2]}"]
        stacks.append([_panel(panel, lines, panel % _COLUMNS == 0, len(seeds) > 1)])
    most = max(len(seeds) for seeds in measured.values())
    entries = [line_entry(label, STYLES[look]) for look, label in ((1, _PLAIN), (0, _SMOOTHED))]
    if most > 1:
        entries.append(Entry(f"range of {most} seeds", band={"color": STYLES[0].colour, "opacity": 0.2}))
    spec = figure(stacks, "", entries, _COLUMNS)
    return Chart(run.name, "Gradient variance", spec, {"variances": columns_of(rows)})


def _panel(panel: int, title: Sequence[str], leftmost: bool, has_range: bool) -> Spec:
    """Return the panel of one kind of member."""
    looks = STYLES[1], STYLES[0]
    colour, shape, dashes = (
        nominal("kind", ("plain", "smoothed"), [getattr(look, trait) for look in looks])
        for trait in ("colour", "shape", "dashes")
    )
    x = number("step", title="optimizer step", axis={"tickCount": 5})
    y: Spec = {"type": "quantitative", "scale": {"type": "log"}, "axis": {"format": "~g", "tickCount": 4}}
    y["title"] = "gradient variance" if leftmost else None
    ends = {"y": {"field": "low", **y}, "y2": {"field": "high"}}
    mean = {"y": {"field": "mean", **y}}
    return {
        "title": {"text": list(title)},
        "width": 215,
        "height": 120,
        "data": {"name": "variances"},
        "transform": [{"filter": f"datum.panel == {panel}"}],
        "encoding": {"x": x, "color": colour},
        "layer": [
            layer("area", ends, opacity=0.2 if has_range else 0),
            layer("line", mean | {"strokeDash": dashes}, strokeWidth=1.5),
            layer("point", mean | {"shape": shape}, filled=True, size=10, opacity=1),
        ],
    }


def _measured(run: PaperRun) -> VarianceCurves:
    return {} if run.history is None else gradient_variances(run.history)


def _measured_at(run: PaperRun, cell_id: str, rho: float) -> str:
    """What a gradient variance was measured of: the cell, its rho, and the smoothing's rho."""
    for row in run.rows:
        if (row["cell_id"], row["rho"]) == (cell_id, rho):
            trained = "without smoothing" if rho == 1 else f"with ρ = {rho:g}"
            return f"{row['cell']} trained {trained}, measured with ρ = {row['gradient_rho']:g}"
    raise TableError(
        f"the history is of another run than the members: it has the cell {cell_id} at rho {rho:g}"
    )


def _stacked(seeds: Mapping[int, tuple[Array, Array]]) -> tuple[Array, Array]:
    """The steps that all seeds have, shape (T,), and the values there, shape (seeds, T)."""
    shared = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in seeds.values())))
    values = [value[np.isin(steps, shared)] for steps, value in seeds.values()]
    return np.array(shared), np.stack(values)


EXHIBIT = Exhibit(
    name="figure4",
    title="Gradient variance with and without smoothing",
    shows="Variance of the gradient with respect to the mean output of the first encoder layer, over 100 "
    "samples, measured while a 4-layer VAE is trained; smoothing with ρ = 0.8.",
    needs_history=True,
    chosen="sizes and steps were chosen on seeds 0 to 2, the activation after a run of ReLU on seeds 1000 to "
    "1002 and before any seed from 2000 on",
    fresh_from=2000,
    claims=claims,
    plot=plot,
    caption="Ours: geometric means over seeds, on a logarithmic scale.",
)
