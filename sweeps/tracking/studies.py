"""The searches as Optuna studies, a study a cell, in one journal that optuna-dashboard reads.

The only module that imports Optuna, which listens as MLflow does: a member that is finished is a trial, whose
parameters are rho and seed and whose value is the top-layer KL in nats; the threshold is a study's user
attributes. What is to be trained follows from the searches and the run's own fragments, so that a study which
lags behind after a kill catches up. A trial in a journal takes a twentieth of the time of one in SQLite.

Each line of the journal carries a checksum, which Optuna passes over. A journal with a changed line is set
aside and written anew.
"""

import json
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.tables.schema import LOST, Row
from sweeps import SweepError
from sweeps.plan.cells import Point

_LONGEST_LINE = 2**20
"""Bytes of which a line of the journal has fewer."""

VALUE = "kl_top_nats"
"""The column of a member that is its trial's value."""

ABOUT = (
    "a trial is a member, its value the top-layer KL; this shows where rho was sampled, nothing is minimized"
)

_THRESHOLD = ("status", "rho_c", "rho_c_low", "rho_c_high", "confidence", "n_members")
"""Columns of a threshold that are attributes of its cell's study."""


_CHECKSUM = b',"crc32":'
"""The key before a line's checksum, which is of the line without the key."""


def _is_whole(path: Path) -> bool:
    """Tell whether all lines of a journal that have checksums are as they were written.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no journal of Optuna.
    """
    content = path.read_bytes() if path.exists() else b""
    lines = content.split(b"\n")[:-1]  # a kill may have cut the last one
    if _CHECKSUM not in content:  # of an earlier version
        if content[:1] not in (b"", b"{"):
            raise ValueError("it is no journal of Optuna")
        for line in lines:
            json.loads(line)
        return True
    has_checksums = False
    for line in lines:
        entry, key, checksum = line.rpartition(_CHECKSUM)
        has_checksums = has_checksums or bool(key)
        if has_checksums and checksum != b"%d}" % zlib.crc32(entry + b"}"):
            return False
    return True


class _Journal(JournalFileBackend):
    """A journal with one writer, who holds the run directory: it takes no lock and waits for no disk."""

    def __init__(self, path: Path) -> None:
        """Open the file; a line that a kill cut short is taken away."""
        with path.open("ab+") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE)
            file.seek(start)
            file.truncate(start + file.read().rfind(b"\n") + 1)
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries to the journal."""
        with self._path.open("ab") as file:
            file.write(b"".join(map(_line, logs)))


def _line(entry: Mapping[str, Any]) -> bytes:
    """Return an entry of the journal as a line with its checksum."""
    text = json.dumps(entry, separators=(",", ":")).encode()
    return b"%b%b%d}\n" % (text[:-1], _CHECKSUM, zlib.crc32(text))


class Studies:
    """The studies of a run. `record` raises SweepError where the file cannot be read or written.

    Args:
        storage: path of the journal, which is made if there is none.
        space: name of the space, an attribute of the studies.
        largest_seed: of the members to come, as far as that is known; their axis ends at 9, 99, …

    Attributes:
        notices: lines for whoever runs the sweep.
    """

    def __init__(self, storage: Path, space: str, largest_seed: int = 0) -> None:
        """Open the file."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path, self._space, self._largest_seed = storage, space, largest_seed
        self._studies: dict[str, Study] = {}
        self._parameters: dict[str, dict[str, BaseDistribution]] = {}
        self._recorded: dict[str, set[tuple[Point, TrialState]]] = {}
        self.notices: list[str] = []
        with self._reported():
            if not _is_whole(storage):
                os.replace(storage, storage.with_name(f"{storage.name}.bad"))
                self.notices.append(
                    f"{storage.name} changed, and set aside as .bad; the studies are written anew"
                )
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
            for key, value in {"space": self._space, "value": VALUE, "about": ABOUT}.items():
                study.set_user_attr(key, value)
            with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
                study.set_metric_names([VALUE])
            trials = study.get_trials(deepcopy=False)
            # as in earlier trials: Optuna draws no axis of what differs
            self._parameters[cell_id] = trials[0].distributions if trials else _parameters(self._largest_seed)
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
                if row["seed"] > _end(self._parameters[cell_id]["seed"]):
                    self._parameters[cell_id] = _parameters(row["seed"])
                new[point, state] = _trial(row, state, self._parameters[cell_id])
        study.add_trials(new.values())
        known.update(new)

    def _reported(self) -> AbstractContextManager[None]:
        return _reported(self._path)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        raise SweepError(
            f"the studies in {path} cannot be used: {error}; make room, or delete the file if it "
            "is broken, and run the same command again: the studies follow from the fragments"
        ) from error


def _parameters(largest_seed: int) -> dict[str, BaseDistribution]:
    """Return what rho and seed may be."""
    return {"rho": FloatDistribution(0.0, 1.0), "seed": IntDistribution(0, 10 ** len(str(largest_seed)) - 1)}


def _end(seeds: BaseDistribution) -> int:
    return seeds.high if isinstance(seeds, IntDistribution) else 0


def _trial(row: Row, state: TrialState, parameters: dict[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=state,
        value=row[VALUE],
        params={"rho": row["rho"], "seed": row["seed"]},
        distributions=parameters,
        user_attrs={"member_id": row["member_id"], "status": row["status"]},
    )
