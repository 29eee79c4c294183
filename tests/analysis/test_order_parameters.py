"""Thresholds of several order parameters: their rules, and what the information says of the KL."""

import numpy as np
import pyarrow as pa
import pytest

from analysis.charts.cells import chart_cells
from analysis.charts.curves import order_parameters
from analysis.charts.data import rows_of
from analysis.results import Results
from analysis.statistics.curves import curves
from analysis.statistics.rule import Rule, Rules
from analysis.statistics.summary import thresholds_table
from analysis.tables.schema import MEMBERS
from analysis.text.lines import format_sensitivity, format_thresholds
from ouvae.declared import METRICS, ORDER_PARAMETERS
from ouvae.declared.order_parameters import WATCHED
from tests.analysis.conftest import RULE, linear_onset, panels

BOTH = Rules(dict(WATCHED), 0.95)


def with_information(members: pa.Table, *critical_value: float | None) -> pa.Table:
    """Give each seed of a members table an information that is zero above its value, or everywhere."""
    rows = members.to_pylist()
    for row in rows:
        own = critical_value[row["seed"]]
        value = 0.0 if own is None else linear_onset(row["rho"], own)
        row["information_top_nats"] = value
        row |= {"information_top_lower_nats": value - 0.05, "information_top_upper_nats": value + 0.05}
    return pa.Table.from_pylist(rows, schema=MEMBERS)


def test_each_is_a_metric_of_both_tables():
    metrics = {metric.name: metric for metric in METRICS}
    for order in ORDER_PARAMETERS.values():
        assert order.unit == metrics[order.metric].unit
        assert not metrics[order.metric].per_layer
        assert set(order.bounds or ()) <= metrics.keys()


def test_a_row_is_a_cell_and_an_order_parameter(make_members):
    members = with_information(make_members({(8, 8): [0.88, 0.84], (4, 4): [0.7, 0.7]}), 0.68, 0.74)
    table = thresholds_table(members, BOTH)
    assert table["order_parameter"].to_pylist() == ["kl_top", "information_top"] * 2
    assert table["cell_id"].to_pylist() == ["cell-8,8"] * 2 + ["cell-4,4"] * 2
    kl, known, *_ = table.to_pylist()
    (alone,) = thresholds_table(
        members.filter(pa.compute.equal(members["cell_id"], "cell-8,8")), RULE
    ).to_pylist()
    assert kl == alone
    assert [seed["high"] for seed in known["seeds"]] == pytest.approx([0.7, 0.75])


def test_half_of_the_plateau_is_relative_to_the_curve(make_members):
    """KL = 10 (rho_c - rho): at rho 0.5 it is 3.7 and 3.4, so that members are active from 1.775 nats."""
    members = make_members({(8, 8): [0.87, 0.84]})
    (row,) = thresholds_table(members, Rules({"kl_top": "half_plateau"}, 0.95)).to_pylist()
    assert (row["rule"], row["active_from"]) == ("half_plateau", pytest.approx(1.775))
    assert [seed["critical_value"] for seed in row["seeds"]] == pytest.approx([0.675, 0.675])
    ten_times = make_members({(8, 8): [0.87, 0.84]}, slope=100.0)
    (other,) = thresholds_table(ten_times, Rules({"kl_top": "half_plateau"}, 0.95)).to_pylist()
    assert other["critical_value"] == pytest.approx(row["critical_value"])


def test_thresholds_stand_in_g_too(make_members):
    """g = rho^2 + (1 - rho^2)/K, of the form that has it."""
    (row,) = thresholds_table(make_members({(8, 8): [0.88, 0.84]}, ou_samples=2), RULE).to_pylist()
    for end, of in (("c", "critical_value"), ("c_low", "critical_low"), ("c_high", "critical_high")):
        assert row[f"g_{end}"] == pytest.approx((1 + row[of] ** 2) / 2)
    for none in ({"smoothing": "ambient"}, {"smoothed_networks": []}, {"hermite_degree": 3}):
        (row,) = thresholds_table(make_members({(8, 8): [0.88, 0.84]}, **none), RULE).to_pylist()
        assert (row["g_c"], row["g_c_low"]) == (None, None)
    (lost,) = thresholds_table(make_members({(8, 8): [0.2]}), RULE).to_pylist()
    assert lost["g_c"] is None


def test_half_of_nothing_is_nothing():
    def level(curves, active_from="half_plateau"):
        return Rule(ORDER_PARAMETERS["kl_top"], active_from, 0.95).level(curves)

    flat = {0: (np.array([0.5, 1.0]), np.array([0.03, 0.0]))}
    assert level(flat) == level({}) == 0.1
    assert level(flat, 0.02) == 0.02
    ambient = {0: (np.array([0.0, 1.0]), np.array([0.0, 6.0]))}
    assert level(ambient) == 3.0


def test_it_is_said_where_the_information_departs_from_the_kl(make_members):
    members = with_information(make_members({(8, 8, 8): [0.88, 0.84, 0.3, 0.79]}), 0.88, None, None, 0.6)
    kl, known = thresholds_table(members, BOTH).to_pylist()
    assert kl["remark"] is None
    assert known["remark"] == (
        "the KL turns on in 3 of 4 seeds, the information at another rho in 1 and nowhere in 1 of them: a KL "
        "without information is what z_3 says of the noise of the layers below"
    )
    shown = format_thresholds(thresholds_table(members, BOTH))
    assert max(map(len, shown.splitlines()[-3:])) <= 80, "in lines of a terminal, broken between words"
    assert f"digits mlp 8,8,8: {known['remark']}" in " ".join(shown.split())


def test_nothing_is_said_where_they_agree(make_members):
    members = with_information(make_members({(8, 8): [0.88, 0.2, 1.2]}), 0.87, None, 1.1)
    assert thresholds_table(members, BOTH)["remark"].to_pylist() == [None, None]


def test_older_members_have_no_information_and_their_kl_still_has_a_threshold(make_members):
    """Their tables lack the metric, which is null when they are read."""
    members = make_members({(8, 8): [0.88, 0.84]})
    kl, known = thresholds_table(members, BOTH).to_pylist()
    assert (kl["status"], known["status"], known["remark"]) == ("transition", "unresolved", None)
    assert curves(members, ORDER_PARAMETERS["information_top"])["cell-8,8"][0][0].size == 0


def test_an_undefined_share_is_a_collapsed_layer_and_no_lost_member(make_members):
    rows = make_members({(8, 8): [0.88, 0.84]}).to_pylist()
    for row in rows:
        row |= {"active_units_top": 0, "signal_share_top": 0.9 if row["rho"] < 0.72 else None}
    members = pa.Table.from_pylist(rows, schema=MEMBERS)
    (row,) = thresholds_table(members, Rules({"signal_share_top": 0.5}, 0.95)).to_pylist()
    assert (row["status"], row["n_resolved"]) == ("transition", 2)
    for seed in row["seeds"]:
        assert (seed["low"], seed["high"]) == pytest.approx((0.7, 0.75))
        assert seed["jump"] == pytest.approx(0.9)
        assert seed["n_members"] == len(set(members["rho"].to_pylist()))


def test_a_share_that_was_not_measured_is_no_collapsed_layer(make_members):
    members = make_members({(8, 8): [0.88]}, diverged=[((8, 8), 0, 0.5)])
    assert members["active_units_top"].null_count == members.num_rows
    (row,) = thresholds_table(members, Rules({"signal_share_top": 0.5}, 0.95)).to_pylist()
    assert row["status"] == "unresolved"


def test_what_is_lost_has_no_share():
    lost = {"status": "diverged", "active_units_top": None, "signal_share_top": None, "kl_top_nats": None}
    completed = {"status": "completed", "active_units_top": 0, "signal_share_top": None, "kl_top_nats": None}
    share = ORDER_PARAMETERS["signal_share_top"]
    assert share.value(lost) is None
    assert share.value(completed) == 0
    assert share.value(completed | {"signal_share_top": 0.3}) == 0.3
    assert ORDER_PARAMETERS["kl_top"].value(completed) is None


def test_a_unit_is_an_entry_of_a_list_and_a_layer_with_fewer_units_has_none():
    first, third = (ORDER_PARAMETERS[f"kl_top_unit_{rank}"] for rank in (1, 3))
    member = {"status": "completed", "active_units_top": 2, "kl_units_top_nats": [0.9, 0.2]}
    assert (first.value(member), third.value(member)) == (0.9, None)
    assert first.value(member | {"kl_units_top_nats": None}) is None
    assert (first.curve, first.unit) == ("kl_units_top_nats_1", "nats")


def test_the_sensitivity_to_the_rule_is_shown(make_members):
    members = with_information(make_members({(8, 8): [0.88, 0.88]}), 0.6, 0.6)
    head, kl, known = format_sensitivity(members, BOTH).splitlines()
    assert head.split()[-7:] == ["0.05", "0.1", "0.2", "0.5", "1", "half", "plateau"]
    # at 0.5 nats 10 (0.88 - rho) = 0.5 lies in the step from 0.85, with 0.3 nats, to 0.8, with 0.8
    assert kl.split()[-3] == "0.825"
    assert known.split()[3] == "information_top"
    assert format_sensitivity(members, Rules({"signal_share_top": 0.5}, 0.95)) == ""


def test_the_figure_shows_them_over_one_another(make_members, make_run):
    members = with_information(make_members({(8, 8): [0.88, 0.84], (4, 4): [0.8, 0.8]}), 0.68, 0.74)
    results = Results(make_run(members), {"thresholds": thresholds_table(members, BOTH)})
    chart = order_parameters(chart_cells([results]))
    parts = [part["encoding"] for panel in panels(chart) for part in panel["layer"]]
    seeds = [encoding["y"] for encoding in parts if "detail" in encoding]
    assert [y["title"] for y in seeds] == ["top-layer KL (nats)", None, "top-layer information (nats)", None]
    critical_value = [
        row["critical_value"]
        for row in rows_of(chart.tables["thresholds"])
        if row["order"] == "information_top"
    ]
    assert critical_value[0] == pytest.approx(0.7, abs=0.03)
    means = [row for row in rows_of(chart.tables["mean-information_top_nats"]) if row["cell"] == 0]
    ends = min(row["lower"] for row in means), max(row["upper"] for row in means)
    assert ends == pytest.approx((-0.05, 2.1 + 0.05), abs=1e-6)
