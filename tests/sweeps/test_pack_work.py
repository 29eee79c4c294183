"""A pack on a worker, without one."""

import pickle
import subprocess
import sys

from ouvae.data import load as load_data
from search_spaces import load
from sweeps.cluster.messages import Task
from sweeps.pack_work import PackWork


def test_a_report_is_plain_for_whom_torch_is_not_loaded():
    data = load_data("digits")
    cell = load("digits", ["latents=[[2, 2]]", "steps=1", "eval_images=8"]).cells()[0]
    task = Task("pack", cell, [(0.5, 0)], data.digest, "cpu", 1, 2**20, "", 0.0)
    report = PackWork(task, data).advance(60.0)
    code = (
        "import pickle, sys\n"
        "report = pickle.load(sys.stdin.buffer)\n"
        "assert report['outcomes'][0]['history'], report\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(report), check=True)
