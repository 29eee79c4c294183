"""The benchmark of the exact control says what its sweeps found."""

import math
from pathlib import Path

import pytest

from analysis.statistics.scale import LINEAR, Scale
from benchmarks.linear_control import MODELS, Found, Model, digest, keep, kept, line, sweep, sweeps

ROOT = Path(__file__).parents[2]
FEW = ["steps=2", "eval_every=2", "batch_size=10", "max_members=10"]


def result(low, high, **columns):
    values = {
        "critical_value": (low + high) / 2,
        "critical_low": low,
        "critical_high": high,
        "half_width": (high - low) / 2,
    }
    values |= {"ratio": 0.64, "draws": 5, "first_seed": 0, "critical_exact": 0.8, "members": 28}
    return Found(**values | {"settings": "5e77", "commit": "unknown"} | columns)


def test_a_line_counts_the_intervals_with_the_exact_threshold_in_them():
    rows = [result(0.79, 0.81), result(0.795, 0.805), result(0.76, 0.78, members=34)]
    assert line(Model(0.64, 5), rows, "rho", LINEAR) == (
        "r 0.64  K  5  rho_c 0.8000  inside 2 of 3  half-width 0.0100, at most 0.0100  "
        "bias -0.0100 (0.0100)  members 28"
    )


def test_a_sweep_without_an_interval_is_no_success():
    unbounded = result(0.79, 0.81, critical_value=None, critical_high=None, half_width=None)
    assert "inside 1 of 2" in line(Model(0.64, 5), [result(0.79, 0.81), unbounded], "rho", LINEAR)


@pytest.mark.process
def test_a_sweep_is_of_its_control_and_its_seeds(tmp_path):
    """On few steps: that they find the exact threshold is `tests/sweeps/test_linear_control.py`."""
    row = sweep("linear_control", FEW, Model(0.6, 3), 40)
    assert row.critical_exact == pytest.approx(math.sqrt(0.4))
    assert (row.ratio, row.draws, row.first_seed, row.members) == (0.6, 3, 40, 10)
    with pytest.raises(RuntimeError, match="failed:\nerror: "):
        sweep("linear_control", ["steps=none"], Model(0.6, 3), 50)


def test_a_file_keeps_sweeps_of_one_setting_and_none_is_run_again(tmp_path, monkeypatch):
    path, settings = tmp_path / "results" / "control.csv", digest("linear_control", FEW)
    rows = [
        result(0.79, 0.81, settings=settings),
        result(0.76, 0.78, first_seed=200, half_width=None, settings=settings),
    ]
    for row in rows:
        keep(path, row)
    assert list(kept(path, settings).values()) == rows
    monkeypatch.setitem(MODELS, "linear_control", [Model(0.64, 5)])
    assert [row for _, row in sweeps(path, "linear_control", FEW, 2, 0, 1)] == rows
    with pytest.raises(ValueError, match=rf"settings {settings}, not \w+: name another file"):
        kept(path, digest("linear_control", ["steps=2"]))


def test_settings_of_model_and_seeds_do_not_count():
    def settings(*keys):
        return digest("linear_control", keys)

    assert settings("seeds=7", "data_variance=[0.3]") == settings() != settings("steps=7")
    assert settings() != digest("linear_beta", [])
    assert (
        len({settings(), settings("confidence=0.9"), settings("search=grid"), settings("tolerance=0.02")})
        == 4
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks/results").glob("linear_*.csv")), ids=lambda path: path.stem
)
def test_the_results_that_are_kept_are_of_the_space(path):
    """So that the command of the documents goes on from them."""
    results = kept(path, digest(path.stem, []))
    assert {model for model, _ in results} <= {*MODELS[path.stem]}
    assert len(results) == 40 * len(MODELS[path.stem])


def test_errors_on_a_log_scale_are_in_decades():
    rows = [result(0.7, 0.9, critical_value=0.08, critical_exact=0.8)]
    assert "bias -1.0000" in line(Model(0.64, 5), rows, "kl_weight", Scale("log"))
