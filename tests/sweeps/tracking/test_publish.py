"""The page of the appendix and other files in MLflow, through the command lines."""

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.appendix.published import NAMES
from sweeps.tracking.runs import check

ROOT = Path(__file__).parents[3]


def command(*words):
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def runs_of(store):
    check(store)  # which imports MLflow so that it keeps quiet in this process
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("paper")
    return client, client.search_runs([experiment.experiment_id])


def test_the_page_is_logged_with_its_verdicts_and_replaced_by_the_next(tmp_path):
    """No run is there: the page says so, and so do the tags."""
    store = f"sqlite:///{tmp_path}/runs/mlflow.db"
    for _ in range(2):
        done = command("analysis/paper.py", "all", "--runs", tmp_path / "runs")
        assert done.returncode == 0, done.stderr
        assert "logged to MLflow: http://127.0.0.1:5000/#/experiments/" in done.stdout
    client, (run,) = runs_of(store)
    assert run.info.run_name == "appendix, quick"
    assert run.info.status == "FINISHED"
    assert {name: run.data.tags[name] for name in NAMES} == {
        name: f"not run: python sweeps/paper.py {name} --budget quick" for name in NAMES
    }
    (page,) = client.list_artifacts(run.info.run_id)
    logged = Path(client.download_artifacts(run.info.run_id, page.path, tmp_path))
    assert logged.read_bytes() == (tmp_path / "runs" / "paper.html").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.html", "--run", "a"], "no such file: missing.html"),
        (["README.md", "--run", "a", "--tag", "b"], "--tag b: write it as KEY=VALUE"),
        (["README.md", "--run", "a", "--tracking-uri", "http://127.0.0.1:9"], "http://127.0.0.1:9"),
    ],
    ids=["no file", "no tag", "no server"],
)
def test_bad_input_is_one_clear_error(words, said):
    done = command("sweeps/publish.py", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
