"""Studies in a real SQLite file: Optuna reads them, and one that lags behind catches up."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from sweeps import SweepError
from sweeps.studies import Studies

CELL, OTHER = "0123abcd", "feed5678"


def row(rho: float, seed: int = 0, kl: float | None = 1.0, status: str = "", cell: str = CELL) -> dict:
    return {
        "member_id": f"{cell}-{rho}-{seed}",
        "cell_id": cell,
        "cell": "digits mlp 4,4",
        "rho": rho,
        "seed": seed,
        "kl_top_nats": kl,
        "status": status or ("diverged" if kl is None else "completed"),
    }


def trials(storage: Path, cell: str = CELL) -> list[optuna.trial.FrozenTrial]:
    name = f"digits mlp 4,4 {cell}"
    return optuna.load_study(study_name=name, storage=f"sqlite:///{storage}").trials


def contents(storage: Path, cell: str = CELL) -> list[tuple]:
    return [(*trial.params.values(), trial.state.name, trial.value) for trial in trials(storage, cell)]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


def test_a_trial_is_a_member_and_optuna_reads_it(storage):
    Studies(storage, "made").record([row(0.5, 1, 2.0), row(0.75, 1, 0.25), row(0.9, 1, None)])
    assert contents(storage) == [
        (0.5, 1, "COMPLETE", 2.0),
        (0.75, 1, "COMPLETE", 0.25),
        (0.9, 1, "FAIL", None),
    ]
    study = optuna.load_study(study_name=f"digits mlp 4,4 {CELL}", storage=f"sqlite:///{storage}")
    assert study.user_attrs == {"space": "made", "value": "kl_top_nats"}
    assert study.best_value == 0.25
    assert {trial.user_attrs["member_id"] for trial in study.trials} == {
        f"{CELL}-{rho}-1" for rho in (0.5, 0.75, 0.9)
    }
    for trial in study.trials:
        assert trial.distributions["rho"] == optuna.distributions.FloatDistribution(0, 1)
        assert isinstance(trial.distributions["seed"], optuna.distributions.IntDistribution)


def test_the_cells_of_a_sweep_share_a_file(storage):
    Studies(storage, "made").record([row(0.5), row(0.6, cell=OTHER), row(0.7)])
    assert [trial.params["rho"] for trial in trials(storage)] == [0.5, 0.7]
    assert [trial.params["rho"] for trial in trials(storage, OTHER)] == [0.6]


@pytest.mark.parametrize("reopened", [False, True])
def test_what_is_recorded_is_recorded_once(storage, reopened):
    studies = Studies(storage, "made")
    studies.record([row(0.5), row(0.6, kl=None)])
    studies = Studies(storage, "made") if reopened else studies
    studies.record([row(0.5), row(0.6, kl=None), row(0.7), row(0.7)])
    assert [trial.params["rho"] for trial in trials(storage)] == [0.5, 0.6, 0.7]


def test_a_member_that_failed_and_is_trained_now_is_another_trial(storage):
    studies = Studies(storage, "made")
    studies.record([row(0.5, kl=None, status="failed")])
    studies.record([row(0.5, kl=1.5)])
    studies.record([row(0.5, kl=None, status="failed")])
    assert contents(storage) == [(0.5, 0, "FAIL", None), (0.5, 0, "COMPLETE", 1.5)]
    assert trials(storage)[0].state == TrialState.FAIL


def test_a_cell_of_another_name_goes_on_in_its_study(storage):
    """A label follows from the cells beside a cell; what identifies it is its hash."""
    Studies(storage, "made").record([row(0.5)])
    Studies(storage, "made").record([row(0.6) | {"cell": "digits mlp 4,4 2000 steps"}])
    assert optuna.get_all_study_names(f"sqlite:///{storage}") == [f"digits mlp 4,4 {CELL}"]
    assert len(trials(storage)) == 2


def test_a_file_that_is_no_database(storage):
    storage.write_text("no database" * 100)
    with pytest.raises(SweepError, match=r"studies\.db cannot be used: .*not a database; .*delete the file"):
        Studies(storage, "made")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SweepError, match="cannot be used: unable to open database file"):
        Studies(tmp_path / "nowhere" / "studies.db", "made")
