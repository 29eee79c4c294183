"""Published tables beside ours: means, intervals, budgets, and how they are printed."""

import math
import statistics

import pytest

from analysis.appendix.compare import BUDGET, compare, unequal
from analysis.appendix.exhibits import table5, table6, table8, table9, table10
from analysis.appendix.loading import load
from analysis.appendix.runs import settings
from analysis.appendix.text import measured_text, published_text
from analysis.statistics.intervals import Interval
from analysis.tables.files import read_members
from analysis.tables.schema import MEMBERS
from tests.analysis.conftest import failed_row
from tests.analysis.statistics.test_intervals import T2

SIZES = (40,) * 4


def row_of(rows, label):
    (row,) = (row for row in rows if row.published.label == label)
    return row


def test_means_and_intervals_of_a_table_are_the_known_ones(table6_run):
    rows = compare(table6.TABLE, load(table6.EXHIBIT, table6_run))
    vae = row_of(rows, "VAE")
    (bound,), (kl_top,) = vae.ours["bound"], vae.ours["kl_top"]
    assert (bound.mean, bound.n) == (-91, 3)
    assert (bound.high - bound.mean, kl_top.high - kl_top.mean) == pytest.approx([T2 / math.sqrt(3)] * 2)
    assert [part.mean for part in vae.ours["active"]] == [1, 4, 9, 17]  # top first
    assert vae.budget == "3,000 steps, 3 seeds"
    smoothed = row_of(rows, "OU-VAE (ρ = 0.85)")
    assert smoothed.budget == "3,000 steps, 2 seeds (1 more diverged)"
    assert smoothed.ours["kl_top"][0].mean == 1.5
    absent = row_of(rows, "IWAE (5 samples)")
    assert (absent.budget, absent.ours["bound"]) == ("", ())


def test_lost_members_are_told_of_a_row_and_have_no_say_in_its_settings(table6_run, write_run):
    rows = read_members(table6_run).to_pylist()
    rows[1] = failed_row(rows[1])
    run = load(table6.EXHIBIT, write_run("table6-quick", rows))
    smoothed = row_of(compare(table6.TABLE, run), "OU-VAE (ρ = 0.85)")
    assert smoothed.budget == "3,000 steps, 1 seed (1 more diverged, 1 more failed)"
    assert dict(settings(run))["PyTorch"] == "2.13.0"


def test_numbers_are_printed_with_their_intervals(table6_run):
    columns = {column.key: column for column in table6.TABLE.columns}
    vae = row_of(compare(table6.TABLE, load(table6.EXHIBIT, table6_run)), "VAE")
    assert measured_text(columns["bound"], vae.ours["bound"]) == ("-91.00", "[-93.48, -88.52]")
    assert measured_text(columns["active"], vae.ours["active"]) == (
        "1, 4, 9, 17",
        "± -, 2.5, -, - (-: no scatter seen in 3)",
    )
    same = (Interval(1.0, None, None, 3), Interval(3.0, None, None, 3))
    assert measured_text(columns["active"], same) == ("1, 3", "no scatter seen in 3")
    one = (Interval(1.0, None, None, 1), Interval(3.0, None, None, 1))
    assert measured_text(columns["active"], one) == ("1, 3", "one replicate")
    assert measured_text(columns["kl_top"], same[:1]) == ("1.00", "no scatter seen in 3")
    no_less = (Interval(-1e-4, -2e-4, 1e-4, 3),)
    assert measured_text(columns["kl_top"], no_less) == ("0.00", "[0.00, 0.00]")
    texts = [published_text(value) for value in (-87, 1.005, 0.636, 103, (1, 3, 9, 17), 4.6 / 4.2, None)]
    assert texts == ["-87", "1.005", "0.636", "103", "1, 3, 9, 17", "1.10", "-"]


def test_one_table_can_have_two_data_sets(paper_member, write_run):
    rows = [
        paper_member("table5-quick", (16, 16), (1, 1), seed, dataset=data, test_bound_nats=bound, steps=steps,
                     system="vampprior", pseudo_inputs=0)
        for data, bound, steps in (("mnist_fixed", -95.0, 2000), ("omniglot", -115.0, 1000))
        for seed in range(2)
    ]  # fmt: skip
    vae, *others = compare(table5.TABLE, load(table5.EXHIBIT, write_run("table5-quick", rows)))
    assert [vae.ours[key][0].mean for key in ("mnist", "omniglot")] == [-95, -115]
    assert vae.budget == "2,000 steps, 2 seeds or 1,000 steps, 2 seeds"
    assert not any(row.budget for row in others)


def test_rows_with_relu_stand_beside_those_of_another_activation(paper_member, write_run):
    members = [
        paper_member("table8-quick", SIZES, (1, 2, 3, 4), seed, activation=activation, kl_top=kl_top)
        for activation, kl_top in (("relu", 1.0), ("elu", 3.0))
        for seed in range(2)
    ]
    run = load(table8.EXHIBIT, write_run("table8-quick", members))
    rows = compare(table8.TABLE, run)
    published, relu = row_of(rows, "40-40-40-40"), row_of(rows, "40-40-40-40, ReLU")
    assert [row.ours["kl_top"][0].mean for row in (published, relu)] == [3, 1]
    assert (published.budget, relu.budget) == ("3,000 steps, 2 seeds, elu", "3,000 steps, 2 seeds, relu")
    assert len(rows) == 6, "what a run lacks has no row of its own"
    assert dict(settings(run))["activation"] == "relu or elu"
    assert dict(settings(run))["smoothed networks"] == "generative"
    alone = compare(table8.TABLE, load(table8.EXHIBIT, write_run("table8-quick", members[:2])))
    assert row_of(alone, "40-40-40-40").ours["kl_top"][0].mean == 1
    assert len(alone) == 5


def test_costs_are_means_over_rounds_and_ratios_are_paired(cost_row, write_run):
    costs = [
        cost_row("vae", SIZES, [4.0, 8.0, 2.0]),
        cost_row("ou", SIZES, [5.0, 12.0, 2.0], rho=0.9),
        cost_row("iwae", SIZES, [8.0, 16.0, 4.0], objective="iwae", importance_samples=5),
    ]
    rows = compare(table9.TABLE, load(table9.EXHIBIT, write_run("table9-quick", costs=costs)))
    ours = row_of(rows, "OU-VAE").ours
    (seconds,), (relative,) = ours["seconds"], ours["seconds_ratio"]
    assert seconds.mean == pytest.approx(19 / 3)
    assert math.log(relative.mean) == pytest.approx(math.log(1.25 * 1.5) / 3)
    margin = T2 * statistics.stdev(map(math.log, (1.25, 1.5, 1))) / math.sqrt(3)
    assert math.log(relative.high / relative.mean) == pytest.approx(margin)
    (of_iwae,) = row_of(rows, "IWAE").ours["seconds_ratio"]
    assert (of_iwae.mean, of_iwae.lack) == (pytest.approx(2), "no scatter seen in 3")
    assert row_of(rows, "VAE").budget == "3 rounds of timing, batch size 64, cpu"


def test_memory_and_parameters_stand_without_interval(cost_row, write_run):
    costs = [
        cost_row("vae", (100,) * 6, memory_bytes=2**30, parameters=16_500_000),
        cost_row("ou", (100,) * 6, memory_bytes=2 * 2**30, parameters=16_500_000, rho=0.9),
    ]
    rows = compare(table10.TABLE, load(table10.EXHIBIT, write_run("table10-quick", costs=costs)))
    columns = {column.key: column for column in table10.TABLE.columns}
    ours = row_of(rows, "OU-VAE, 6 layers").ours
    texts = {key: measured_text(columns[key], ours[key]) for key in columns}
    assert texts == {
        "layers": ("6", ""),
        "memory": ("2.000", ""),
        "memory_ratio": ("2.00", ""),
        "parameters": ("16.50", ""),
    }
    assert row_of(rows, "OU-VAE, 6 layers").budget == "batch size 64, cpu, autograd saved bytes"
    assert not row_of(rows, "OU-VAE, 4 layers").budget


def test_the_budget_is_made_of_columns_of_the_members():
    assert set(BUDGET) <= set(MEMBERS.names)
    assert len(set(BUDGET)) == len(BUDGET)


@pytest.mark.parametrize("key", BUDGET)
def test_one_row_that_differs_in_one_key_is_enough(key):
    row = dict.fromkeys(BUDGET, 1)
    rows = [row, row, row | {key: 2}]
    assert unequal(rows) == f"they differ in {key}"
    assert unequal(rows, apart_from=(key,)) == ""


def test_keys_that_rows_lack_are_none_of_all():
    costs = [{"batch_size": 64, "rho": 1.0}, {"batch_size": 64, "rho": 0.9}]
    assert unequal(costs) == ""
    assert unequal([*costs, {"batch_size": 100, "steps": 5}]) == "they differ in steps, batch_size"
    assert unequal([]) == ""
