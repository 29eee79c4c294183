"""Runs are listed, and those that are named are deleted, here and in MLflow, and nothing else."""

import shutil

import pytest
from mlflow import MlflowClient

from sweeps import clean
from sweeps.tracking.store import connect
from sweeps.tracking.uri import default_uri
from tests.sweeps.conftest import held, opened, write_tables
from tests.sweeps.record.conftest import points, snapshot, train  # noqa: F401


@pytest.fixture
def run(tmp_path, make_space, train, monkeypatch):  # noqa: F811
    """Return a function that makes a run of two members a seed, with its runs in MLflow."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def make(name, *seeds):
        path = tmp_path / "runs" / name
        path.parent.mkdir(exist_ok=True)
        with opened(path, make_space()) as ledger:
            for seed in seeds:
                train(ledger, points(seed))
            write_tables(ledger, make_space())
            client = connect(default_uri(path.parent))
            for level in ("sweep", "cell"):
                client.create_run("0", tags={"sweep_id": ledger.run.sweep_id, "level": level})
        return path

    return make


def runs_in_mlflow(folder) -> int:
    uri = default_uri(folder)
    return len(MlflowClient(uri, uri).search_runs(["0"]))


def test_runs_are_listed_and_stay_as_they_are(run, tmp_path, make_space, capsys):
    first, second = run("first", 0, 1), run("second", 1)
    (second / "checkpoints" / "abc.pt").write_bytes(b"state")
    before = snapshot(tmp_path)
    with held(first, make_space()):
        assert clean.main([str(tmp_path / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "members", "MB", "last", "written", "state"]
    assert lines[1].startswith(f"{first}")
    assert lines[1].split()[1] == "6"
    assert lines[1].endswith("in use")
    assert lines[2].endswith("stopped, 1 pack saved")
    assert lines[3] == f"to delete a run, name it: ouvae-clean {first} --delete"
    assert clean.main([str(second)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1] == "3"
    assert snapshot(tmp_path) == before


def test_a_named_run_goes_with_its_runs_in_mlflow(run, tmp_path, capsys):
    first, second = run("first", 0), run("second", 1)
    shutil.copytree(first, copy := tmp_path / "copy")
    assert clean.main([str(copy), "--delete", "--tracking-uri", default_uri(first.parent)]) == 0
    assert capsys.readouterr().out == f"deleted {copy}: 3 members, 0 runs of MLflow\n"
    assert runs_in_mlflow(tmp_path / "runs") == 4
    before = snapshot(second)
    assert clean.main([str(first), "--delete"]) == 0
    assert capsys.readouterr().out == f"deleted {first}: 3 members, 2 runs of MLflow\n"
    assert not first.exists()
    assert runs_in_mlflow(tmp_path / "runs") == 2
    assert snapshot(second) == before


def test_files_of_others_stay(run, capsys):
    first = run("first", 0)
    for name in ("notes.txt", "mine.parquet", "figures/mine.pdf"):
        (first / name).parent.mkdir(exist_ok=True)
        (first / name).write_text("mine")
    assert clean.main([str(first), "--delete"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[1].endswith("no sweep made it: figures, mine.parquet, notes.txt")
    )
    assert sorted(path.name for path in first.rglob("*")) == [
        "figures",
        "mine.parquet",
        "mine.pdf",
        "notes.txt",
    ]
    assert clean.main([str(first), "--delete"]) == 2


class TestRefuses:
    @pytest.fixture(autouse=True)
    def unchanged(self, run, tmp_path):
        """Look that nothing has changed."""
        self.first = run("first", 0)
        before = snapshot(self.first), runs_in_mlflow(tmp_path / "runs")
        yield
        assert (snapshot(self.first), runs_in_mlflow(tmp_path / "runs")) == before

    def refusal(self, capsys, *arguments) -> str:
        assert clean.main([*map(str, arguments)]) == 2
        return capsys.readouterr().err

    def test_a_folder_of_runs_and_one_that_is_no_run(self, tmp_path, capsys):
        assert "only a run that is named itself is deleted" in self.refusal(
            capsys, tmp_path / "runs", "--delete"
        )
        (tmp_path / "empty").mkdir()
        assert "is no run and holds none" in self.refusal(capsys, tmp_path / "empty")

    def test_a_run_in_use(self, make_space, capsys):
        with held(self.first, make_space()):
            assert "first is in use" in self.refusal(capsys, self.first, "--delete")

    def test_a_store_that_does_not_answer(self, capsys):
        refusal = self.refusal(capsys, self.first, "--delete", "--tracking-uri", "http://127.0.0.1:9")
        assert "127.0.0.1:9" in refusal
