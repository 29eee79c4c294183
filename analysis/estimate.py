"""Critical thresholds from curves of an order parameter against rho.

A curve is a pair of arrays `(rho, values)`, each of shape (M,), for the M usable members of one seed:
smoothing parameters in any order, and the order parameter, such as the top-layer KL in nats. Curves come as
a mapping from seed to curve; one of a single member is a probe. A seed is one realisation of the disorder
(weights, minibatches, noise), and rho the control parameter moved within it: each seed has a threshold of its
own, and that of a cell is their median, the rho at which half of the realisations are active.

A member is *active* when its order parameter is at least `active_from`, else *collapsed*. The threshold of
a seed lies between the first active member, walking in from the collapsed side, and the collapsed one
before it; nothing is assumed of the curve beyond, which need not be monotone, nor of where between the two
it lies.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from analysis.censored import Array as Array
from analysis.censored import Population, population

Curves: TypeAlias = Mapping[int, tuple[Array, Array]]

TRANSITION = "transition"
ALWAYS_ACTIVE = "always_active"
ALWAYS_COLLAPSED = "always_collapsed"
UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class SeedThreshold:
    """What the members of one seed say of its threshold.

    It lies between `rho_low` and `rho_high`, two neighbouring rho of which one is active and one collapsed,
    and `rho_c` is the middle of the two. One end is None, and `rho_c` with it, where all members are active
    (`always_active`) or collapsed (`always_collapsed`), and both where there are none (`unresolved`). `jump`
    is the order parameter at the active end minus that at the collapsed one; None unless both are there.
    """

    seed: int
    status: str
    n_members: int
    rho_c: float | None = None
    rho_low: float | None = None
    rho_high: float | None = None
    jump: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The interval in which the threshold lies, with infinite ends where it is open."""
        low, high = self.rho_low, self.rho_high
        return -np.inf if low is None else low, np.inf if high is None else high


@dataclass(frozen=True)
class CellThreshold:
    """The threshold of a cell, from all of its seeds.

    `rho_c` is the median of its realisations and `[rho_c_low, rho_c_high]` its interval at `confidence`;
    `spread_left` and `spread_right` are the scales of the realisations below and above it, each with an
    interval. An end that may lie beyond all that was trained is None: the data do not say where. Where the
    median itself lies there, `always_active` or `always_collapsed`, there is a one-sided bound; where nothing
    is known, `unresolved`, there is none. `jump` is the mean over seeds that have one. `seeds` holds what
    each seed has to say, `population` the whole posterior.
    """

    status: str
    collapsed_side: str
    seeds: tuple[SeedThreshold, ...]
    confidence: float
    population: Population | None = None
    rho_c: float | None = None
    rho_c_low: float | None = None
    rho_c_high: float | None = None
    spread_left: float | None = None
    spread_left_low: float | None = None
    spread_left_high: float | None = None
    spread_right: float | None = None
    spread_right_low: float | None = None
    spread_right_high: float | None = None
    jump: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval of rho_c; None where it has not two ends."""
        if self.rho_c_low is None or self.rho_c_high is None:
            return None
        return (self.rho_c_high - self.rho_c_low) / 2


def curves_of(members: Iterable[tuple[int, float, float | None]]) -> Curves:
    """Return the curves of members given as seed, rho and value; those without a value do not count."""
    points: dict[int, list[tuple[float, float]]] = {}
    for seed, rho, value in members:
        own = points.setdefault(seed, [])
        if value is not None:
            own.append((rho, value))
    return {seed: _arrays(own) for seed, own in points.items()}


def _arrays(points: list[tuple[float, float]]) -> tuple[Array, Array]:
    rho, values = np.array(sorted(points), dtype=np.float64).reshape(-1, 2).T
    return rho, values


def _sorted_curve(rho: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
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
        listed = ", ".join(f"{value:g}" for value in repeated)
        raise ValueError(f"each rho of a seed may occur once; repeated: {listed}")
    return rho_array, value_array


def _check_active_from(active_from: float) -> None:
    if not (np.isfinite(active_from) and active_from > 0):
        raise ValueError(f"active_from must be positive and finite, not {active_from!r}")


def seed_threshold(
    seed: int,
    rho: Sequence[float] | Array,
    values: Sequence[float] | Array,
    active_from: float,
    collapsed_side: str = "high",
) -> SeedThreshold:
    """Find between which members the top layer of one seed turns on, walking in from the collapsed side.

    `rho` and `values` have shape (M,), in any order. Raises ValueError for a repeated rho,
    what is not finite, unequal lengths, an `active_from` that is not positive, or a
    `collapsed_side` other than `high` and `low`.
    """
    _check_active_from(active_from)
    if collapsed_side not in ("high", "low"):
        raise ValueError(f"collapsed_side must be 'high' or 'low', not {collapsed_side!r}")
    rho_walk, walk = _sorted_curve(rho, values)
    if collapsed_side == "high":
        rho_walk, walk = rho_walk[::-1], walk[::-1]
    n = rho_walk.size
    if not n:
        return SeedThreshold(seed, UNRESOLVED, 0)
    active = walk >= active_from
    first = int(np.argmax(active)) if active.any() else n
    outer = float(rho_walk[first - 1]) if first > 0 else None
    inner = float(rho_walk[first]) if first < n else None
    low, high = (inner, outer) if collapsed_side == "high" else (outer, inner)
    if low is None or high is None:
        status = ALWAYS_ACTIVE if outer is None else ALWAYS_COLLAPSED
        return SeedThreshold(seed, status, n, rho_low=low, rho_high=high)
    jump = float(walk[first] - walk[first - 1])
    return SeedThreshold(seed, TRANSITION, n, (low + high) / 2, low, high, jump)


def level(curves: Curves, active_from: float | str, least: float) -> float:
    """Return the value from which a member counts as active: `active_from`, or half of the plateau.

    The plateau is the larger of the medians over seeds at the lowest and the highest rho, each seed with its
    own outermost members; half of it is taken as at least `least`, so that a curve that is nowhere active
    stays so.
    """
    if not isinstance(active_from, str):
        return active_from
    ends = _ends(curves)
    return least if ends is None else max(least, float(ends.max()) / 2)


def collapsed_side(curves: Curves, active_from: float) -> str:
    """Return the side of the rho axis, `high` or `low`, on which the top layer is collapsed.

    It is `high`, where the paper finds it, unless the median over seeds is below
    `active_from` at the lowest rho and not below it at the highest (the ambient form of smoothing
    collapses there). Each seed counts with its own outermost members, and none that is no curve.
    """
    _check_active_from(active_from)
    ends = _ends(curves)
    if ends is None:
        return "high"
    at_lowest, at_highest = ends
    return "low" if at_lowest < active_from <= at_highest else "high"


def _ends(curves: Curves) -> Array | None:
    """Return the medians over seeds at their lowest and highest rho; None without a curve."""
    ends = [values[[0, -1]] for _, values in _wide(curves)]
    return np.median(np.stack(ends), axis=0) if ends else None


def cell_threshold(curves: Curves, active_from: float, confidence: float = 0.95) -> CellThreshold:
    """Estimate the threshold of a cell, the median of its realisations, from the curves of its seeds.

    Each seed counts for what it says, that its threshold lies in an interval: see `analysis.censored`.

    Raises ValueError for a `confidence` outside (0, 1) and whatever `seed_threshold` refuses.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence!r}")
    side = collapsed_side(curves, active_from)
    seeds = tuple(
        seed_threshold(seed, rho, values, active_from, side) for seed, (rho, values) in curves.items()
    )
    known = [seed.interval for seed in seeds if seed.n_members]
    if not known:
        return CellThreshold(UNRESOLVED, side, seeds, confidence)
    lowest, highest = trained_range(curves)
    found = population(Counter(known), (lowest, highest))
    jumps = [seed.jump for seed in seeds if seed.jump is not None]
    shared: dict[str, Any] = {
        "collapsed_side": side,
        "seeds": seeds,
        "confidence": confidence,
        "population": found,
        "jump": float(np.mean(jumps)) if jumps else None,
    }
    median = found.median
    if median.median > highest:
        status = ALWAYS_ACTIVE if side == "high" else ALWAYS_COLLAPSED
        return CellThreshold(status, rho_c_low=min(median.quantile(1 - confidence), highest), **shared)
    if median.median < lowest:
        status = ALWAYS_COLLAPSED if side == "high" else ALWAYS_ACTIVE
        return CellThreshold(status, rho_c_high=max(median.quantile(confidence), lowest), **shared)
    low, high = median.seen_interval(confidence)
    (left_low, left_high), (right_low, right_high) = (
        scale.interval(confidence) for scale in (found.left, found.right)
    )
    return CellThreshold(
        TRANSITION,
        rho_c=median.median,
        rho_c_low=low,
        rho_c_high=high,
        spread_left=found.left.median,
        spread_left_low=left_low,
        spread_left_high=left_high,
        spread_right=found.right.median,
        spread_right_low=right_low,
        spread_right_high=right_high,
        **shared,
    )


def trained_range(curves: Curves) -> tuple[float, float]:
    """Return the lowest and the highest rho of all members. Raises ValueError without one."""
    trained = np.concatenate([rho for rho, _ in curves.values()])
    return float(trained.min()), float(trained.max())


def mean_curve(curves: Curves) -> tuple[Array, Array]:
    """Average the curves of several seeds: the rho of all of them, and the mean there.

    Each seed is interpolated linearly inside its own range of rho and never beyond it; the mean at
    a rho is over the seeds whose range covers it. Probes are no curves and do not count, unless there is
    nothing else. Returns two arrays of shape (M,), M the number of distinct rho, ascending; empty ones if
    there is no member.
    """
    usable = _wide(curves) or _usable(curves)
    if not usable:
        return np.empty(0), np.empty(0)
    grid = np.unique(np.concatenate([rho for rho, _ in usable]))
    sampled = [np.interp(grid, rho, values, left=np.nan, right=np.nan) for rho, values in usable]
    return grid, np.nanmean(np.stack(sampled), axis=0)


def _wide(curves: Curves) -> list[tuple[Array, Array]]:
    """The curves proper, over half of the range of rho that all members span: probes of a seed are none."""
    usable = _usable(curves)
    ends = [end for rho, _ in usable for end in rho[[0, -1]]]
    half = np.ptp(ends) / 2 if ends else 0.0
    return [(rho, values) for rho, values in usable if rho.size > 1 and np.ptp(rho) >= half]


def _usable(curves: Curves) -> list[tuple[Array, Array]]:
    """The curves that have a member, each in ascending rho."""
    ordered = (_sorted_curve(rho, values) for rho, values in curves.values())
    return [curve for curve in ordered if curve[0].size]
