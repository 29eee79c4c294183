"""Table 6 layer by layer: at the steps that are compared, by both counts of units, and in words."""

from dataclasses import replace

import pyarrow as pa
import pytest

from analysis.appendix.exhibits import table6
from analysis.appendix.layers import HEAD, ONE_DRAW, histories, share_about_x, snapshots
from analysis.appendix.loading import load

SIZES = (40,) * 4
KL = [7.0, 2.0, -11.0, 19.0]
STEPS = (0, 4000, 12000, 16000, 96000, 100000)


@pytest.fixture
def run(paper_member, write_run):
    """Two rows of table 6 at the published sizes, of two seeds, with histories; one more seed diverged."""
    members, history = [], []
    for seed, (rho, kl) in ((s, kind) for s in range(3) for kind in ((1.0, [9.0, 2.0, 0, 0.1]), (0.85, KL))):
        information = {
            "test_information_top_nats": 4.0 + seed,
            "test_information_top_lower_nats": 3.0,
            "test_information_top_upper_nats": 6.0,
        }
        row = paper_member("table6-size", SIZES, (40, 40, 40, 24) if rho < 1 else (0, 2, 9, 17), seed,
                           rho=rho, kl_top=kl[-1], test_bound_nats=-85.0 - seed, activation="elu",
                           test_kl_nats=kl, selected_step=96000, **information)  # fmt: skip
        if seed == 2:
            row["status"] = "diverged"
        members.append(row)
        history += [
            {name: row[name] for name in ("member_id", "cell_id", "value", "seed")}
            | {"step": step, "kl_nats": [value + seed for value in kl], "active_units": [17, 9, 3, 1]}
            for step in STEPS
        ]
    return load(table6.EXHIBIT, write_run("table6-size", members, history))


def lines_of(run, label):
    return [dict(zip(HEAD, line, strict=True)) for line in table6.EXHIBIT.cells(run) if line[0] == label]


def test_a_row_is_shown_at_the_steps_that_are_compared_and_on_the_test_split(run):
    published, *ours = lines_of(run, "OU-VAE (ρ = 0.85)")
    assert published["numbers"] == "published, 1,000,000 steps"
    assert published["active units, one draw, top first"] == "40, 40, 40, 24"
    assert [line["numbers"] for line in ours] == [
        "ours, 12,000 steps, validation", "ours, 100,000 steps, validation", "ours, 96,000 steps, test"
    ]  # fmt: skip
    assert ours[0]["KL terms (nats), top first"].startswith("19.50, -10.50, 2.50, 7.50")
    assert ours[0]["active units, 16 draws, top first"].startswith("1, 3, 9, 17")
    assert ours[2]["KL terms (nats), top first"].startswith("19.00, -11.00, 2.00, 7.00")
    assert ours[2]["L_k (nats)"].startswith("-85.50")
    assert ours[2]["information in the top layer (nats)"] == "4.50 (3.00 to 6.00)"
    assert lines_of(run, "OU-VAE (ρ = 0.9)") == []


def test_the_count_of_one_draw_is_shown_where_a_run_has_it(run):
    assert ONE_DRAW not in run.history.column_names or run.history[ONE_DRAW].null_count
    _, first, *_ = lines_of(run, "VAE")
    assert first["active units, one draw, top first"] == "-"
    counts = pa.array([[40, 39, 20, 36]] * run.history.num_rows)
    history = run.history
    if ONE_DRAW in history.column_names:
        history = history.drop_columns([ONE_DRAW])
    _, first, *_ = lines_of(replace(run, history=history.append_column(ONE_DRAW, counts)), "VAE")
    assert first["active units, one draw, top first"].startswith("36, 20, 39, 40")


def test_a_run_that_ended_before_the_steps_is_shown_as_far_as_it_got(run):
    short = replace(run, history=run.history.filter(pa.compute.less(run.history["step"], 5000)))
    members = [row for row in run.rows if row["rho"] == 1]
    assert [one.when for one in snapshots(members, histories(short))] == [
        "4,000 steps, validation", "96,000 steps, test"
    ]  # fmt: skip
    assert snapshots([row | {"status": "failed"} for row in members], histories(run)) == []


def test_the_words_say_what_is_reproduced_and_how_much_is_about_x(run):
    limits, reproduced, missed, about_x = table6.EXHIBIT.words(run)
    assert "within 3 nats (top KL), 4 units per layer on average, or 1 nat (L_100)" in limits
    for text in (
        "OU-VAE (ρ = 0.85): L_100 -85.5, published -85.2",
        "OU-VAE (ρ = 0.85): top KL 19, published 20.6",
        "OU-VAE (ρ = 0.85): active units 40, 40, 40, 24, published 40, 40, 40, 24",
        "VAE: top KL 0.1, published 0.82",
    ):
        assert text in reproduced
    assert missed == "Not reproduced: nothing."
    assert (
        "OU-VAE (ρ = 0.85) (96,000 steps, test): 4.50 (3.00 to 6.00) of 19.0 nats, 24% (16% to 32%)"
        in about_x
    )
    assert "4.9 of the published 20.6 nats" in about_x
    rows = [row | {"test_kl_top_nats": 9.0} for row in run.rows]
    assert "OU-VAE (ρ = 0.85): top KL 9, published 20.6" in table6.EXHIBIT.words(replace(run, rows=rows))[2]


def test_the_reading_that_is_nearer_to_the_published_numbers_is_named(run):
    """The first has the published units, and its bound and top KL are nearer."""
    both = {"smoothed_networks": ["generative", "likelihood"], "cell_id": "both"}
    second = [
        row
        | both
        | {"test_kl_top_nats": 30.0, "test_bound_nats": -99.0, "test_active_units": [24, 40, 40, 39]}
        for row in run.rows
        if row["rho"] < 1
    ]
    *_, nearer, _ = table6.EXHIBIT.words(replace(run, rows=[*run.rows, *second]))
    assert nearer == (
        "Nearer to the published number is smoothing: OU-VAE (ρ = 0.85), L_100: p(z_l|z_l+1) only; OU-VAE "
        "(ρ = 0.85), top KL: p(z_l|z_l+1) only; OU-VAE (ρ = 0.85), active units: p(z_l|z_l+1) only."
    )


def test_units_by_one_draw_are_compared_where_a_run_has_them(run):
    rows = [row | {f"test_{ONE_DRAW}": [24, 40, 40, 10]} for row in run.rows]
    _, _, missed, *_ = table6.EXHIBIT.words(replace(run, rows=rows))
    assert "OU-VAE (ρ = 0.85): active units by one draw 10, 40, 40, 24, published 40, 40, 40, 24" in missed


def test_nothing_is_called_reproduced_at_other_sizes(run):
    small = replace(run, rows=[row | {"latents": [10] * 4} for row in run.rows])
    assert table6.EXHIBIT.words(small)[0].startswith("Nothing is called reproduced at this budget")
    assert table6.EXHIBIT.words(replace(run, rows=(), missing="python sweeps/paper.py table6")) == []


def test_a_collapsed_layer_has_no_share_about_x(run):
    dead, *_ = snapshots([row for row in run.rows if row["rho"] == 1], {})
    assert share_about_x(dead) is not None
    by_seed = {seed: {**row, "kl_top_nats": 0.05} for seed, row in dead.by_seed.items()}
    assert share_about_x(replace(dead, by_seed=by_seed)) is None
