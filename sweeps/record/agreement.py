"""What a space must have in common with the run that it extends."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.tables.files import check_settings
from analysis.tables.schema import Row
from ouvae import NUMERICS_VERSION, TRAINING_VERSION
from ouvae.declared import CellKeys, keys_of
from ouvae.declared.controls import control_of
from search_spaces import Space, SpaceError, load, read_yaml_mapping
from sweeps.errors import SweepError
from sweeps.plan.cells import PlannedCell
from sweeps.record.paths import Paths

_ALIKE: dict[str, tuple[tuple[str, ...], str]] = {
    "device": ((), "set device to what is there"),
    "data_digest": (("dataset",), "point --data-dir to the data of then"),
    "code_digest": (("dataset", "system"), "put the files of then back, those beside the modules included,"),
}
"""Columns that all members of a run share, among those with equal keys; and the mend."""


def space_of(run: Paths) -> Space:
    """Return the space of a run.

    Raises:
        SpaceError: its settings cannot be read.
        SweepError: the folder holds no run.
    """
    if not run.settings.is_file():
        raise SweepError(f"{run.path} holds no run: it has no space.yaml; give the folder that a sweep wrote")
    return load(str(run.settings))


def require_same_space(run: Paths, space: Space) -> None:
    """Refuse a space that conflicts with the settings of a run.

    A run belongs to one space. The space may grow by cells, values and seeds, and change its search and its
    thresholds; a change of what all cells share would mix curves.

    Raises:
        SweepError: naming what differs.
        TableError: the settings were changed.
    """
    if conflicts := space_conflicts(run, space):
        raise SweepError(
            f"{run.path} holds a sweep of a space that conflicts with this one\n  "
            + "\n  ".join(conflicts)
            + "\n  give another --out, or set these keys as they are there"
        )


def space_conflicts(run: Paths, space: Space) -> list[str]:
    """Return the settings of a run that conflict with a space. Raises as `require_same_space`."""
    if not run.settings.exists():
        return []
    # neutral values hold for a run that is older than the key
    neutral = {name: key.neutral for name, key in keys_of(CellKeys).items() if key.has_neutral}
    held = {"name": None} | neutral | _read_space(run.settings)
    new = {"name": space.name, **space.shared()}
    if (control := control_of(held)) != space.control:
        return [f"it sweeps {control} there, {space.control} now"]
    return [
        f"{key}: {held.get(key)!r} there, {value!r} now"
        for key, value in new.items()
        if held.get(key) != value
    ]


def fixed_probes(run: Paths) -> int | None:
    """Return the probes in a round of a run; None where it has none. Raises as `require_same_space`."""
    probes = _read_space(run.settings).get("probes") if run.settings.exists() else None
    return probes if isinstance(probes, int) else None


def member_conflicts(members: pa.Table, others: pa.Table) -> list[str]:
    """Return how members of two runs differ in what the members of one run share."""
    conflicts = []
    for key, (shared, _) in {"numerics_version": ((), ""), **_ALIKE}.items():
        columns = [*shared, key]
        values, other_values = (
            {row[:-1]: row[-1] for row in zip(*table.select(columns).to_pydict().values(), strict=True)}
            for table in (members, others)
        )
        conflicts += [
            f"{key}{''.join(f' of {choice}' for choice in picked)}: {value} there, {values[picked]} here"
            for picked, value in other_values.items()
            if picked in values and values[picked] != value
        ]
    return conflicts


def require_like(run: Paths, members: Iterable[Row], cells: Sequence[PlannedCell]) -> None:
    """Refuse to mix members of another device, data, code or numerics with the members of a run.

    Raises:
        SweepError: naming what differs.
    """
    rows = list(members)
    if old := {row["numerics_version"] for row in rows} - {NUMERICS_VERSION}:
        measure = f"measure its weights anew with ouvae-evaluate {run.path}, "
        raise SweepError(
            f"{run.path} holds members of numerics version {', '.join(map(str, sorted(old)))}, and this "
            f"version trains others, {NUMERICS_VERSION}: one curve would mix them; "
            f"{measure * _can_be_measured(run, old)}give another --out, or go on with the version that "
            "made them"
        )
    for key, (shared, mend) in _ALIKE.items():
        allowed: dict[tuple[str, ...], set[str]] = {}
        for cell in cells:
            allowed.setdefault(_picked(dict(cell.cell), shared), set()).add(str(getattr(cell, key)))
        for row in rows:
            values = allowed.get(_picked(row, shared))
            if values is not None and str(row[key]) not in values:
                raise SweepError(
                    f"{run.path} holds members with {key} {row[key]}, this sweep has "
                    f"{', '.join(sorted(values))}: one curve would mix them; {mend} or give another --out"
                )


def _can_be_measured(run: Paths, versions: set[int]) -> bool:
    """Tell whether weights are kept that this version would train too, of members of those versions."""
    same_training = min(versions) >= TRAINING_VERSION and max(versions) <= NUMERICS_VERSION
    return same_training and any(run.weights.glob("*.safetensors"))


def _picked(row: Row, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(row[key] for key in keys)


def _read_space(path: Path) -> dict[str, Any]:
    try:
        check_settings(path)
        return read_yaml_mapping(path)
    except (SpaceError, OSError) as error:
        raise SweepError(f"{path} cannot be read: {error}; delete it or give another --out") from None
