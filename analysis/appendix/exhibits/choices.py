"""Choices of networks that the appendix does not name, and which of them give the published picture.

A choice is the activation, the initial weights, the normalisation, what is smoothed and how, and the KL
warm-up. `analysis.appendix.picture` says what the published picture is.
"""

from collections.abc import Sequence
from dataclasses import replace

from analysis.appendix.charts import by_look, intervals, look_of, rows_axis
from analysis.appendix.claims import FAILS, HOLDS, OURS, Claim, Evidence, Region
from analysis.appendix.compare import seeds_text
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.layers import ONE_DRAW, Snapshot, bounds_text
from analysis.appendix.picture import ALIVE_NATS, DEAD_NATS, Choice, Trained, top_kl, trained
from analysis.appendix.runs import Lines, PaperRun
from analysis.appendix.text import evidence_text, values_text
from analysis.charts.chart import Chart
from analysis.charts.data import columns_of
from analysis.charts.layout import Entry, figure, layer, number
from analysis.charts.looks import BLACK, GREY, STYLES, Spec
from analysis.statistics.intervals import Interval, student
from analysis.tables.schema import Row
from analysis.text.words import NOTHING
from ouvae.declared.order_parameters import PAPERS

MAX_NATS = 60.0
"""The axes end here at the latest: a member that is about to diverge may have a KL of millions."""

CENTRED = ("tanh", "elu")
UNCENTRED = ("relu", "leaky_relu", "softplus")


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Which activations give the picture, and whether the other choices change that."""
    by_choice = trained(run)
    usual = {
        members.choice.activation: members
        for members in by_choice.values()
        if members.choice == Choice(members.choice.activation)
    }
    evidence: list[list[Evidence]] = [[], [], [], []]
    if by_choice:
        evidence[0] = [piece for name in CENTRED for piece in _given(usual.get(name), name)]
        evidence[1] = [_refuted(usual.get(name), name) for name in UNCENTRED]
    for members in by_choice.values():
        as_usual = usual.get(members.choice.activation)
        if as_usual is None or members is as_usual:
            continue
        if replace(members.choice, initialisation="torch") == as_usual.choice:
            evidence[2].extend(_unchanged(members, as_usual))
        if members.choice.unsmoothed == as_usual.choice:
            evidence[3].extend(_unchanged(members, as_usual))
    picture = (
        f"the published picture: a top KL of at least {ALIVE_NATS:g} nats at the smallest ρ and at most "
        f"{DEAD_NATS:g} nats at ρ = 1, declared before any run"
    )
    statements = (
        f"Centred activations ({', '.join(CENTRED)}) give {picture}.",
        f"Activations that are not centred ({', '.join(UNCENTRED)}) do not give it.",
        "The initial weights do not decide it: with each, an activation gives the picture or not as with "
        "PyTorch's own.",
        "What is smoothed, and in which form, does not decide it: an activation gives the picture or not as "
        "with p(z_l|z_l+1) only.",
    )
    return tuple(
        Claim(statement, OURS, tuple(pieces)) for statement, pieces in zip(statements, evidence, strict=True)
    )


def _given(members: Trained | None, name: str) -> Sequence[Evidence]:
    return members.picture.evidence if members else (_not_run(name, Region(low=ALIVE_NATS, closed=True)),)


def _refuted(members: Trained | None, name: str) -> Evidence:
    return members.refutation if members else _not_run(name, Region(high=ALIVE_NATS))


def _not_run(name: str, region: Region) -> Evidence:
    return Evidence(f"{name}: top KL at the smallest ρ", None, region, "nats")


def _unchanged(members: Trained, usual: Trained) -> list[Evidence]:
    """The evidence that a choice agrees with the usual choice in giving the picture or not."""
    if usual.picture.verdict == HOLDS:
        return list(members.picture.evidence)
    piece = members.refutation
    if usual.picture.verdict == FAILS:
        return [piece]
    return [replace(piece, unusable=f"not decided for {usual.choice.label} itself")]


HEAD = (
    "choice", "ρ", "members", "top KL (nats)", "information in the top layer (nats), with its bounds",
    "active units, 16 draws, top first", "active units, one draw, top first", "ELBO (nats)", "L_k (nats)",
    "gives the picture", "top KL at the smallest ρ minus that at ρ = 1",
)  # fmt: skip


def cells(run: PaperRun) -> Lines:
    """Return a line per choice and rho; nothing for a missing run."""
    lines: list[Sequence[str]] = []
    for members in trained(run).values():
        verdict = [members.picture.verdict, evidence_text(members.effect)]
        for rho, rows in members.by_rho.items():
            lines.append([members.choice.label, f"{rho:g}", *_numbers(rows), *verdict])
            verdict = ["", ""]
    return [HEAD, *lines] if lines else ()


def _numbers(rows: Sequence[Row]) -> list[str]:
    snapshot = _snapshot(rows)
    metrics = (
        ("kl_top_nats", 2), ("information_top_nats", 2), ("active_units", 1), (ONE_DRAW, 1),
        ("elbo_nats", 2), ("test_bound_nats", 2),
    )  # fmt: skip
    texts = [" ".join(values_text(snapshot.parts(metric), decimals)).strip() for metric, decimals in metrics]
    _, low, high = snapshot.information()
    texts[1] += bounds_text(low, high)
    return [seeds_text(rows), *texts]


def _snapshot(rows: Sequence[Row]) -> Snapshot:
    return Snapshot("", {row["seed"]: row for row in rows if row["status"] == "completed"})


def words(run: PaperRun) -> list[str]:
    """Say which choices give the picture, with the size of the effect."""
    by_choice = trained(run)
    if not by_choice:
        return []
    choices: dict[str, list[str]] = {}
    for members in by_choice.values():
        effect = evidence_text(members.effect)
        verdict = members.picture.verdict
        text = f" ({effect})" if effect != NOTHING else ""
        if verdict not in (HOLDS, FAILS) and members.picture.closest is not None:
            text = f" ({members.picture.closest.what.removeprefix(members.choice.label).lstrip(': ')}: "
            text += f"{members.picture.closest.why})"
        choices.setdefault(verdict, []).append(members.choice.label + text)
    heads = {
        HOLDS: "These choices give the published picture (in brackets, the top KL at the smallest ρ minus "
        "that at ρ = 1)",
        FAILS: "These do not",
    }
    return [
        f"{heads.get(verdict, 'Not decided')}: {'; '.join(choices[verdict])}."
        for verdict in (HOLDS, FAILS, *(set(choices) - {HOLDS, FAILS}))
        if verdict in choices
    ]


def plot(run: PaperRun) -> Chart | None:
    """Return the top KL of each choice and rho with its interval, and the information with its bounds."""
    choices = list(trained(run).values())
    if not choices:
        return None
    values = sorted({rho for members in choices for rho in members.by_rho})
    metrics = (PAPERS, "information_top")
    axis_ends = [_axis_end(choices, f"{metric}_nats") for metric in metrics]
    numbers: list[Row] = []
    marks: list[Row] = []
    for place, members in enumerate(choices):
        for rho, rows in members.by_rho.items():
            index = values.index(rho)
            height = place + 0.5 * (index / max(1, len(values) - 1) - 0.5)
            for panel, (metric, end) in enumerate(zip(metrics, axis_ends, strict=True)):
                if (interval := _drawn(rows, metric)) is not None:
                    row = {"panel": panel, "place": height, "look": index % len(STYLES)}
                    ends = {"low": interval.low, "high": interval.high}
                    numbers.append({**row, "value": interval.mean, **ends})
                    if interval.mean > end:
                        marks.append({"panel": panel, "place": height, "value": end, "kind": "beyond"})
            if any(row["status"] != "completed" for row in rows):
                marks.append({"panel": 0, "place": height, "value": 0.0, "kind": "lost"})
    labels = [members.choice.label for members in choices]
    texts = ("top-layer KL (nats)", "information in the top layer (nats)")
    stacks = [
        [_panel(panel, labels, text, end)]
        for panel, (text, end) in enumerate(zip(texts, axis_ends, strict=True))
    ]
    entries = [
        Entry(
            f"ρ = {rho:g}",
            point={"shape": look.shape, "color": look.colour, "size": 16, "filled": True, "opacity": 1},
        )
        for rho, look in zip(values, map(look_of, range(len(values))), strict=True)
    ]
    for kind, label in (("lost", "members lost"), ("beyond", "beyond the axis")):
        if any(mark["kind"] == kind for mark in marks):
            entries.append(Entry(label, point={"color": BLACK, "size": 20, "opacity": 1, **_MARKS[kind]}))
    data = {"numbers": columns_of(numbers), "marks": columns_of(marks)}
    return Chart(run.name, "Choices", figure(stacks, "", entries), data)


_MARKS = {
    "lost": {"shape": "M-1,-1L1,1M1,-1L-1,1", "strokeWidth": 1.2},
    "beyond": {"shape": "triangle-right", "filled": True},
}


def _panel(panel: int, labels: Sequence[str], title: str, end: float) -> Spec:
    """Return the panel of one quantity, whose axis ends a little beyond `end`."""
    y = rows_axis(labels, panel == 0)
    scale = {"domain": [-0.05 * end, 1.05 * end], "nice": False, "zero": False}
    x = {"title": title, "scale": scale, "axis": {"tickCount": 5}}
    where, looks = f"datum.panel == {panel}", (by_look(color="colour"), by_look(shape="shape"))
    layers = intervals("numbers", where, y, x, *looks, clip=True, size=16)
    for kind, mark in _MARKS.items():
        place = {"x": number("value", **x), "y": {"field": "place", **y}}
        dot: Spec = {"color": BLACK, "size": 20, "opacity": 1, **mark}
        layers.append(layer("point", place, "marks", f"{where} && datum.kind == '{kind}'", **dot))
    if panel == 0:
        ends = {"x": {"datum": DEAD_NATS, "type": "quantitative", **x}, "x2": {"datum": ALIVE_NATS}}
        band = layer("rect", ends, color=GREY, opacity=0.2, clip=True)
        layers.insert(0, {"data": {"values": [{}]}} | band)
    return {"width": 200, "height": 17 * len(labels), "layer": layers}


def _axis_end(choices: Sequence[Trained], metric: str) -> float:
    """Return where an axis ends: a little beyond the choices whose verdict is decided."""
    decided = (members for members in choices if members.picture.verdict in (HOLDS, FAILS))
    means = (_snapshot(rows).mean(metric) for members in decided for rows in members.by_rho.values())
    return min(1.3 * max((mean for mean in means if mean is not None), default=MAX_NATS), MAX_NATS) or 1.0


def _drawn(rows: Sequence[Row], metric: str) -> Interval | None:
    """Return a mean over seeds, with the 95 % interval of the KL or the bounds of the information."""
    if metric == PAPERS:
        return student(list(top_kl(rows).values()))
    mean, low, high = _snapshot(rows).information()
    return None if mean is None else Interval(mean, low, high, len(rows))


EXHIBIT = Exhibit(
    name="choices",
    stands_in="Choices",
    title="Which choice of networks decides whether the published picture is seen",
    chosen="sizes, learning rate and steps were chosen on seeds below 1000",
    budgets=("quick", "size", "paper"),
    claims=claims,
    cells=cells,
    words=words,
    plot=plot,
    caption="Means over seeds. Left: top-layer KL with its 95 % interval; the picture is to the right of the "
    "grey band at the smallest ρ and to the left of it at ρ = 1. Right: information with its bounds. A cross "
    "marks members that were lost.",
)
