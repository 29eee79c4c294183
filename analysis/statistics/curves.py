"""Curves of an order parameter against the control parameter, one per seed, and their mean."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from analysis import TableError
from analysis.statistics.censored import Array
from analysis.statistics.scale import LINEAR, Scale
from analysis.tables.files import listed
from ouvae.declared import ORDER_PARAMETERS, OrderParameter
from ouvae.declared.order_parameters import PAPERS

Curves: TypeAlias = Mapping[int, tuple[Array, Array]]


def curves_of(members: Iterable[tuple[int, float, float | None]]) -> Curves:
    """Return the curves of members given as seed, x and y; a y of None is skipped."""
    points: dict[int, list[tuple[float, float]]] = {}
    for seed, x, y in members:
        curve = points.setdefault(seed, [])
        if y is not None:
            curve.append((x, y))
    return {seed: _arrays(curve) for seed, curve in points.items()}


def _arrays(points: list[tuple[float, float]]) -> tuple[Array, Array]:
    x, y = np.array(sorted(points), dtype=np.float64).reshape(-1, 2).T
    return x, y


def trained_range(curves: Curves) -> tuple[float, float]:
    """Return the lowest and the highest value of the control parameter. Raises ValueError without members."""
    trained = np.concatenate([x for x, _ in curves.values()])
    return float(trained.min()), float(trained.max())


def mean_curve(curves: Curves, scale: Scale = LINEAR) -> tuple[Array, Array]:
    """Average the curves of several seeds, at every value that any of them has.

    Each seed is interpolated linearly on the scale, inside its own range and never beyond it; the mean
    at a value is over the seeds whose range covers it. Probes are used only if there are no curves. Returns
    two arrays of shape (M,), M the number of distinct values, ascending; empty ones if there is no member.
    """
    usable = _wide(curves, scale) or _usable(curves)
    if not usable:
        return np.empty(0), np.empty(0)
    grid = np.unique(np.concatenate([x for x, _ in usable]))
    places = scale.places(grid)
    sampled = [np.interp(places, scale.places(x), y, left=np.nan, right=np.nan) for x, y in usable]
    return grid, np.nanmean(np.stack(sampled), axis=0)


def _wide(curves: Curves, scale: Scale) -> list[tuple[Array, Array]]:
    """The curves that span at least half of the range of all members; probes do not."""
    usable = _usable(curves)
    ends = [scale.places(x[[0, -1]]) for x, _ in usable]
    half = np.ptp(ends) / 2 if ends else 0.0
    return [curve for curve, of_curve in zip(usable, ends, strict=True) if np.ptp(of_curve) >= half > 0]


def _usable(curves: Curves) -> list[tuple[Array, Array]]:
    """The curves that have a member, each in ascending order."""
    ordered = (sorted_curve(x, y) for x, y in curves.values())
    return [curve for curve in ordered if curve[0].size]


def sorted_curve(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return the curve in ascending x; ValueError unless finite, aligned and without repeats."""
    of_x, of_y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if of_x.ndim != 1 or of_x.shape != of_y.shape:
        raise ValueError(
            f"x and y must be two sequences of one length, not of shapes {of_x.shape} and {of_y.shape}"
        )
    if not (np.isfinite(of_x).all() and np.isfinite(of_y).all()):
        raise ValueError("x and y must be finite: leave members that diverged or failed out")
    order = np.argsort(of_x, kind="stable")
    of_x, of_y = of_x[order], of_y[order]
    repeated = np.unique(of_x[1:][np.diff(of_x) == 0])
    if repeated.size:
        texts = ", ".join(f"{value:g}" for value in repeated)
        raise ValueError(f"each value of a seed may occur once; repeated: {texts}")
    return of_x, of_y


def end_medians(curves: Curves, scale: Scale = LINEAR) -> Array | None:
    """Return the medians over seeds at their lowest and highest value; None without a curve."""
    ends = [values[[0, -1]] for _, values in _wide(curves, scale)]
    return np.median(np.stack(ends), axis=0) if ends else None


CellCurves: TypeAlias = dict[str, dict[int, tuple[Array, Array]]]


def curves(members: pa.Table, order: OrderParameter = ORDER_PARAMETERS[PAPERS]) -> CellCurves:
    """Return the curves of an order parameter over the control parameter as `{cell_id: {seed: (x, y)}}`.

    Cells and seeds come in the order of first appearance, x ascending. Left out are members that
    diverged or failed, and members of older tables that lack the metric; a seed whose members are all left
    out keeps an empty curve. An undefined order parameter counts as collapsed, see
    `OrderParameter.value`. Raises TableError if a cell has two completed members of one value and seed,
    or a completed member whose value is not finite.
    """
    points: dict[str, dict[tuple[int, float], float | None]] = {}
    unusable, repeated = [], set()
    columns = {"member_id", "cell_id", "cell", "control", "seed", "value", "status", "active_units_top"}
    for row in members.select(sorted(columns | {order.metric})).to_pylist():
        of_cell, place = points.setdefault(row["cell_id"], {}), (row["seed"], row["value"])
        y = order.value(row)
        if row["status"] != "completed" or (y is None and order.name != PAPERS):
            of_cell.setdefault(place, None)
            continue
        if y is None or not np.isfinite(y):
            unusable.append(row["member_id"])
            continue
        if of_cell.get(place) is not None:
            repeated.add(f"{row['cell']} at {row['control']} {row['value']:g}, seed {row['seed']}")
        of_cell[place] = y
    problems = []
    if unusable:
        problems.append(f"completed members without a finite {order.metric}: " + ", ".join(unusable))
    if repeated:
        problems.append("more than one completed member: " + "; ".join(sorted(repeated)))
    if problems:
        raise TableError(listed("the members give no curves", problems))
    return {
        cell: dict(curves_of((seed, x, y) for (seed, x), y in of_cell.items()))
        for cell, of_cell in points.items()
    }
