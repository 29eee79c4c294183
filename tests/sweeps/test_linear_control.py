"""The whole pipeline but Ray against a threshold that is known exactly: the linear Gaussian VAE."""

import math
import platform

import pytest
import torch

import search_spaces
from analysis.statistics.rule import rules_of
from ouvae.data import load
from ouvae.training.pack import PackTraining
from sweeps.plan.cells import plan_cells
from sweeps.record.tables import write_tables
from sweeps.schedule import Schedule
from sweeps.search.of_space import searches_of
from sweeps.worker.hardware import machine
from sweeps.worker.task import PackResult
from tests.sweeps.conftest import finish, opened


def train_here(schedule, ledger, data):
    """Train the schedule's packs one after the other in this process."""
    while (planned := schedule.next_pack()) is not None:
        pack = PackTraining(planned.cell.cell, [(p.value, p.seed) for p in planned.points], data)
        while not pack.done:
            pack.train_step()
        versions = (torch.__version__, platform.python_version(), machine("cpu"))
        result = PackResult(tuple(pack.outcomes()), pack.parameters_per_member, 1.0, *versions)
        finish(schedule, ledger, planned, result)


def test_the_exact_threshold_is_found(tmp_path):
    torch.set_num_threads(1)
    ratio, draws = 0.7, 4
    exact = math.sqrt((ratio - 1 / draws) / (1 - 1 / draws))
    space = search_spaces.load(
        "linear_control",
        [
            f"data_variance=[{2 * ratio}]",
            "observation_variance=2.0",
            f"ou_samples={draws}",
            "rho={low: 0.6, high: 1.0, points: 3}",
            "tolerance=0.05",
            "steps=600",
            "eval_every=300",
            "learning_rate=0.02",
            "batch_size=2000",
        ],
    )
    data = load("gaussian", data_variance=space.data_variance)
    with opened(tmp_path, space) as ledger:
        cells = plan_cells(space.swept(), lambda cell: data, "cpu")
        rules = rules_of(space.model_dump())
        searches = searches_of(space, [ledger.observed(cell) for cell in cells])
        schedule = Schedule(cells, searches, ledger, 1)
        train_here(schedule, ledger, data)
        assert schedule.done
        tables = write_tables(ledger, [cell.cell_id for cell in cells], rules)
    (row,) = tables["thresholds"].to_pylist()
    assert row["status"] == "transition"
    assert row["critical_exact"] == pytest.approx(exact, abs=1e-12)
    assert row["critical_low"] <= exact <= row["critical_high"]
    assert row["half_width"] <= row["half_width_asked"] == 0.05
    assert row["n_seeds"] > 2
    assert set(tables["members"]["status"].to_pylist()) == {"completed"}
