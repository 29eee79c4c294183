"""A pack on a worker, without one."""

import pickle
import subprocess
import sys

import pytest

from ouvae.data import load as load_data
from ouvae.systems.vae import Hierarchy
from ouvae.training.device import DeviceError
from search_spaces import load
from sweeps.worker import work as work_module
from sweeps.worker.states import Folder
from sweeps.worker.task import News, Task
from sweeps.worker.work import PackWork


def test_a_result_is_plain_for_whom_torch_is_not_loaded():
    data = load_data("digits")
    cell = load("digits", ["latents=[[2, 2]]", "steps=1", "eval_images=8"]).cells()[0]
    task = Task("pack", cell, "rho", [(0.5, 0)], data.digest, "cpu", 1, 2**20, Folder(""), 0.0, drawn=[0])
    result = PackWork(task, data).advance(60.0)
    code = (
        "import pickle, sys\n"
        "result = pickle.load(sys.stdin.buffer)\n"
        "assert result.outcomes[0].history and result.sheets[0].samples, result\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(result), check=True)


@pytest.mark.parametrize(
    ("error", "notice"),
    [(NotImplementedError("no"), []), (OSError("odd"), ["sheets not drawn: OSError: odd"])],
)
def test_a_pack_that_cannot_be_drawn_has_its_numbers(monkeypatch, error, notice):
    def fail(*_):
        raise error

    monkeypatch.setattr(Hierarchy, "generate_from", fail)
    data = load_data("digits")
    cell = load("digits", ["latents=[[2, 2]]", "steps=1", "eval_images=8"]).cells()[0]
    task = Task("pack", cell, "rho", [(0.5, 0)], data.digest, "cpu", 1, 2**20, Folder(""), 0.0, drawn=[0])
    work = PackWork(task, data)
    result = work.advance(60.0)
    assert result.outcomes[0].history
    assert (result.sheets, work.take_news().notices) == ({}, notice)


def test_a_pack_that_goes_on_on_another_machine_names_both(tmp_path, monkeypatch):
    data = load_data("digits")
    cell = load("digits", ["latents=[[2, 2]]", "steps=2", "eval_images=8"]).cells()[0]
    task = Task("pack", cell, "rho", [(0.5, 0)], data.digest, "cpu", 1, 2**20, Folder(str(tmp_path)), 60.0)
    for name in ("old CPU", "new CPU"):
        here = {"processor": name, "cpu_features": "AVX2", "library_versions": "NumPy 2"}
        monkeypatch.setattr(work_module, "machine", lambda device, here=here: here)
        work = PackWork(task, data)
        work.save()
    assert work.take_news() == News()
    result = work.advance(60.0)
    assert result.machine == here | {"processor": "old CPU; new CPU"}


def test_a_gpu_that_cannot_be_used_is_refused_with_the_way_out(make_space):
    """Ray may count a GPU where PyTorch is built for CPUs or finds none: the first touch of it says so."""
    data = load_data("digits")
    task = Task(
        "pack", make_space().cells()[0], "rho", [(0.5, 0)], data.digest, "cuda:99", 1, 2**20, Folder(""), 0.0
    )
    with pytest.raises(DeviceError, match="set device=cpu"):
        PackWork(task, data)


@pytest.mark.parametrize(
    ("folder", "minutes", "weights", "is_missed"),
    [
        ("here", 5, "here", False),
        ("unseen", 5, "", True),
        ("unseen", 0, "", False),
        ("unseen", 0, "unseen", True),
    ],
)
def test_a_pack_knows_that_it_misses_the_run_directory(
    tmp_path, make_space, folder, minutes, weights, is_missed
):
    (tmp_path / "here").mkdir()
    states, data = Folder(str(tmp_path / folder)), load_data("digits")
    task = Task(
        pack_id="p",
        cell=make_space(hidden=[4]).cells()[0],
        control="rho",
        members=[(1.0, 0)],
        data=data.digest,
        device="cpu",
        threads=1,
        evaluation_bytes=2**30,
        states=states,
        checkpoint_seconds=60 * minutes,
        weights=weights and str(tmp_path / weights / "p.safetensors"),
    )
    work = PackWork(task, data, states.at_worker())
    work.save()
    assert bool(work.take_news().unseen) == is_missed
    assert states.packs() == (["p"] if folder == "here" else [])
