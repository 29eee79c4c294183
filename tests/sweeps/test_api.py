"""A sweep from Python: the run of the command, in a program or a notebook that goes on."""

import shutil
import signal
import subprocess
import sys
import threading

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import sweeps
from search_spaces import SpaceError, load
from sweeps import SweepError
from tests.sweeps.conftest import ROOT, clean_environment, drawing_nothing, wait_until

KEYS = {
    "dataset": "digits",
    "latents": [(3, 3)],
    "hidden": (8,),
    "rho": np.linspace(0.6, 1, 3),
    "search": "grid",
    "seeds": np.int64(2),
    "steps": 20,
    "eval_every": 10,
    "batch_size": 50,
    "name": "tiny",
    "track": "sweep",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Let the current folder be empty, and no store be named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory, empty_store):
    """Return the run of a sweep of keys, without Ray and in silence."""
    out = tmp_path_factory.mktemp("swept") / "run"
    shutil.copy(empty_store, out.parent)
    return sweeps.sweep(KEYS, out=out, address="serial", quiet=True)


def test_it_returns_the_run_as_it_is_loaded(run, capsys):
    assert capsys.readouterr().out == ""
    assert sorted(run.members["rho"].unique()) == [0.6, 0.8, 1.0]
    assert len(run.members) == 6
    assert len(run.thresholds) == 2
    assert repr(run).startswith("load(")


def test_the_same_call_in_a_thread_goes_on_with_the_run(run, capsys):
    """Signals come to the main thread only."""
    (results,) = run._runs.values()
    again = []

    def more() -> None:
        again.append(sweeps.sweep(KEYS | {"rho": [0.6, 0.8, 0.9, 1]}, out=results.path, address="serial"))

    thread = threading.Thread(target=more)
    with drawing_nothing():
        thread.start()
        thread.join()
    assert "6 members are there already of about 8" in capsys.readouterr().out
    assert len(again[0].members) == 8


def test_a_space_is_read_from_a_name_a_file_keys_or_itself(monkeypatch, tmp_path):
    seen = []

    def swept(space, options, console):
        seen.append((space, options))
        raise SweepError("not now")

    monkeypatch.setattr("sweeps.driver.sweep", swept)
    (tmp_path / "mine.yaml").write_text("dataset: digits\nlatents: [[2, 2]]\nrho: [0.5, 1]\n")
    spaces = ["digits", tmp_path / "mine.yaml", {"dataset": "digits", "latents": [[2, 2]], "rho": [0.5, 1]}]
    for space in (*spaces, load("digits")):
        with pytest.raises(SweepError, match="not now"):
            sweeps.sweep(space, seeds=3, out="~/out", data_dir="~")
    digits, file, keys, itself = (space for space, _ in seen)
    assert digits == itself == load("digits", ["seeds=3"])
    assert (file.name, keys.name) == ("mine", "space")
    assert file.model_dump(exclude={"name"}) == keys.model_dump(exclude={"name"})
    options = seen[0][1]
    assert options.out == options.data_dir / "out"
    assert not options.ends_process


def test_wrong_keys_are_one_error():
    with pytest.raises(
        SpaceError, match=r"keys: 2 problems in the space\n  steps: .*\n  sedes: .*mean seeds\?"
    ):
        sweeps.sweep(KEYS, sedes=3, steps=0)


def test_what_went_wrong_is_the_error(monkeypatch):
    def swept(space, options, console):
        console.print("space digits")
        console.print("FAILED pack 1: no memory")
        return 1

    monkeypatch.setattr("sweeps.driver.sweep", swept)
    with pytest.raises(SweepError, match=r"runs/digits is not complete.*\nFAILED pack 1: no memory$"):
        sweeps.sweep("digits", quiet=True)


PROGRAM = """
from sweeps import sweep
keys = dict(dataset="digits", latents=[[4, 4]], rho=[0.6, 1.0], search="grid", seeds=1, track="sweep")
try:
    sweep(keys, steps=1_000_000, out="run", address="serial")
except KeyboardInterrupt:
    print("the program goes on")
else:
    print("complete")
"""


@pytest.mark.process
def test_an_interruption_saves_what_is_trained_and_the_program_goes_on(tmp_path):
    environment = clean_environment(tmp_path / "home") | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("w") as log:
        program = subprocess.Popen(
            [sys.executable, "-u", "-c", PROGRAM], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    output = (tmp_path / "log").read_text
    wait_until(lambda: "1 packs at once" in output() or program.poll() is not None, "it trains")
    program.send_signal(signal.SIGINT)
    program.wait(120)
    assert "SIGINT: stopping" in output()
    assert output().endswith("the program goes on\n")
    assert program.returncode == 0
    assert len([*(tmp_path / "run").glob("checkpoints/*.pt")]) == 1


@pytest.mark.process
def test_a_notebook_shows_the_progress_in_one_place(tmp_path):
    notebook = nbformat.v4.new_notebook()
    keys = KEYS | {
        "rho": [0.6, 0.8, 1.0],
        "seeds": 2,
        "steps": 2000,
        "eval_every": 1000,
    }  # packs last seconds
    code = f"from sweeps import sweep\nsweep({keys!r}, address='serial', out='run')"
    notebook.cells = [nbformat.v4.new_code_cell(code)]
    seen = []
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    process_message = client.process_message

    def record(message, *rest):
        if message["msg_type"] == "update_display_data":
            seen.append(message["content"]["data"]["text/plain"])
        return process_message(message, *rest)

    client.process_message = record
    environment = clean_environment(tmp_path / "home") | {"PYTHONPATH": str(ROOT)}
    client.execute(env=environment)
    outputs = notebook.cells[0].outputs
    assert outputs[-1]["data"]["text/plain"] == "load('run')"
    displayed = [output for output in outputs if output["output_type"] == "display_data"]
    assert [output["data"]["text/plain"] for output in displayed] == [""], "it goes at the end"
    assert any("members 3/6" in text and "digits mlp 3,3" in text for text in seen), seen
    text = "".join(output.get("text", "") for output in outputs)
    assert "kl_top: active from" in text
    assert "\x1b" not in text
