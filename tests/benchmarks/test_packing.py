"""The benchmark of packing: its arithmetic, its check of equal work, and that it prints what it says."""

import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from benchmarks import packing
from benchmarks.packing import BenchmarkError, Run, Training
from ouvae.data import load as load_data

ROOT = Path(__file__).parents[2]
NUMBER = r"([\d.]+)"


def benchmark(*arguments):
    """Run the script as a user does and return what it printed."""
    done = subprocess.run(
        [sys.executable, "benchmarks/packing.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def small_space():
    return packing.grid(Namespace(dataset="digits", members=6, steps=5, overrides=["seeds=2"]))


def test_the_shares_of_a_known_run():
    # Two slots: one trains from 10 to 16 and 17 to 20, the other from 11 to 15 and, alone, 21 to 29.
    trainings = [Training(16, 6, 3), Training(20, 3, 3), Training(15, 4, 3), Training(29, 8, 3)]
    run = Run(0, {"imports": 2, "Ray": 7, "tables": 30}, 32, trainings, slots=2, kl_top_nats={})
    assert run.in_training == (16 - 10) + (20 - 17) + (29 - 21)
    assert run.phases() == {
        "imports": 2,
        "Ray": 5,
        "first worker": 3,
        "between packs": 2,
        "tables": 1,
        "exit": 2,
    }
    assert sum(run.phases().values()) + run.in_training == run.wall
    assert run.slot_seconds == 21
    assert run.tail == 29 - 21
    assert run.rates() == {"command": 60 * 12 / 32, "running": 60 * 12 / 22, "training": 60 * 12 * 2 / 21}


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_equal_work_is_checked(monkeypatch):
    monkeypatch.setattr(packing, "CHECK_STEPS", 8)
    space, data = small_space(), load_data("digits")
    assert "float64" in packing.same_work(space, data)
    plain = packing.PlainMember
    monkeypatch.setattr(
        packing, "PlainMember", lambda cell, data, rho, seed: plain(cell, data, rho, seed + 1)
    )
    with pytest.raises(BenchmarkError, match="different work"):
        packing.same_work(space, data)


def test_other_members_are_no_comparison():
    with pytest.raises(BenchmarkError, match=r"packed trained .*, plain trained"):
        packing.differences({(0.5, 0): 1.0}, {(0.5, 1): 1.0})


def test_members_that_make_no_grid_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        packing.main(["--members", "7"])
    assert "multiple of 3" in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.proof
def test_both_ways_are_compared():
    printed = benchmark("--members", "6", "--steps", "20", "--repeats", "1", "--set", "seeds=2")
    assert "4 members (2 rho x 2 seeds) of 20 steps" in printed
    rates = {
        way: re.search(
            f"run 1 {way} .*command {NUMBER}, running {NUMBER}, training {NUMBER}", printed
        ).groups()
        for way in ("packed", "plain ")
    }
    (apart,) = re.findall(f"float32 differ by {NUMBER} {NUMBER} {NUMBER} nats", printed)
    assert float(apart[-1]) < 1e-3
    for index, name in enumerate(("command", "running", "training")):
        columns = [float(text) for text in re.search(rf"(?m)^{name} +(.*)$", printed).group(1).split()]
        packed, plain, ratio = columns[0::3]
        assert (packed, plain) == tuple(
            pytest.approx(float(rates[way][index]), abs=0.06) for way in ("packed", "plain ")
        )
        assert ratio == pytest.approx(packed / plain, rel=0.02)


@pytest.mark.process
@pytest.mark.proof
def test_the_overhead_of_a_sweep_adds_up():
    settings = ("steps=40", "eval_every=40", "latents=[[4,4]]", "seeds=1", "rho=[0.5,1.0]", "search=grid")
    settings += (f"cpus_per_pack={packing.CPUS}",)
    printed = benchmark("--overhead", *(word for setting in settings for word in ("--set", setting)))
    lines = re.findall(rf"(?m)^( *)(.*?) +{NUMBER} s +{NUMBER} %", printed)
    seconds = {name: float(value) for _, name, value, _ in lines}
    wall, training, idle = seconds["wall time"], seconds["a pack in training"], seconds["not training"]
    assert 0 < training < wall
    assert training + idle == pytest.approx(wall, abs=0.2)
    names = [name for _, name, _, _ in lines]
    slots = next(name for name in names if name.startswith("idle slots"))
    phases = names[names.index("not training") + 1 : names.index(slots)]
    assert {"imports, data", "Ray", "first worker", "between packs"} <= set(phases)
    assert sum(seconds[name] for name in phases) == pytest.approx(idle, abs=0.5)
    assert sum(seconds[name] for name in names[names.index(slots) + 1 :]) == pytest.approx(
        seconds[slots], abs=0.3
    )
