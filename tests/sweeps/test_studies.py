"""Studies in a real SQLite file: Optuna reads them, and a killed search goes on with its points."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from sweeps import SweepError
from sweeps.plan import Point
from sweeps.search import GridSearch, RefineSearch
from sweeps.studies import CellStudy

RHO_C = {0: 0.734, 1: 0.861}
NAME = "digits mlp 4,4 0123abcd"


def kl_top(point: Point) -> float | None:
    """A ramp through each seed's threshold; the member at 0.6 of seed 1 diverges."""
    if point == Point(0.6, 1):
        return None
    return max(0.0, 0.1 + 2 * (RHO_C[point.seed] - point.rho))


def opened(storage: Path, seeds=(0, 1), name: str = NAME) -> CellStudy:
    search = RefineSearch([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], seeds, 0.1, 0.02, 3)
    return CellStudy(storage, name, search, {"space": "made"})


def finish(study: CellStudy, known: dict[Point, float | None] | None = None) -> list[list[Point]]:
    """Observe the study to its end, and what is `known` already first, as a resumed sweep does."""
    rounds, known = [], known or {}
    while points := study.ask():
        rounds.append(points)
        for point in points:
            study.tell(point, known[point] if point in known else kl_top(point))
    return rounds


def trials(storage: Path, name: str = NAME) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{storage}").trials


def points_of(storage: Path, name: str = NAME) -> list[Point]:
    return [Point(**trial.params) for trial in trials(storage, name)]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> list[list[Point]]:
    return finish(opened(tmp_path_factory.mktemp("uninterrupted") / "studies.db"))


class TestRecord:
    def test_a_trial_is_a_member_and_optuna_reads_it(self, storage):
        rounds = finish(opened(storage))
        asked = [point for points in rounds for point in points]
        assert len(rounds) == 3
        assert points_of(storage) == asked, "trials come in the order of the rounds"
        study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{storage}")
        assert study.user_attrs == {"space": "made"}
        for trial, point in zip(study.trials, asked, strict=True):
            if kl_top(point) is None:
                assert trial.state == TrialState.FAIL
            else:
                assert (trial.state, trial.value) == (TrialState.COMPLETE, kl_top(point))
        assert sum(trial.state == TrialState.FAIL for trial in study.trials) == 1
        lowest = min(kl_top(point) for point in asked if kl_top(point) is not None)
        assert study.best_value == lowest

    def test_the_parameters_are_distributions_of_rho_and_seed(self, storage):
        finish(opened(storage))
        for trial in trials(storage):
            assert trial.distributions["rho"] == optuna.distributions.FloatDistribution(0, 1)
            assert isinstance(trial.distributions["seed"], optuna.distributions.IntDistribution)

    def test_telling_twice_keeps_the_first(self, storage):
        study = opened(storage)
        first, second, *_ = study.ask()
        study.tell(first, 1.25)
        study.tell(first, 7.0)
        study.tell(second, None)
        study.tell(second, None)
        assert trials(storage)[0].value == 1.25
        assert trials(storage)[1].state == TrialState.FAIL
        reopened = opened(storage)
        reopened.ask()
        reopened.tell(first, 1.25)
        assert trials(storage)[0].value == 1.25

    def test_the_cells_of_a_sweep_share_a_file(self, storage):
        one, other = opened(storage, seeds=(0,), name="one"), opened(storage, seeds=(1,), name="other")
        one.ask(), other.ask()
        assert {point.seed for point in points_of(storage, "one")} == {0}
        assert {point.seed for point in points_of(storage, "other")} == {1}


class TestInterruption:
    @pytest.mark.parametrize("told", [1, 12, 15])
    def test_a_search_that_is_killed_anywhere_ends_with_the_same_trials(self, storage, uninterrupted, told):
        """Killed once `told` members were observed; the study is opened anew, nothing is closed."""
        study, known = opened(storage), {}
        while len(known) < told:
            point = next(point for point in study.ask() if point not in known)
            known[point] = kl_top(point)
            study.tell(point, known[point])
        study.ask()
        before = points_of(storage)

        rounds = finish(opened(storage), known)
        assert rounds == uninterrupted
        asked = [point for points in rounds for point in points]
        assert points_of(storage) == asked
        assert points_of(storage)[: len(before)] == before
        assert all(trial.state.is_finished() for trial in trials(storage))

    def test_a_kill_in_the_middle_of_an_ask_leaves_no_duplicate(self, storage, uninterrupted):
        """Optuna makes a trial first and sets its parameters then: it may have some of them, or none."""
        opened(storage).ask()
        raw = optuna.load_study(study_name=NAME, storage=f"sqlite:///{storage}")
        raw.ask()
        raw.ask().suggest_float("rho", 0.0, 1.0)
        assert finish(opened(storage)) == uninterrupted
        whole = [Point(**trial.params) for trial in trials(storage) if len(trial.params) == 2]
        assert whole == [point for points in uninterrupted for point in points]

    def test_a_study_behind_its_fragments_catches_up(self, storage, uninterrupted):
        """The file was deleted: rounds follow from the observations alone."""
        known = {point: kl_top(point) for points in uninterrupted for point in points}
        assert finish(opened(storage), known) == uninterrupted
        assert len(trials(storage)) == len(known)

    def test_more_seeds_go_on_in_the_same_study(self, storage):
        first = finish(opened(storage, seeds=(0,)))
        known = {point: kl_top(point) for points in first for point in points}
        finish(opened(storage, seeds=(0, 1)), known)
        found = points_of(storage)
        assert len(found) == len(set(found))
        assert {point for point in found if point.seed == 0} == set(known)


class TestErrors:
    def test_a_file_that_is_no_database(self, storage):
        storage.write_text("no database" * 100)
        with pytest.raises(
            SweepError, match=r"studies\.db cannot be used: .*not a database; .*delete the file"
        ):
            opened(storage)

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(SweepError, match="cannot be used: unable to open database file"):
            opened(tmp_path / "nowhere" / "studies.db")

    def test_asking_the_study_itself_when_its_round_is_out(self, storage):
        """The sampler serves the round alone: `study.ask` outside of it is an error, not a random point."""
        study = CellStudy(storage, NAME, GridSearch([0.5, 1.0], [0]), {})
        study.ask()
        with pytest.raises(RuntimeError, match="no point left"):
            study._study.ask(fixed_distributions={"rho": optuna.distributions.FloatDistribution(0, 1)})
