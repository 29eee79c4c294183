"""The page of the appendix in MLflow, through the command lines."""

from pathlib import Path

import pytest

from analysis import paper
from analysis.appendix.exhibits import NAMES
from sweeps import publish
from sweeps.tracking.uri import ui_port
from tests.sweeps.conftest import ROOT


def runs_of(store):
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("paper")
    return client, client.search_runs([experiment.experiment_id])


def test_the_page_is_logged_with_its_verdicts_and_replaced_by_the_next(tmp_path, capsys):
    """No run is there: the page says so, and so do the tags."""
    store = f"sqlite:///{tmp_path}/runs/mlflow.db"
    for _ in range(2):
        assert paper.main(["all", "--runs", str(tmp_path / "runs")]) == 0
        assert f"python sweeps/publish.py {tmp_path / 'runs'}" in capsys.readouterr().out
        assert publish.main([str(tmp_path / "runs")]) == 0
        assert f"logged to MLflow: http://127.0.0.1:{ui_port()}/#/experiments/" in capsys.readouterr().out
    client, (run,) = runs_of(store)
    assert run.info.run_name == "appendix, quick"
    assert run.info.status == "FINISHED"
    assert {name: run.data.tags[name] for name in NAMES} == {
        name: f"not run: python sweeps/paper.py {name} --budget quick" for name in NAMES
    }
    (page,) = client.list_artifacts(run.info.run_id)
    logged = Path(client.download_artifacts(run.info.run_id, page.path, tmp_path))
    assert logged.read_bytes() == (tmp_path / "runs" / "paper.html").read_bytes()


@pytest.mark.parametrize("page", ["missing.html", "README.md", "docs"])
def test_what_is_no_page_is_one_clear_error(page, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert publish.main([page]) == 2
    error = capsys.readouterr().err
    assert "is no page of the appendix; write it with: python analysis/paper.py all" in error
    assert "Traceback" not in error


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path, capsys):
    assert paper.main(["all", "--runs", str(tmp_path)]) == 0
    assert publish.main([str(tmp_path), "--tracking-uri", "http://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert "http://127.0.0.1:9" in error
    assert "Traceback" not in error
