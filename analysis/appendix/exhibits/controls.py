"""Controls of ours: what of the transition is smoothing, and what a top layer knows whose KL turns on.

The form `shrink` discounts the noise as much as K draws do in a linear network, and smooths nothing. Of a
transition in g, what is left of the noise, the part that it shows too is discount; the rest is spectral, due
to how averaging over draws damps the networks' higher degrees.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from analysis.appendix.charts import by_look, look_of
from analysis.appendix.claims import OURS, Claim, Evidence, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.runs import Lines, PaperRun
from analysis.appendix.transitions import sizes
from analysis.charts.chart import Chart
from analysis.charts.data import columns_of
from analysis.charts.layout import figure, layer, line_entry, number, y_axis
from analysis.charts.looks import STYLES, Spec
from analysis.statistics.estimate import TRANSITION
from analysis.statistics.intervals import ratio, student
from analysis.tables.schema import Row
from analysis.text.words import NOTHING, STATUS, ends_text
from ouvae.declared import ORDER_PARAMETERS, OrderParameter
from ouvae.declared.order_parameters import PAPERS
from ouvae.declared.retained_variance import retained_variance

ACTIVE_NATS = 1.0
"""The KL of a top layer of the linear model from which its information is looked at."""

KNOWS_NOTHING = 0.05
"""Nats of information that are none: more than the error of the estimate on linear models."""

ORDERS = (PAPERS, "information_top")


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Thresholds over K in rho and in g, of shrinking and of smoothing; what the linear model knows."""
    evidence: list[list[Evidence]] = [[], [], []]
    if run.members is not None:
        for rows in _by_latents(_swept(run, PAPERS)):
            smoothed = [row for row in rows if row["smoothing"] == "posterior"]
            shrunk = [row for row in rows if row["smoothing"] == "shrink"]
            evidence[0].append(_ranges(smoothed))
            evidence[1] += [_needed(row, control) for control in shrunk for row in smoothed]
        evidence[2] = [_linear_information(run)]
    statements = (
        "Thresholds of the top-layer KL with K = 2, 5 and 20 draws agree better in g = ρ² + (1 − ρ²)/K than "
        "in ρ (the range over K, at the same seed).",
        "Smoothing wakes the top layer at a smaller discount of the noise, 1 − g, than the control: "
        "the ratio is the share that is discount, what it lacks of 1 is spectral (at the same seed).",
        f"A top layer of the two-layer linear model with a KL of more than {ACTIVE_NATS:g} nat knows nothing "
        "of x.",
    )
    return tuple(
        Claim(statement, OURS, tuple(pieces)) for statement, pieces in zip(statements, evidence, strict=True)
    )


def _swept(run: PaperRun, order: str) -> list[Row]:
    """Return the thresholds of the cells that are swept over rho, but for the linear model."""
    return [
        row
        for row in run.all_thresholds
        if row["order_parameter"] == order and row["smoothed_networks"] and row["architecture"] != "affine"
    ]


def _by_latents(rows: Iterable[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(sizes(row), []).append(row)
    return list(groups.values())


def _seeds(row: Row) -> dict[int, float]:
    """Return rho_c of the seeds that have one."""
    return {seed["seed"]: seed["critical_value"] for seed in row["seeds"] if seed["status"] == TRANSITION}


def _ranges(rows: Sequence[Row]) -> Evidence:
    """Return the range of thresholds over K in g divided by that in rho."""
    by_k = [_seeds(row) for row in rows]
    in_rho, in_g = {}, {}
    for seed in set.intersection(*map(set, by_k)) if by_k else ():
        rho = [thresholds[seed] for thresholds in by_k]
        g = [
            retained_variance(thresholds[seed], row["ou_samples"])
            for thresholds, row in zip(by_k, rows, strict=True)
        ]
        in_rho[seed], in_g[seed] = max(rho) - min(rho), max(g) - min(g)
    what = f"range of thresholds over K in g divided by that in ρ, {sizes(rows[0])}" if rows else ""
    return Evidence(what, ratio(in_g, in_rho), Region(high=1))


def _needed(smoothed: Row, shrunk: Row) -> Evidence:
    """Return the discount at which smoothing wakes a top layer divided by that of shrinking."""
    discounts = [
        {seed: 1 - retained_variance(rho, row["ou_samples"]) for seed, rho in _seeds(row).items()}
        for row in (smoothed, shrunk)
    ]
    draws = smoothed["ou_samples"]
    what = f"1 − g at the threshold of K = {draws} divided by that of shrinking, {sizes(smoothed)}"
    return Evidence(what, ratio(*discounts), Region(high=1))


def _linear_information(run: PaperRun) -> Evidence:
    by_seed: dict[int, list[float]] = {}
    for row in run.rows:
        if row["architecture"] == "affine" and (row["kl_top_nats"] or 0) > ACTIVE_NATS:
            by_seed.setdefault(row["seed"], []).append(row["information_top_nats"])
    means = [float(np.mean(values)) for values in by_seed.values()]
    what = f"information of its members of more than {ACTIVE_NATS:g} nat of KL, mean over them and over seeds"
    return Evidence(what, student(means), Region(-KNOWS_NOTHING, KNOWS_NOTHING), unit="nats")


_HEAD = (
    "latents", "control", "order parameter", "status", "ρ_c", "95 % interval", "g at ρ_c", "95 % interval",
    "most of it (nats)",
)  # fmt: skip


def cells(run: PaperRun) -> Lines:
    """Return the thresholds of each control by both order parameters; and the weights, which have none."""
    if run.members is None:
        return ()
    lines: list[Sequence[str]] = [_HEAD]
    most = {name: _most(run.rows, ORDER_PARAMETERS[name].metric) for name in ORDERS}
    for row in run.all_thresholds:
        name = row["order_parameter"]
        if name in ORDERS:
            lines.append([sizes(row), _control(row), name, *_numbers(row), most[name][row["cell_id"]]])
    return lines


def _control(row: Row) -> str:
    if row["architecture"] == "affine":
        return f"linear, K = {row['ou_samples']}"
    if not row["smoothed_networks"]:
        return f"weight {row['top_kl_weight']:g}, ρ = 1"
    return "shrink" if row["smoothing"] == "shrink" else f"K = {row['ou_samples']}"


def _numbers(row: Row) -> list[str]:
    if row["critical_value"] is None:
        return [STATUS[row["status"]] if row["smoothed_networks"] else NOTHING, *[NOTHING] * 4]
    texts = [STATUS[row["status"]]]
    for value, name in (("critical_value", "critical"), ("g_c", "g_c")):
        texts += [f"{row[value]:.3f}", ends_text(row[f"{name}_low"], row[f"{name}_high"], ".3f")]
    return texts


def _most(members: Iterable[Row], metric: str) -> Mapping[str, str]:
    """Return the largest mean over seeds that a metric has at any rho of a cell at which all seeds are."""
    cells: dict[str, dict[float, list[float]]] = {}
    for row in members:
        by_rho = cells.setdefault(row["cell_id"], {})
        if row[metric] is not None:
            by_rho.setdefault(row["rho"], []).append(row[metric])
    return {cell: _largest_mean(by_rho.values()) for cell, by_rho in cells.items()}


def _largest_mean(by_rho: Collection[list[float]]) -> str:
    seeds = max(map(len, by_rho), default=0)
    means = [float(np.mean(values)) for values in by_rho if len(values) == seeds]
    return f"{max(means):.2f}" if means else NOTHING


def plot(run: PaperRun) -> Chart | None:
    """Return both order parameters against g, a column a model, a curve a control, and against the weight.

    Curves are means over seeds of all that was trained at a rho; shades lie between the means of the bounds
    of the information, as far as the axis goes. None where the run does not watch the top-layer KL.
    """
    models = list(dict.fromkeys(sizes(row) for row in _swept(run, PAPERS)))
    if not models:
        return None
    points: list[Row] = []
    controls: dict[str, int] = {}
    for column, model in enumerate(models):
        rows = [row for row in run.rows if sizes(row) == model and row["architecture"] != "affine"]
        for line, name in enumerate(ORDERS):
            for control, members, places in _against_g(rows):
                look = controls.setdefault(control, len(controls) % (len(STYLES) - 1))
                points += _points(column, line, look, places, members, ORDER_PARAMETERS[name])
            points += _points(column, 2 + line, _WEIGHT, *_against_weight(rows), ORDER_PARAMETERS[name])
    stacks = []
    for column, model in enumerate(models):
        stack = [_panel(column, line, points) for line in range(4)]
        stack[0]["title"] = {"text": model}
        stacks.append(stack)
    entries = [line_entry(control, look_of(look)) for control, look in controls.items()]
    if any(point["line"] > 1 for point in points):
        entries.append(line_entry(_WEIGHT_WORDS, look_of(_WEIGHT)))
    return Chart(run.name, "Controls", figure(stacks, "", entries), {"points": columns_of(points)})


_WEIGHT = len(STYLES) - 1
_WEIGHT_WORDS = "weight of the top layer's KL"


def _against_g(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row], list[float]]]:
    """Yield each control with its members, and what is left of the noise at each."""
    swept = [row for row in rows if row["smoothed_networks"]]
    for control in dict.fromkeys(map(_control, swept)):
        members = [row for row in swept if _control(row) == control]
        yield control, members, [retained_variance(row["rho"], row["ou_samples"]) for row in members]


def _against_weight(rows: Sequence[Row]) -> tuple[list[float], list[Row]]:
    """Return the weights of the top layer's KL, and the members that have them."""
    plain = [row for row in rows if row["rho"] == 1 and row["smoothed_networks"] and row["ou_samples"] == 5]
    weighted = [*(row for row in rows if not row["smoothed_networks"]), *plain]
    return [row["top_kl_weight"] for row in weighted], weighted


def _points(
    column: int, line: int, look: int, places: Sequence[float], rows: Sequence[Row], order: OrderParameter
) -> list[Row]:
    """Return the means of an order parameter and its bounds at each place."""
    metrics = {"value": order.metric}
    if order.bounds is not None:
        metrics |= {"low": order.bounds[0], "high": order.bounds[1]}
    means = {name: _means(places, [row[metric] for row in rows]) for name, metric in metrics.items()}
    head = {"column": column, "line": line, "look": look}
    return [
        {**head, "at": at, **{name: means.get(name, {}).get(at) for name in ("value", "low", "high")}}
        for at in means["value"]
    ]


def _panel(column: int, line: int, points: Sequence[Row]) -> Spec:
    """Return a panel of a model: an order parameter against g, or against the weight."""
    highest = max([1.0, *(point["value"] for point in points if point["line"] == line)])
    words = ORDER_PARAMETERS[ORDERS[line % 2]].words.removeprefix("top-layer ")
    scale = {"domain": [-0.15 * highest, 1.1 * highest], "nice": False}
    y = {"type": "quantitative", "scale": scale} | y_axis(f"{words} (nats)", column == 0, tickCount=4)
    title = "noise that is left, g" if line < 2 else _WEIGHT_WORDS
    x = number("at", title=title, scale={"zero": False, "padding": 6}, axis={"tickCount": 5})
    value = {"y": {"field": "value", **y}}
    ends = {"y": {"field": "low", **y}, "y2": {"field": "high"}}
    return {
        "width": 190,
        "height": 85,
        "data": {"name": "points"},
        "transform": [{"filter": f"datum.column == {column} && datum.line == {line}"}],
        "encoding": {"x": x, **by_look(color="colour")},
        "layer": [
            layer("area", ends, where="isValid(datum.low)", opacity=0.12, clip=True),
            layer("line", value | by_look(strokeDash="dashes"), strokeWidth=1),
            layer("point", value | by_look(shape="shape"), filled=True, size=12, opacity=1),
        ],
    }


def _means(places: Sequence[float], values: Sequence[float | None]) -> dict[float, float]:
    """Return the mean of the values at each place, in increasing order of the places."""
    by_place: dict[float, list[float]] = {}
    for place, value in zip(places, values, strict=True):
        if value is not None:
            by_place.setdefault(round(place, 6), []).append(value)
    return {place: float(np.mean(by_place[place])) for place in sorted(by_place)}


EXHIBIT = Exhibit(
    name="controls",
    stands_in="Controls",
    title="What of the transition is smoothing, and what the top layer knows",
    chosen="the activation, values of ρ and levels were chosen on seeds 0 and 1, after runs of ReLU on seeds "
    "1000 to 1005, and before any seed from 2000 on",
    fresh_from=2000,
    claims=claims,
    cells=cells,
    plot=plot,
    caption="Means over seeds, shades between the bounds of the information. Above: against what smoothing "
    "leaves of the noise in a linear network; below: against a weight of the top layer's KL, without "
    "smoothing.",
)
