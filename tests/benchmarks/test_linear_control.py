"""The benchmark of the exact control says what its sweeps found."""

import math

import pytest

from benchmarks.linear_control import Control, keep_settings, line, sweep


def row(low, high, **columns):
    centre = (low + high) / 2
    values = {"rho_c": centre, "rho_c_low": low, "rho_c_high": high, "half_width": (high - low) / 2}
    return {"rho_c_exact": 0.8, "n_members": 28} | values | columns


def test_a_line_counts_the_intervals_with_the_exact_threshold_in_them():
    rows = [row(0.79, 0.81), row(0.795, 0.805), row(0.76, 0.78, n_members=34)]
    assert line(Control(0.64, 5), rows) == (
        "r 0.64  K  5  rho_c 0.8000  inside 2 of 3  half-width 0.0100, at most 0.0100  "
        "bias -0.0100 (0.0100)  members 28"
    )


def test_a_sweep_without_an_interval_is_no_success():
    unbounded = row(0.79, 0.81, rho_c=None, rho_c_high=None, half_width=None)
    assert "inside 1 of 2" in line(Control(0.64, 5), [row(0.79, 0.81), unbounded])


@pytest.mark.process
def test_a_sweep_is_of_its_control_and_its_seeds(tmp_path):
    """On few steps: that they find the exact threshold is `tests/sweeps/test_linear_control.py`."""
    few = ["steps=2", "eval_every=2", "batch_size=10", "max_members=10"]
    found = sweep(tmp_path, few, Control(0.6, 3), 40)
    assert found["rho_c_exact"] == pytest.approx(math.sqrt(0.4))
    assert [seed["seed"] for seed in found["seeds"]] == [40, 41]
    with pytest.raises(RuntimeError, match="failed:\nerror: "):
        sweep(tmp_path, ["steps=none"], Control(0.6, 3), 50)
    assert sweep(tmp_path, ["steps=none"], Control(0.6, 3), 40) == found  # kept: nothing is run again


def test_a_folder_keeps_sweeps_of_one_setting(tmp_path):
    keep_settings(tmp_path, ["steps=2"])
    keep_settings(tmp_path, ["steps=2"])
    with pytest.raises(ValueError, match=r"--set \['steps=2'\], not \[\]: name another folder"):
        keep_settings(tmp_path, [])
