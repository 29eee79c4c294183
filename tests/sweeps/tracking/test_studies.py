"""Studies in a real journal: Optuna reads them, and one that lags behind catches up."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from ouvae.declared import ORDER_PARAMETERS
from sweeps import SweepError
from sweeps.tracking.studies import ABOUT, Studies

ORDER = ORDER_PARAMETERS["kl_top"]
CELL, OTHER = "0123abcd", "feed5678"


def row(rho: float, seed: int = 0, kl: float | None = 1.0, status: str = "", cell: str = CELL) -> dict:
    return {
        "member_id": f"{cell}-{rho}-{seed}",
        "cell_id": cell,
        "cell": "digits mlp 4,4",
        "value": rho,
        "seed": seed,
        "kl_top_nats": kl,
        "status": status or ("diverged" if kl is None else "completed"),
    }


def opened(storage: Path) -> JournalStorage:
    """Open a journal as a user of Optuna does."""
    return JournalStorage(JournalFileBackend(str(storage)))


def trials(storage: Path, cell: str = CELL) -> list[optuna.trial.FrozenTrial]:
    name = f"digits mlp 4,4 {cell}"
    return optuna.load_study(study_name=name, storage=opened(storage)).trials


def contents(storage: Path, cell: str = CELL) -> list[tuple]:
    return [(*trial.params.values(), trial.state.name, trial.value) for trial in trials(storage, cell)]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "studies.log"


def test_a_trial_is_a_member_and_optuna_reads_it(storage):
    Studies(storage, "made", ORDER).record([row(0.5, 1, 2.0), row(0.75, 1, 0.25), row(0.9, 1, None)])
    assert contents(storage) == [
        (0.5, 1, "COMPLETE", 2.0),
        (0.75, 1, "COMPLETE", 0.25),
        (0.9, 1, "FAIL", None),
    ]
    study = optuna.load_study(study_name=f"digits mlp 4,4 {CELL}", storage=opened(storage))
    assert study.user_attrs == {
        "space": "made",
        "value": "kl_top_nats",
        "about": ABOUT.format(order="top-layer KL", control="rho"),
    }
    assert study.metric_names == ["kl_top_nats"]
    assert study.best_value == 0.25
    assert {trial.user_attrs["member_id"] for trial in study.trials} == {
        f"{CELL}-{rho}-1" for rho in (0.5, 0.75, 0.9)
    }
    for trial in study.trials:
        assert trial.distributions["rho"] == optuna.distributions.FloatDistribution(0, 1)
        assert isinstance(trial.distributions["seed"], optuna.distributions.IntDistribution)


def test_the_value_is_the_targeted_order_parameter(storage):
    """A study with the values of another target is written anew."""
    Studies(storage, "made", ORDER).record([row(0.5)])
    rows = [row(0.5) | {"information_top_nats": 0.7}, row(0.6) | {"information_top_nats": None}]
    Studies(storage, "made", ORDER_PARAMETERS["information_top"]).record(rows)
    assert contents(storage) == [(0.5, 0, "COMPLETE", 0.7), (0.6, 0, "FAIL", None)]
    study = optuna.load_study(study_name=f"digits mlp 4,4 {CELL}", storage=opened(storage))
    assert study.metric_names == ["information_top_nats"]
    assert "top-layer information" in study.user_attrs["about"]


def test_the_axis_of_the_seeds_is_as_wide_as_they_are(storage):
    """And the same for all trials, or Optuna draws none; wider only for seeds that nobody expected."""

    def ends():
        return [trial.distributions["seed"].high for trial in trials(storage)]

    Studies(storage, "made", ORDER, 242).record([row(0.5, 0), row(0.6, 242)])
    Studies(storage, "made", ORDER, 5).record([row(0.7, 5)])
    assert ends() == [999, 999, 999]
    Studies(storage, "made", ORDER, 5).record([row(0.7, 1000), row(0.7, 6)])
    assert ends() == [999, 999, 999, 9999, 9999]


def test_a_study_says_what_is_known_of_its_threshold(storage):
    studies = Studies(storage, "made", ORDER)
    studies.record([row(0.5)])
    threshold = {"cell_id": CELL, "order_parameter": "kl_top", "status": "transition", "n_members": 1}
    threshold |= {"critical_value": 0.6, "critical_low": None, "critical_high": 0.7, "confidence": 0.95}
    studies.describe([threshold, threshold | {"cell_id": OTHER}])
    studies.describe(
        [
            threshold | {"n_members": 2, "critical_value": 0.65, "critical_high": None},
            threshold | {"order_parameter": "information_top"},
        ]
    )
    attributes = optuna.load_study(study_name=f"digits mlp 4,4 {CELL}", storage=opened(storage)).user_attrs
    assert (attributes["kl_top: critical_value"], attributes["kl_top: n_members"]) == (0.65, 2)
    assert attributes["information_top: critical_value"] == 0.6
    assert "kl_top: critical_low" not in attributes
    assert attributes["kl_top: critical_high"] is None


def test_the_cells_of_a_sweep_share_a_file(storage):
    Studies(storage, "made", ORDER).record([row(0.5), row(0.6, cell=OTHER), row(0.7)])
    assert [trial.params["rho"] for trial in trials(storage)] == [0.5, 0.7]
    assert [trial.params["rho"] for trial in trials(storage, OTHER)] == [0.6]


@pytest.mark.parametrize("reopened", [False, True])
def test_what_is_recorded_is_recorded_once(storage, reopened):
    studies = Studies(storage, "made", ORDER)
    studies.record([row(0.5), row(0.6, kl=None)])
    studies = Studies(storage, "made", ORDER) if reopened else studies
    studies.record([row(0.5), row(0.6, kl=None), row(0.7), row(0.7)])
    assert [trial.params["rho"] for trial in trials(storage)] == [0.5, 0.6, 0.7]


def test_a_member_that_failed_and_is_trained_now_is_another_trial(storage):
    studies = Studies(storage, "made", ORDER)
    studies.record([row(0.5, kl=None, status="failed")])
    studies.record([row(0.5, kl=1.5)])
    studies.record([row(0.5, kl=None, status="failed")])
    assert contents(storage) == [(0.5, 0, "FAIL", None), (0.5, 0, "COMPLETE", 1.5)]
    assert trials(storage)[0].state == TrialState.FAIL


def test_a_cell_of_another_name_goes_on_in_its_study(storage):
    """A label follows from the cells beside a cell; what identifies it is its hash."""
    Studies(storage, "made", ORDER).record([row(0.5)])
    Studies(storage, "made", ORDER).record([row(0.6) | {"cell": "digits mlp 4,4 2000 steps"}])
    assert optuna.get_all_study_names(opened(storage)) == [f"digits mlp 4,4 {CELL}"]
    assert len(trials(storage)) == 2


def test_a_line_that_a_kill_cut_short_is_written_anew(storage):
    Studies(storage, "made", ORDER).record([row(0.5), row(0.6)])
    whole = storage.read_bytes()
    for length in (1, 20, len(whole) - 20, len(whole) - 1, len(whole)):
        storage.write_bytes(whole[:length])
        Studies(storage, "made", ORDER).record([row(0.5), row(0.6), row(0.7)])
        assert [trial.params["rho"] for trial in trials(storage)] == [0.5, 0.6, 0.7]
        assert storage.read_bytes().startswith(whole[: whole.rfind(b"\n", 0, length) + 1])


@pytest.mark.parametrize("text", ["no journal", "no journal\nat all\n", '{"op_code":\n{}\n'])
def test_a_file_that_is_no_journal(storage, text):
    storage.write_text(text)
    with pytest.raises(SweepError, match=r"studies\.log cannot be used: .*; .*delete the file"):
        Studies(storage, "made", ORDER)
    assert storage.read_text() == text


def test_a_flipped_bit_never_gives_another_trial(storage):
    """The journal is written anew, or refused by name."""
    rows = [row(0.5), row(0.6)]
    Studies(storage, "made", ORDER).record(rows)
    whole, expected, anew = storage.read_bytes(), contents(storage), 0
    for bit in range(0, 8 * len(whole), 401):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        storage.write_bytes(changed)
        studies = Studies(storage, "made", ORDER)
        studies.record(rows)
        assert contents(storage) == expected
        if studies.notices:
            assert studies.notices == [
                "studies.log changed, and set aside as .bad; the studies are written anew"
            ]
            assert storage.with_name("studies.log.bad").read_bytes() == changed
            anew += 1
    assert anew > 8 * len(whole) // 401 * 0.8


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SweepError, match=r"cannot be used: .*No such file or directory"):
        Studies(tmp_path / "nowhere" / "studies.log", "made", ORDER)
