"""The whole pipeline but Ray against a threshold that is known exactly: the linear Gaussian VAE."""

import math
import platform

import pytest
import torch

import search_spaces
from analysis.statistics.rule import rules_of
from ouvae.data import load
from ouvae.training.pack import pack_of
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
        points = [(point.value, point.seed) for point in planned.points]
        pack = pack_of(planned.cell.cell, planned.cell.control, points, data)
        while not pack.done:
            pack.train_step()
        versions = (torch.__version__, platform.python_version(), machine("cpu"))
        result = PackResult(tuple(pack.outcomes()), pack.parameters_per_member, 1.0, *versions)
        finish(schedule, ledger, planned, result)


def swept_here(folder, space):
    """Sweep a space in this process and return the tables."""
    torch.set_num_threads(1)
    data = load("gaussian", data_variance=space.data_variance)
    with opened(folder, space) as ledger:
        cells = plan_cells(space.swept(), lambda cell: data, "cpu")
        searches = searches_of(space, [ledger.observed(cell) for cell in cells])
        schedule = Schedule(cells, searches, ledger, 1)
        train_here(schedule, ledger, data)
        assert schedule.done
        return write_tables(ledger, [cell.cell_id for cell in cells], rules_of(space.model_dump()))


def test_the_exact_threshold_is_found(tmp_path):
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
    tables = swept_here(tmp_path, space)
    (row,) = tables["thresholds"].to_pylist()
    assert row["status"] == "transition"
    assert row["critical_exact"] == pytest.approx(exact, abs=1e-12)
    assert row["critical_low"] <= exact <= row["critical_high"]
    assert row["half_width"] <= row["half_width_asked"] == 0.05
    assert row["n_seeds"] > 2
    assert set(tables["members"]["status"].to_pylist()) == {"completed"}


def test_each_unit_collapses_at_its_exact_weight(tmp_path):
    """Two eigenvalues and three units: the third is collapsed at every weight."""
    space = search_spaces.load(
        "linear_beta",
        [
            "data_variance=[0.8, 2.4]",
            "latents=[[3]]",
            "search=grid",
            "kl_weight=[0.6, 1.0, 1.25, 3.1, 3.65]",
            "active_from={kl_top_unit_1: 0.01, kl_top_unit_2: 0.01, kl_top_unit_3: 0.01, "
            "active_units_top: 2}",
            "follow=kl_top_unit_1",
            "steps=400",
            "eval_every=400",
            "learning_rate=0.02",
            "batch_size=1000",
        ],
    )
    first, second, third, count = swept_here(tmp_path, space)["thresholds"].to_pylist()
    g = 0.8**2 + (1 - 0.8**2) / 5
    for row, variance in ((first, 2.4), (second, 0.8), (count, 0.8)):
        assert row["status"] == "transition"
        assert row["critical_exact"] == pytest.approx(variance / g)
        for seed in row["seeds"]:
            assert seed["low"] < variance / g < seed["high"]
    assert (third["status"], third["critical_exact"]) == ("always_collapsed", None)
