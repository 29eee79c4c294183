"""The searches as Optuna studies, a study a cell, in one journal that optuna-dashboard reads.

The only module that imports Optuna, which listens as MLflow does: a member that is finished is a trial, whose
parameters are rho and seed and whose value is the top-layer KL in nats. What is to be trained follows from
the searches and the run's own fragments, so that a study which lags behind after a kill catches up. A trial
in a journal takes a twentieth of the time of one in SQLite.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.schema import LOST, Row
from sweeps import SweepError
from sweeps.plan import Point

_LONGEST_LINE = 2**20
"""Bytes of which a line of the journal has fewer."""

_PARAMETERS: dict[str, BaseDistribution] = {
    "rho": FloatDistribution(0.0, 1.0),
    "seed": IntDistribution(0, 2**31 - 1),
}


class _Journal(JournalFileBackend):
    """A journal with one writer, who holds the run directory: it takes no lock and waits for no disk."""

    def __init__(self, path: Path) -> None:
        """Open the file; a line that a kill cut short is taken away."""
        with path.open("ab+") as file:
            file.seek(0)
            if file.read(1) not in (b"", b"{"):
                raise ValueError("it is no journal of Optuna")
            start = max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE)
            file.seek(start)
            file.truncate(start + file.read().rfind(b"\n") + 1)
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries to the journal."""
        lines = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in logs)
        with self._path.open("ab") as file:
            file.write(lines.encode())


class Studies:
    """The studies of a run. `record` raises SweepError where the file cannot be read or written.

    Args:
        storage: path of the journal, which is made if there is none.
        space: name of the space, an attribute of the studies.
    """

    def __init__(self, storage: Path, space: str) -> None:
        """Open the file."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path, self._space = storage, space
        self._studies: dict[str, Study] = {}
        self._recorded: dict[str, set[tuple[Point, TrialState]]] = {}
        with self._reported():
            self._storage = JournalStorage(_Journal(storage))
            names = optuna.get_all_study_names(self._storage)
        self._names = {name.rpartition(" ")[2]: name for name in names}  # by the cell's identity

    def record(self, rows: Sequence[Row]) -> None:
        """Add members to the studies of their cells, each once; a lost one is a failed trial.

        A member that failed before and is trained now becomes another trial: Optuna's never change.
        """
        by_cell: dict[str, list[Row]] = {}
        for row in rows:
            by_cell.setdefault(row["cell_id"], []).append(row)
        with self._reported():
            for cell_id, own in by_cell.items():
                self._add(self._study_of(cell_id, own[0]["cell"]), cell_id, own)

    def _study_of(self, cell_id: str, label: str) -> Study:
        """Return the study of a cell, named after its label and identity; what it holds is known then."""
        if cell_id not in self._studies:
            name = self._names.setdefault(cell_id, f"{label} {cell_id}")
            study = optuna.create_study(storage=self._storage, study_name=name, load_if_exists=True)
            for key, value in {"space": self._space, "value": "kl_top_nats"}.items():
                study.set_user_attr(key, value)
            trials = study.get_trials(deepcopy=False)
            self._recorded[cell_id] = {(Point(**trial.params), trial.state) for trial in trials}
            self._studies[cell_id] = study
        return self._studies[cell_id]

    def _add(self, study: Study, cell_id: str, rows: Sequence[Row]) -> None:
        known = self._recorded[cell_id]
        new: dict[tuple[Point, TrialState], FrozenTrial] = {}
        for row in rows:
            point = Point(row["rho"], row["seed"])
            state = TrialState.FAIL if row["status"] in LOST else TrialState.COMPLETE
            if not known & {(point, state), (point, TrialState.COMPLETE)}:
                new[point, state] = _trial(row, state)
        study.add_trials(new.values())
        known.update(new)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, LookupError) as error:
            raise SweepError(
                f"the studies in {self._path} cannot be used: {error}; make room, or delete the file if it "
                "is broken, and run the same command again: the studies follow from the fragments"
            ) from error


def _trial(row: Row, state: TrialState) -> FrozenTrial:
    return create_trial(
        state=state,
        value=row["kl_top_nats"],
        params={"rho": row["rho"], "seed": row["seed"]},
        distributions=_PARAMETERS,
        user_attrs={"member_id": row["member_id"], "status": row["status"]},
    )
