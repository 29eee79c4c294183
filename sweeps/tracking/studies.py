"""The searches as Optuna studies, a study per cell, in one journal that optuna-dashboard reads.

A finished member is a trial. Its parameters are the control parameter and the seed, its value is the order
parameter that the space targets. The thresholds are user attributes of the study. Nothing is read back:
points follow from the searches and the fragments, and a study that lags behind after a kill catches up. A
trial in a journal takes a twentieth of the time of a trial in SQLite. A journal with a changed line is set
aside and written anew.
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isinf
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.tables.schema import LOST, Row
from ouvae.declared import OrderParameter
from ouvae.declared.controls import RHO, bounds_of
from sweeps import SweepError
from sweeps.plan.cells import Point
from sweeps.tracking.optuna_internals import Journal, is_whole

ABOUT = (
    "a trial is a member, its value the {order}; this shows where {control} was sampled, nothing is minimized"
)

_THRESHOLD = ("status", "critical_value", "critical_low", "critical_high", "confidence", "n_members")
"""Columns of a threshold that are attributes of its cell's study."""


class Studies:
    """The studies of a run. `record` raises SweepError where the file cannot be read or written.

    Args:
        storage: path of the journal, which is created if it is missing.
        space: name of the space, an attribute of the studies.
        order: the order parameter whose metric is the value of a trial.
        largest_seed: expected largest seed; the axis of seeds ends at 9, 99, …
        control: the control parameter.
        highest: its highest value.

    Attributes:
        notices: lines for whoever runs the sweep.
    """

    def __init__(
        self,
        storage: Path,
        space: str,
        order: OrderParameter,
        largest_seed: int = 0,
        control: str = RHO,
        highest: float = 1.0,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path, self._space, self._order, self._largest_seed = storage, space, order, largest_seed
        self._control, self._axis = control, _axis(control, highest)
        self._studies: dict[str, Study] = {}
        self._parameters: dict[str, dict[str, BaseDistribution]] = {}
        self._recorded: dict[str, set[tuple[Point, TrialState]]] = {}
        self.notices: list[str] = []
        with self._reported():
            if not is_whole(storage):
                os.replace(storage, storage.with_name(f"{storage.name}.bad"))
                self.notices.append(
                    f"{storage.name} changed, and set aside as .bad; the studies are written anew"
                )
            self._storage = JournalStorage(Journal(storage))
            names = optuna.get_all_study_names(self._storage)
        self._names = {name.rpartition(" ")[2]: name for name in names}  # by the cell's identity

    def record(self, rows: Sequence[Row]) -> None:
        """Add members to the studies of their cells, each once; a lost one is a failed trial.

        A member that failed before and is trained now becomes another trial: Optuna's never change.
        """
        by_cell: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_cell[row["cell_id"]].append(row)
        with self._reported():
            for cell_id, members in by_cell.items():
                self._add(self._study_of(cell_id, members[0]["cell"]), cell_id, members)

    def describe(self, thresholds: Sequence[Row]) -> None:
        """Say in the studies of cells what is known of their thresholds by now."""
        with self._reported():
            for row in thresholds:
                if row["cell_id"] not in self._studies:
                    continue
                study, held = self._studies[row["cell_id"]], self._studies[row["cell_id"]].user_attrs
                for name in _THRESHOLD:
                    key = f"{row['order_parameter']}: {name}"
                    if held.get(key) != row[name]:
                        study.set_user_attr(key, row[name])

    def _study_of(self, cell_id: str, label: str) -> Study:
        """Return the study of a cell, named after its label and identity; what it holds is known then."""
        if cell_id not in self._studies:
            name = self._names.setdefault(cell_id, f"{label} {cell_id}")
            study = optuna.create_study(storage=self._storage, study_name=name, load_if_exists=True)
            metric = self._order.curve
            if study.user_attrs.get("value", metric) != metric:  # an earlier sweep had another target
                optuna.delete_study(study_name=name, storage=self._storage)
                study = optuna.create_study(storage=self._storage, study_name=name)
            about = ABOUT.format(order=self._order.words, control=self._control)
            for key, value in {"space": self._space, "value": metric, "about": about}.items():
                study.set_user_attr(key, value)
            with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
                study.set_metric_names([metric])
            trials = study.get_trials(deepcopy=False)
            # as in earlier trials: Optuna draws no axis of what differs
            self._parameters[cell_id] = trials[0].distributions if trials else self._axes(self._largest_seed)
            self._recorded[cell_id] = {
                (Point(trial.params[self._control], trial.params["seed"]), trial.state) for trial in trials
            }
            self._studies[cell_id] = study
        return self._studies[cell_id]

    def _add(self, study: Study, cell_id: str, rows: Sequence[Row]) -> None:
        recorded = self._recorded[cell_id]
        new: dict[tuple[Point, TrialState], FrozenTrial] = {}
        for row in rows:
            point = Point(row["value"], row["seed"])
            value = None if row["status"] in LOST else self._order.value(row)
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
            if not recorded & {(point, state), (point, TrialState.COMPLETE)}:
                if row["seed"] > _end(self._parameters[cell_id]["seed"]):
                    self._parameters[cell_id] = self._axes(row["seed"])
                new[point, state] = _trial(row, state, value, self._control, self._parameters[cell_id])
        study.add_trials(new.values())
        recorded.update(new)

    def _axes(self, largest_seed: int) -> dict[str, BaseDistribution]:
        """Return what control parameter and seed may be."""
        seeds = IntDistribution(0, 10 ** len(str(largest_seed)) - 1)
        return {self._control: self._axis, "seed": seeds}

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, LookupError) as error:
            raise SweepError(
                f"the studies in {self._path} cannot be used: {error}; make room, or delete the file if it "
                "is broken, and run the same command again: the studies follow from the fragments"
            ) from error


def _axis(control: str, highest: float) -> FloatDistribution:
    """Return what a control parameter may be: within its bounds, else up to the highest value."""
    low, high = bounds_of(control)
    return FloatDistribution(low, highest if isinf(high) else high)


def _end(seeds: BaseDistribution) -> int:
    return seeds.high if isinstance(seeds, IntDistribution) else 0


def _trial(
    row: Row,
    state: TrialState,
    value: float | None,
    control: str,
    parameters: dict[str, BaseDistribution],
) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value,
        params={control: row["value"], "seed": row["seed"]},
        distributions=parameters,
        user_attrs={"member_id": row["member_id"], "status": row["status"]},
    )
