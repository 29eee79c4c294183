"""The benchmark of the step times what it says, beside the limits of the machine."""

import time

import pytest
import torch
from pyarrow import csv

from benchmarks import step


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_turn_times_one_step():
    slow = step.Contender(lambda: time.sleep(0.02), "cpu")
    slow.take_turn(0.05)
    slow.take_turn(0)
    assert len(slow.times) == 2
    assert all(0.02 <= seconds < 0.2 for seconds in slow.times)


def test_a_row_is_of_its_pack_and_the_columns_agree(tmp_path, capsys):
    out = tmp_path / "results" / "step.csv"
    arguments = ["--models", "digits", "--members", "1", "2", "--seconds", "0.01", "--out", str(out)]
    arguments += ["--steps", "400"]
    assert step.main(arguments) == 0
    rows = csv.read_csv(out).to_pylist()
    assert [(row["model"], row["way"], row["members"], row["seeds"]) for row in rows] == [
        ("digits", "plain", 1, 1),
        ("digits", "pack", 1, 1),
        ("digits", "pack", 2, 2),
    ]
    for row in rows:
        assert row["member_steps_per_s"] == pytest.approx(1e3 * row["members"] / row["ms"], rel=0.01)
        assert row["share_of_product"] == pytest.approx(
            row["gflops"] / row["product_gflops"], rel=0.1, abs=2e-3
        )
        # three times the products of 10,10 with two hidden layers of 64, a batch of 100 and five draws
        inference = (64 * 64 * 2 + 64 * 20) + (10 * 64 + 64 * 64 + 64 * 20)
        generative = 5 * (10 * 64 + 64 * 64) + 64 * 20 + (10 * 64 + 64 * 64 + 64 * 64)
        million = 3 * 100 * (inference + generative) / 1e6
        assert row["gflops"] == pytest.approx(
            2 * million * row["member_steps_per_s"] / 1e3, rel=0.1, abs=0.06
        )
    assert "of the product" in capsys.readouterr().out


def test_models_without_data_are_left_out_and_that_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("OUVAE_DATA", str(tmp_path))
    assert step.main(["--models", "mnist", "--seconds", "0.01"]) == 0
    assert "mnist: left out: " in capsys.readouterr().out
