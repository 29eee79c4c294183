"""The controls: thresholds in g, what of a transition is discount, and what a linear top layer knows."""

import pytest

from analysis.appendix.claims import FAILS, HOLDS
from analysis.appendix.exhibits import controls
from analysis.appendix.loading import load
from analysis.charts.data import rows_of
from tests.analysis.appendix.conftest import control_rows
from tests.analysis.conftest import legend, panels


@pytest.fixture
def run_of(make_members, write_run):
    """Return a maker of the run of some controls."""
    return lambda **how: load(
        controls.EXHIBIT, write_run("controls-quick", control_rows(make_members, **how))
    )


def test_thresholds_that_agree_in_g_are_found_to(run_of):
    in_g, spectral, linear = controls.claims(run_of())
    (evidence,) = in_g.evidence
    assert evidence.ours.mean < 0.1, "brackets of 0.001 in rho are left"
    assert evidence.ours.n == 2
    assert [claim.verdict for claim in (spectral, linear)] == [HOLDS, HOLDS]


@pytest.mark.parametrize("discount", [1.5, 3.0])
def test_the_share_that_is_discount(run_of, discount):
    """Shrinking wakes the layer at `discount` times the 1 - g of smoothing."""
    _, spectral, _ = controls.claims(run_of(discount=discount))
    assert [piece.ours.mean for piece in spectral.evidence] == pytest.approx([1 / discount] * 2, rel=0.01)


def test_smoothing_that_is_no_better_than_its_discount(run_of):
    _, spectral, _ = controls.claims(run_of(discount=0.5))
    assert spectral.verdict == FAILS


def test_a_linear_layer_that_knew_something_would_be_seen(run_of):
    *_, linear = controls.claims(run_of(information=0.3))
    assert linear.verdict != HOLDS
    assert linear.evidence[0].ours.mean == pytest.approx(0.299)


def test_all_that_was_trained_is_listed(run_of):
    head, *lines = controls.cells(run_of())
    assert {line[1] for line in lines} == {
        "K = 2", "K = 5", "shrink", "weight 0.5, \u03c1 = 1", "weight 0.8, \u03c1 = 1", "linear, K = 5"
    }  # fmt: skip
    assert all(len(line) == len(head) for line in lines)


def test_the_figure_has_both_order_parameters_against_both_controls(run_of):
    chart = controls.EXHIBIT.draw(run_of())
    x = [panel["encoding"]["x"]["title"] for panel in panels(chart)]
    assert x == ["noise that is left, g"] * 2 + ["weight of the top layer's KL"] * 2
    assert legend(chart) == ["K = 2", "K = 5", "shrink", "weight of the top layer's KL"]
    rows = rows_of(chart.tables["points"])
    assert all(0 < row["at"] <= 1 for row in rows if row["line"] == 0)
    assert [row["at"] for row in rows if row["line"] == 2] == [0.5, 0.8, 1.0]


def test_an_end_that_the_data_leave_open_is_said(run_of):
    run = run_of()
    first = next(row for row in run.all_thresholds if row["critical_value"] is not None)
    first.update(critical_low=None, g_c_high=None)
    _, line, *_ = controls.cells(run)
    assert (line[5], line[7]) == (f"below {first['critical_high']:.3f}", f"above {first['g_c_low']:.3f}")
