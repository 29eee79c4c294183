"""Curves of an order parameter against rho, one per seed, and their mean."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from analysis import TableError
from analysis.statistics.censored import Array
from analysis.statistics.scale import LINEAR, Scale
from analysis.tables.files import listed
from ouvae.declared import curve_value

Curves: TypeAlias = Mapping[int, tuple[Array, Array]]


def curves_of(members: Iterable[tuple[int, float, float | None]]) -> Curves:
    """Return the curves of members given as seed, rho and value; values of None are skipped."""
    points: dict[int, list[tuple[float, float]]] = {}
    for seed, rho, value in members:
        curve = points.setdefault(seed, [])
        if value is not None:
            curve.append((rho, value))
    return {seed: _arrays(curve) for seed, curve in points.items()}


def _arrays(points: list[tuple[float, float]]) -> tuple[Array, Array]:
    rho, values = np.array(sorted(points), dtype=np.float64).reshape(-1, 2).T
    return rho, values


def trained_range(curves: Curves) -> tuple[float, float]:
    """Return the lowest and the highest rho of all members. Raises ValueError without members."""
    trained = np.concatenate([rho for rho, _ in curves.values()])
    return float(trained.min()), float(trained.max())


def mean_curve(curves: Curves, scale: Scale = LINEAR) -> tuple[Array, Array]:
    """Average the curves of several seeds, at every rho that any of them has.

    Each seed is interpolated linearly on the scale, inside its own range of rho and never beyond it; the mean
    at a rho is over the seeds whose range covers it. Probes are used only if there are no curves. Returns two
    arrays of shape (M,), M the number of distinct rho, ascending; empty ones if there is no member.
    """
    usable = _wide(curves, scale) or _usable(curves)
    if not usable:
        return np.empty(0), np.empty(0)
    grid = np.unique(np.concatenate([rho for rho, _ in usable]))
    places = scale.places(grid)
    sampled = [
        np.interp(places, scale.places(rho), values, left=np.nan, right=np.nan) for rho, values in usable
    ]
    return grid, np.nanmean(np.stack(sampled), axis=0)


def _wide(curves: Curves, scale: Scale) -> list[tuple[Array, Array]]:
    """The curves that span at least half of the range of rho of all members; probes do not."""
    usable = _usable(curves)
    ends = [scale.places(rho[[0, -1]]) for rho, _ in usable]
    half = np.ptp(ends) / 2 if ends else 0.0
    return [curve for curve, of_curve in zip(usable, ends, strict=True) if np.ptp(of_curve) >= half > 0]


def _usable(curves: Curves) -> list[tuple[Array, Array]]:
    """The curves that have a member, each in ascending rho."""
    ordered = (sorted_curve(rho, values) for rho, values in curves.values())
    return [curve for curve in ordered if curve[0].size]


def sorted_curve(rho: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    """Return the curve in ascending rho; ValueError unless finite, aligned and without repeats."""
    rho_array = np.asarray(rho, dtype=np.float64)
    value_array = np.asarray(values, dtype=np.float64)
    if rho_array.ndim != 1 or rho_array.shape != value_array.shape:
        raise ValueError(
            f"rho and values must be two sequences of one length, not of shapes {rho_array.shape} "
            f"and {value_array.shape}"
        )
    if not (np.isfinite(rho_array).all() and np.isfinite(value_array).all()):
        raise ValueError("rho and values must be finite: leave members that diverged or failed out")
    order = np.argsort(rho_array, kind="stable")
    rho_array, value_array = rho_array[order], value_array[order]
    repeated = np.unique(rho_array[1:][np.diff(rho_array) == 0])
    if repeated.size:
        values_text = ", ".join(f"{value:g}" for value in repeated)
        raise ValueError(f"each rho of a seed may occur once; repeated: {values_text}")
    return rho_array, value_array


def end_medians(curves: Curves, scale: Scale = LINEAR) -> Array | None:
    """Return the medians over seeds at their lowest and highest rho; None without a curve."""
    ends = [values[[0, -1]] for _, values in _wide(curves, scale)]
    return np.median(np.stack(ends), axis=0) if ends else None


CellCurves: TypeAlias = dict[str, dict[int, tuple[Array, Array]]]


def curves(members: pa.Table, metric: str = "kl_top_nats") -> CellCurves:
    """Return the curves of a metric against rho as `{cell_id: {seed: (rho, values)}}`.

    Cells and seeds come in the order of first appearance, rho ascending. Left out are members that
    diverged or failed, and members of older tables that lack the metric; a seed whose members are all left
    out keeps an empty curve. An undefined order parameter counts as collapsed, see
    `ouvae.declared.curve_value`. Raises TableError if a cell has two completed members of one rho and seed,
    or a completed member whose value is not finite.
    """
    points: dict[str, dict[tuple[int, float], float | None]] = {}
    unusable, repeated = [], set()
    columns = dict.fromkeys(
        ["member_id", "cell_id", "cell", "seed", "rho", "status", "active_units_top", metric]
    )
    for row in members.select(list(columns)).to_pylist():
        of_cell, place = points.setdefault(row["cell_id"], {}), (row["seed"], row["rho"])
        value = curve_value(row, metric)
        if row["status"] != "completed" or (value is None and metric != "kl_top_nats"):
            of_cell.setdefault(place, None)
            continue
        if value is None or not np.isfinite(value):
            unusable.append(row["member_id"])
            continue
        if of_cell.get(place) is not None:
            repeated.add(f"{row['cell']} at rho {row['rho']:g}, seed {row['seed']}")
        of_cell[place] = value
    problems = []
    if unusable:
        problems.append(f"completed members without a finite {metric}: " + ", ".join(unusable))
    if repeated:
        problems.append("more than one completed member: " + "; ".join(sorted(repeated)))
    if problems:
        raise TableError(listed("the members give no curves", problems))
    return {
        cell: dict(curves_of((seed, rho, value) for (seed, rho), value in of_cell.items()))
        for cell, of_cell in points.items()
    }
