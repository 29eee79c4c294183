"""Runs of the paper's tables and figures."""

from itertools import product

import pytest

from ouvae.declared import METRICS, TEST_METRICS
from ouvae.declared.retained_variance import rho_retaining

SIZES = (40,) * 4


@pytest.fixture
def table6_run(paper_member, write_run):
    """The run of two rows of table 6, three seeds each, one member of the smoothed row diverged."""
    rows = []
    for seed, (bound, kl_top) in enumerate(((-90.0, 1.0), (-91.0, 2.0), (-92.0, 3.0))):
        numbers = {"test_bound_nats": bound, "kl_top": kl_top}
        rows.append(paper_member("table6-quick", SIZES, (1, 3 + seed, 9, 17), seed, **numbers))
        rows.append(
            paper_member("table6-quick", SIZES, (40, 40, 40, 24), seed, rho=0.85, **numbers, kl_warmup=0)
        )
    lost = dict.fromkeys(metric.name for metric in TEST_METRICS)
    rows[-1] |= {"status": "diverged", "diverged_at_step": 120, **lost}
    return write_run("table6-quick", rows)


@pytest.fixture
def every_run(table6_run, paper_member, cost_row, write_run, make_members, gradient_history):
    """Runs of all tables and figures of a budget; returns their folder."""
    rows = [
        paper_member("table5-quick", (16,) * depth, (16,) * depth, seed, architecture="conv", **columns)
        for seed, data in product(range(3), ("mnist_fixed", "omniglot"))
        for depth, columns in (
            (2, {"dataset": data}),
            (2, {"dataset": data, "system": "vampprior", "pseudo_inputs": 0}),
            (2, {"dataset": data, "system": "vampprior", "pseudo_inputs": 50}),
            (4, {"dataset": data, "rho": 0.9}),
        )
    ]
    write_run("table5-quick", rows)
    kinds = ({}, {"system": "hermite", "rho": 0.9, "hermite_degree": 3}, {"rho": 0.9})
    rows = [
        paper_member("table7-quick", (64,), (18,), seed, **kind) for seed, kind in product(range(2), kinds)
    ]
    write_run("table7-quick", rows)
    sizes = (40, 30, 20, 10, 5)
    rows = [paper_member("table8-quick", (n,) * 4, (1, 3, n, n), s) for s, n in product(range(2), sizes)]
    write_run("table8-quick", rows)
    kinds = {"vae": {}, "iwae": {"objective": "iwae"}, "ou": {"rho": 0.9}}
    costs = [cost_row(name, SIZES, [4.0, 4.4], **kind) for name, kind in kinds.items()]
    write_run("table9-quick", costs=costs)
    costs = [cost_row(f"{n}{k}", (100,) * k, **kinds[n]) for n, k in product(kinds, (4, 6))]
    write_run("table10-quick", costs=costs)
    rows = [
        paper_member("figure4-quick", SIZES, (1, 3, 9, 17), seed, gradient_samples=100, gradient_rho=0.8)
        for seed in range(2)
    ]
    write_run("figure4-quick", rows, gradient_history(rows))
    cells = {(10,) * 3: [0.9, 0.92], (20,) * 3: [0.7, 0.69], (10,) * 4: [0.8, 0.82], (20,) * 4: [0.3, 0.2]}
    write_run("figure5-quick", make_members(cells, space="figure5-quick", dataset="omniglot").to_pylist())
    rows = make_members({(20,) * 3: [0.7, 0.74]}, space="figure6-quick").to_pylist()
    conv = [row | {"architecture": "conv", "cell_id": "conv"} for row in rows]
    write_run("figure6-quick", rows + conv)
    alike = [
        row | {"dataset": data, "cell_id": data, "cell": data, "member_id": f"{data} {row['member_id']}"}
        for data in ("digits", "mnist")
        for row in make_members({(8,) * 3: [0.7, 0.74]}, space="datasets-quick").to_pylist()
    ]
    write_run("datasets-quick", alike)
    write_run("controls-quick", control_rows(make_members))
    write_run("choices-quick", choice_rows(paper_member))
    return table6_run.parent


def control_rows(make_members, g_c=(0.80, 0.82), discount=2.0, information=0.0):
    """Members of the controls, two seeds, whose thresholds are at `g_c` whatever K; shrinking discounts more.

    A jump of 1 nat at the threshold, on rho 0.001 apart there; and weights and the linear model.
    """
    rows = []
    for draws, form, factor in ((2, "posterior", 1), (5, "posterior", 1), (20, "shrink", discount)):
        critical_value = [rho_retaining(1 - factor * (1 - g), draws) for g in g_c]
        near = sorted({round(rho + sign * 0.0005, 4) for rho in critical_value for sign in (-1, 1)})
        name = f"{form}-{draws}"
        made = make_members({(8, 8): critical_value}, rho=(0.1, *near, 1.0), slope=1e4, ou_samples=draws)
        rows += [
            row | {"smoothing": form, "cell_id": name, "member_id": f"{name} {row['member_id']}"}
            for row in made.to_pylist()
        ]
    for weight in (0.5, 0.8):
        made = make_members({(8, 8): [1.2, 1.2]}, rho=(1.0,), top_kl_weight=weight, smoothed_networks=[])
        name = f"weight-{weight}"
        rows += [row | {"cell_id": name, "member_id": f"{name} {row['seed']}"} for row in made.to_pylist()]
    linear = make_members({(1, 1): [1.1, 1.1]}, rho=(0.5, 0.9, 1.0), architecture="affine", hidden=[])
    rows += [
        row | {"information_top_nats": information + (-0.003, 0.001)[row["seed"]]}
        for row in linear.to_pylist()
    ]
    return [row | {"space": "controls-quick", "data_digest": "0f3c"} for row in rows]


def choice_rows(paper_member, top_kl=None, seeds=3, space="choices-quick"):
    """Members of choices: `top_kl` maps keys of a choice, as pairs, to the top KL at each rho.

    Seeds scatter by 0.1 nats around it; a top KL of None is a member that diverged.
    """
    if top_kl is None:
        alive, dead = {0.85: 19.0, 1.0: 0.2}, {0.85: 0.3, 1.0: 0.2}
        top_kl = {
            (("activation", name),): alive if name in ("tanh", "elu") else dead
            for name in ("relu", "tanh", "elu", "leaky_relu", "softplus", "gelu")
        }
    rows = []
    for (keys, by_rho), seed in product(top_kl.items(), range(seeds)):
        for rho, kl in by_rho.items():
            row = paper_member(space, (10,) * 4, (10, 10, 10, 10), seed, rho=rho, **dict(keys))
            kl_top = None if kl is None else kl + 0.1 * (seed - 1)
            row |= {"kl_top_nats": kl_top, "dataset": "digits", "bound_samples": None, "bound_images": None}
            row |= dict.fromkeys(metric.name for metric in TEST_METRICS)
            row |= {f"information_top_{bound}nats": value for bound, value in
                    (("", 3.0), ("lower_", 2.0), ("upper_", 4.0))}  # fmt: skip
            if kl is None:
                row |= {"status": "diverged", "diverged_at_step": 70}
                row |= dict.fromkeys(metric.name for metric in METRICS)
            rows.append(row)
    return rows


@pytest.fixture
def gradient_history():
    """Return a maker of histories of three steps with the gradient's variances, of some members."""

    def make(rows):
        return [
            {key: row[key] for key in ("member_id", "cell_id", "value", "seed")}
            | {"step": step, "gradient_variance": 2.0 + row["seed"], "gradient_variance_smoothed": 1.0}
            for row, step in product(rows, (0, 100, 200))
        ]

    return make
