"""What a dry run estimates."""

import csv
from types import SimpleNamespace

from sweeps.preview import gpu_step_seconds
from tests.sweeps.conftest import ROOT


def test_steps_on_a_gpu_are_within_half_of_the_measured_ones():
    with (ROOT / "benchmarks/results/step_cuda.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["way"], row["precision"]) == ("pack", "float32")]
    assert len(rows) > 10
    for row in rows:
        seconds, members = float(row["ms"]) / 1000, int(row["members"])
        multiply_adds = float(row["gflops"]) * 1e9 * seconds / members / 2
        cell = SimpleNamespace(multiply_adds=lambda value=multiply_adds: value)
        assert 1 / 1.5 < gpu_step_seconds(cell, members) / seconds < 1.5, row
