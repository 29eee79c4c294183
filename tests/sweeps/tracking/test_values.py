"""What MLflow is told of a cell."""

from datetime import UTC, datetime

from ouvae.declared import ORDER_PARAMETERS
from sweeps.tracking.values import cell_tags, curve_values, member_values, threshold_values

CURVES = {"kl_top_nats": [(0.5, 3.0), (1.0, 0.0)], "information_top_nats": [(0.5, 1.0), (1.0, -0.01)]}
ROWS = [
    {"n_members": 12, **row}
    for row in (
        {
            "order_parameter": "kl_top",
            "critical_value": 0.9,
            "half_width": 0.02,
            "spread_left_low": 0.01,
            "jump": 0.4,
            "g_c": None,
            "status": "transition",
            "active_from": 0.1,
        },
        {
            "order_parameter": "information_top",
            "critical_value": None,
            "status": "always_collapsed",
            "active_from": 0.2,
        },
        {"order_parameter": "kl_top_pair", "critical_value": 0.7, "status": "transition", "active_from": 0.1},
    )
]


def test_every_order_parameter_has_its_curve_and_its_threshold():
    found = curve_values(CURVES, base_ms=0) + threshold_values(ROWS, base_ms=0)
    assert {(value.key, value.step): value.value for value in found} == {
        ("kl_top_nats", 500): 3.0,
        ("kl_top_nats", 1000): 0.0,
        ("information_top_nats", 500): 1.0,
        ("information_top_nats", 1000): -0.01,
        ("critical_value", 12): 0.9,
        ("half_width", 12): 0.02,
        ("spread_left_low", 12): 0.01,
        ("jump", 12): 0.4,
        ("kl_top_pair/critical_value", 12): 0.7,
        ("n_members", 12): 12,
        ("information_top/n_members", 12): 12,
        ("kl_top_pair/n_members", 12): 12,
    }


def test_an_undefined_value_is_no_point():
    row = {"status": "completed", "steps": 10, "likelihood": "bernoulli", "seconds": 1.0}
    row |= {"control": "rho", "value": 0.5, "finished_at": datetime(2026, 1, 1, tzinfo=UTC)}
    row |= {"signal_share": [0.5, None, 0.2], "signal_share_top": None}
    found = {value.key: value.value for value in member_values(row, [{**row, "step": 10}])}
    assert found == {"signal_share/z1": 0.5, "signal_share/z3": 0.2, "rho": 0.5, "seconds": 1.0}


def test_of_the_units_only_those_that_are_watched_are_values():
    row = {"status": "completed", "steps": 10, "likelihood": "bernoulli", "seconds": 1.0}
    row |= {"control": "rho", "value": 0.5, "finished_at": datetime(2026, 1, 1, tzinfo=UTC)}
    row |= {"kl_units_top_nats": [0.9, 0.2]}
    watched = [ORDER_PARAMETERS[name] for name in ("kl_top", "kl_top_unit_2", "kl_top_unit_3")]
    found = {value.key: value.value for value in member_values(row | {"kl_top_nats": 1.1}, [], watched)}
    assert found == {"kl_top_nats": 1.1, "kl_units_top_nats_2": 0.2, "rho": 0.5, "seconds": 1.0}


def test_tags_say_of_which_order_parameter_they_are():
    tags = cell_tags(ROWS)
    assert tags["status"] == tags["kl_top_pair/status"] == "transition"
    assert tags["information_top/status"] == "always_collapsed"
    assert (tags["active_from"], tags["information_top/active_from"]) == ("0.1", "0.2")
