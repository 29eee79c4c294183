"""A pack on a worker, without one."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

from ouvae.data import load as load_data
from search_spaces import load
from sweeps.worker import work as work_module
from sweeps.worker.task import Task
from sweeps.worker.work import PackWork

ROOT = Path(__file__).parents[3]


def test_a_result_is_plain_for_whom_torch_is_not_loaded():
    data = load_data("digits")
    cell = load("digits", ["latents=[[2, 2]]", "steps=1", "eval_images=8"]).cells()[0]
    task = Task("pack", cell, [(0.5, 0)], data.digest, "cpu", 1, 2**20, "", 0.0)
    result = PackWork(task, data).advance(60.0)
    code = (
        "import pickle, sys\n"
        "result = pickle.load(sys.stdin.buffer)\n"
        "assert result.outcomes[0].history, result\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(result), check=True)


def test_a_pack_that_goes_on_on_another_machine_names_both(tmp_path, monkeypatch):
    data = load_data("digits")
    cell = load("digits", ["latents=[[2, 2]]", "steps=2", "eval_images=8"]).cells()[0]
    task = Task("pack", cell, [(0.5, 0)], data.digest, "cpu", 1, 2**20, str(tmp_path / "pack.pt"), 60.0)
    for name in ("old CPU", "new CPU"):
        here = {"processor": name, "cpu_features": "AVX2", "library_versions": "NumPy 2"}
        monkeypatch.setattr(work_module, "machine", lambda device, here=here: here)
        work = PackWork(task, data)
        work.save()
    assert work.notices == []
    result = work.advance(60.0)
    assert result.machine == here | {"processor": "old CPU; new CPU"}


def test_a_gpu_that_cannot_be_used_is_refused_with_the_way_out():
    """Ray may count a GPU where PyTorch is built for CPUs or finds none: the first touch of it says so."""
    code = (
        "from ouvae.data import load as load_data\n"
        "from search_spaces import load\n"
        "from sweeps.worker.task import Task\n"
        "from sweeps.worker.work import PackWork\n"
        "data = load_data('digits')\n"
        "cell = load('digits', ['latents=[[2, 2]]', 'steps=1', 'eval_images=8']).cells()[0]\n"
        "PackWork(Task('pack', cell, [(0.5, 0)], data.digest, 'cuda', 1, 2**20, '', 0.0), data)\n"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ouvae.training.device.DeviceError: "), run.stderr
    assert "set device=cpu" in last
