"""The searches as Optuna studies: a study a cell, in one SQLite file that optuna-dashboard reads.

The only module that imports Optuna. A trial is a member: its parameters are rho and seed, its value the
top-layer KL in nats. The study is a record; what was trained is known from the run's own fragments, and
the search's rounds are a function of that, so a study that lags behind after a kill catches up.
"""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from sweeps import SweepError
from sweeps.plan import Point
from sweeps.search import Search

_SPACE: dict[str, BaseDistribution] = {
    "rho": FloatDistribution(0.0, 1.0),
    "seed": IntDistribution(0, 2**31 - 1),
}


class ThresholdSampler(BaseSampler):
    """Serves the points of a `Search` through Optuna's sampler interface.

    `study.ask()` gives the next point of the current round that is not among `taken`, which its owner
    keeps up to date; RuntimeError when the round has none left.
    """

    def __init__(self, search: Search, taken: Container[Point]) -> None:
        """Serve `search`, passing over the points that are trials already."""
        self._search, self._taken = search, taken

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the distributions of rho and seed."""
        return dict(_SPACE)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the next point."""
        point = next((point for point in self._search.ask() if point not in self._taken), None)
        if point is None:
            raise RuntimeError("the search's round has no point left to ask for")
        return {"rho": point.rho, "seed": point.seed}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Refuse parameters other than rho and seed."""
        raise ValueError(f"a threshold study has the parameters rho and seed, not {param_name}")


class CellStudy:
    """The study of one cell. Its methods raise SweepError where the file cannot be read or written.

    Args:
        storage: path of the SQLite file.
        name: the study's name, which holds the cell's label and identity.
        search: the cell's search; nothing told to it yet.
        attributes: of the study, for the dashboard.
    """

    def __init__(self, storage: Path, name: str, search: Search, attributes: Mapping[str, Any]) -> None:
        """Open the study or make it."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search = search
        self._storage = storage
        self._trials: dict[Point, int] = {}
        with self._reported():
            self._study = optuna.create_study(
                storage=f"sqlite:///{storage}",
                study_name=name,
                sampler=ThresholdSampler(search, self._trials),
                load_if_exists=True,
            )
            for key, value in attributes.items():
                self._study.set_user_attr(key, value)
            recorded = self._study.get_trials(deepcopy=False)
        for trial in recorded:
            if len(trial.params) == len(_SPACE):
                self._trials[Point(**trial.params)] = trial.number
        self._finished = {trial.number: trial.state for trial in recorded if trial.state.is_finished()}

    def ask(self) -> list[Point]:
        """Return the current round, each point of which is now a trial; empty when the search is done."""
        points = self.search.ask()
        for _ in [point for point in points if point not in self._trials]:
            with self._reported():
                trial = self._study.ask(fixed_distributions=_SPACE)
            self._trials[Point(**trial.params)] = trial.number
        return points

    def tell(self, point: Point, kl_top_nats: float | None) -> None:
        """Record an observation, once: None, a member that diverged or failed, is a failed trial.

        A member that failed before and is trained now becomes another trial: Optuna's never change.
        """
        self.search.tell(point, kl_top_nats)
        number = self._trials[point]
        state = TrialState.FAIL if kl_top_nats is None else TrialState.COMPLETE
        held = self._finished.get(number)
        if held in (state, TrialState.COMPLETE):
            return
        with self._reported():
            if held is None:
                self._study.tell(number, kl_top_nats, state=state)
            else:
                params = {"rho": point.rho, "seed": point.seed}
                again = create_trial(params=params, distributions=_SPACE, value=kl_top_nats)
                self._study.add_trial(again)
        self._finished[number] = state

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (StorageInternalError, SQLAlchemyError) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise SweepError(
                f"the studies in {self._storage} cannot be used: {reason}; make room, or delete the file if "
                "it is broken, and run the same command again: the studies follow from the fragments"
            ) from error
