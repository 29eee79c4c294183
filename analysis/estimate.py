"""Critical thresholds from curves of an order parameter against rho.

A curve is a pair of arrays `(rho, values)`, each of shape (M,), for the M usable members of one seed:
smoothing parameters in any order, and the order parameter, such as the top-layer KL in nats. Curves come as
a mapping from seed to curve. A seed is one realisation of the disorder (weights, minibatches, noise), and
rho the control parameter moved within it, so a threshold is estimated seed by seed and then averaged.

A member is *active* when its order parameter is at least `active_from`, else *collapsed*. The estimate walks
in from the collapsed side and stops at the first active member; nothing is assumed of the curve beyond,
which need not be monotone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Array: TypeAlias = NDArray[np.float64]
Curves: TypeAlias = Mapping[int, tuple[Array, Array]]

TRANSITION = "transition"
ALWAYS_ACTIVE = "always_active"
ALWAYS_COLLAPSED = "always_collapsed"
UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class SeedThreshold:
    """The threshold of one seed.

    `rho_low < rho_high` are the two neighbouring rho between which the top layer turns on,
    `rho_c` lies between them, and `jump` is the order parameter at the active end minus that at the
    collapsed end. All four are None unless `status` is `transition`.
    """

    seed: int
    status: str
    rho_c: float | None = None
    rho_low: float | None = None
    rho_high: float | None = None
    jump: float | None = None


@dataclass(frozen=True)
class CellThreshold:
    """The threshold of a cell, from all of its seeds.

    `rho_c` is the mean over seeds and `[rho_c_low, rho_c_high]` its interval at `confidence`
    (None with one seed, whose interval is its bracket). `bracket_low`, `bracket_high`, `width` and
    `jump` are means over the seeds' brackets. All of these are None unless `status` is
    `transition`; `seeds` always holds what each seed has to say.
    """

    status: str
    collapsed_side: str
    seeds: tuple[SeedThreshold, ...]
    rho_c: float | None = None
    rho_c_low: float | None = None
    rho_c_high: float | None = None
    confidence: float | None = None
    bracket_low: float | None = None
    bracket_high: float | None = None
    width: float | None = None
    jump: float | None = None


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
    """Find where the top layer of one seed turns on, walking in from the collapsed side.

    The bracket is the first active rho and its collapsed neighbour, `rho_c` the linear
    interpolation of the values at `active_from` between the two. `always_active` means that the
    outermost member of the collapsed side is active, `always_collapsed` that none is, and
    `unresolved` that there are fewer than two members.

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
    if rho_walk.size < 2:
        return SeedThreshold(seed, UNRESOLVED)
    active = walk >= active_from
    if not active.any():
        return SeedThreshold(seed, ALWAYS_COLLAPSED)
    first = int(np.argmax(active))
    if first == 0:
        return SeedThreshold(seed, ALWAYS_ACTIVE)
    outer, inner = float(rho_walk[first - 1]), float(rho_walk[first])
    jump = float(walk[first] - walk[first - 1])
    fraction = float(active_from - walk[first - 1]) / jump
    return SeedThreshold(
        seed,
        TRANSITION,
        rho_c=outer + fraction * (inner - outer),
        rho_low=min(outer, inner),
        rho_high=max(outer, inner),
        jump=jump,
    )


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
    collapses there). Each seed counts with its own outermost members; seeds with fewer than two
    members do not count.
    """
    _check_active_from(active_from)
    ends = _ends(curves)
    if ends is None:
        return "high"
    at_lowest, at_highest = ends
    return "low" if at_lowest < active_from <= at_highest else "high"


def _ends(curves: Curves) -> Array | None:
    """Return the medians over seeds at their lowest and highest rho; None without a seed of two members."""
    ends = [values[[0, -1]] for _, values in _usable(curves) if values.size > 1]
    return np.median(np.stack(ends), axis=0) if ends else None


def cell_threshold(curves: Curves, active_from: float, confidence: float = 0.95) -> CellThreshold:
    """Estimate the threshold of a cell and its interval from the curves of its seeds.

    The status is that of the seeds when they agree, else `unresolved`. With n seeds and t the
    quantile of Student's distribution with n - 1 degrees of freedom, the interval is

        [mean(bracket lows) - t s / sqrt(n), mean(bracket highs) + t s / sqrt(n)]

    clipped to [0, 1]: the scatter of the seeds plus the whole resolution of the grid. s^2 is the
    variance of the seeds' rho_c plus mean(bracket width^2) / 12, the variance of a threshold that may
    lie anywhere in its bracket: without it, seeds that share a bracket would hide their scatter. With
    one seed the interval is the bracket.

    Raises ValueError for a `confidence` outside (0, 1) and whatever `seed_threshold` refuses.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence!r}")
    side = collapsed_side(curves, active_from)
    seeds = tuple(
        seed_threshold(seed, rho, values, active_from, side) for seed, (rho, values) in curves.items()
    )
    statuses = {seed.status for seed in seeds}
    status = statuses.pop() if len(statuses) == 1 else UNRESOLVED
    if status != TRANSITION:
        return CellThreshold(status, side, seeds)

    numbers = [(seed.rho_c, seed.rho_low, seed.rho_high, seed.jump) for seed in seeds]
    rho_c, low, high, jump = np.array(numbers, dtype=np.float64).T
    margin = _student_margin(rho_c, high - low, confidence)
    return CellThreshold(
        status,
        side,
        seeds,
        rho_c=float(rho_c.mean()),
        rho_c_low=float(np.clip(low.mean() - margin, 0, 1)),
        rho_c_high=float(np.clip(high.mean() + margin, 0, 1)),
        confidence=confidence if rho_c.size > 1 else None,
        bracket_low=float(low.mean()),
        bracket_high=float(high.mean()),
        width=float((high - low).mean()),
        jump=float(jump.mean()),
    )


def _student_margin(rho_c: Array, width: Array, confidence: float) -> float:
    """Half width of Student's interval of the mean of `rho_c`, known up to `width`; 0 for one value."""
    n = rho_c.size
    if n < 2:
        return 0.0
    variance = rho_c.var(ddof=1) + (width**2).mean() / 12
    return float(stdtrit(n - 1, (1 + confidence) / 2) * np.sqrt(variance / n))


def mean_curve(curves: Curves) -> tuple[Array, Array]:
    """Average the curves of several seeds: the rho of all of them, and the mean there.

    Each seed is interpolated linearly inside its own range of rho and never beyond it; the mean at
    a rho is over the seeds whose range covers it. Returns two arrays of shape (M,), M the number of
    distinct rho, ascending; empty ones if there is no member.
    """
    usable = _usable(curves)
    if not usable:
        return np.empty(0), np.empty(0)
    grid = np.unique(np.concatenate([rho for rho, _ in usable]))
    sampled = [np.interp(grid, rho, values, left=np.nan, right=np.nan) for rho, values in usable]
    return grid, np.nanmean(np.stack(sampled), axis=0)


def _usable(curves: Curves) -> list[tuple[Array, Array]]:
    """The curves that have a member, each in ascending rho."""
    ordered = (_sorted_curve(rho, values) for rho, values in curves.values())
    return [curve for curve in ordered if curve[0].size]
