"""Critical thresholds from curves of an order parameter against the control parameter.

A curve is a pair of arrays `(x, y)`, each of shape (M,), for the M usable members of one seed: values of the
control parameter in any order, and the order parameter, such as the top-layer KL in nats. Curves come as
a mapping from seed to curve; one of a single member is a probe. A seed is one realisation of the disorder
(weights, minibatches, noise), and the control parameter moves within it: each seed has a threshold of its
own, and that of a cell is their median, the value at which half of the realisations are active.

Values are spaced on a `Scale`: the estimate is that of their places, and comes back in values.

A member is *active* when its order parameter is at least `active_from`, else *collapsed*. The threshold of
a seed lies between the first active member, walking in from the collapsed side, and the collapsed one
before it; nothing is assumed of the curve beyond, which need not be monotone, nor of where between the two
it lies.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.statistics.censored import Array, Population, population
from analysis.statistics.curves import Curves, end_medians, sorted_curve, trained_range
from analysis.statistics.scale import LINEAR, Scale

TRANSITION = "transition"
ALWAYS_ACTIVE = "always_active"
ALWAYS_COLLAPSED = "always_collapsed"
UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class SeedThreshold:
    """What the members of one seed say of its threshold.

    It lies between `low` and `high`, two neighbouring values of which one is active and one collapsed,
    and `critical_value` is the middle of the two on the scale. One end is None, and `critical_value` with it,
    where all members are active (`always_active`) or collapsed (`always_collapsed`), and both where there are
    none (`unresolved`). `jump` is the order parameter at the active end minus that at the collapsed one; None
    unless both are there.
    """

    seed: int
    status: str
    n_members: int
    critical_value: float | None = None
    low: float | None = None
    high: float | None = None
    jump: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The interval in which the threshold lies, with infinite ends where it is open."""
        low, high = self.low, self.high
        return -np.inf if low is None else low, np.inf if high is None else high


@dataclass(frozen=True)
class CellThreshold:
    """The threshold of a cell, from all of its seeds.

    `critical_value` is the median of its realisations and `[critical_low, critical_high]` its interval at
    `confidence`; `spread_left` and `spread_right` are the scales of the realisations below and above it, each
    with an interval. An end that may lie beyond all that was trained is None: the data do not say where.
    Where the median itself lies there, `always_active` or `always_collapsed`, there is a one-sided bound;
    where nothing is known, `unresolved`, there is none. `jump` is the mean over seeds that have one. `seeds`
    holds what each seed has to say, `population` the whole posterior, in places on the `scale`; spreads and
    the half width are spans of the scale.
    """

    status: str
    collapsed_side: str
    seeds: tuple[SeedThreshold, ...]
    confidence: float
    population: Population | None = None
    critical_value: float | None = None
    critical_low: float | None = None
    critical_high: float | None = None
    spread_left: float | None = None
    spread_left_low: float | None = None
    spread_left_high: float | None = None
    spread_right: float | None = None
    spread_right_low: float | None = None
    spread_right_high: float | None = None
    jump: float | None = None
    scale: Scale = LINEAR

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval of the critical value; None where it has not two ends."""
        if self.critical_low is None or self.critical_high is None:
            return None
        return self.scale.between(self.critical_low, self.critical_high) / 2


def _check_active_from(active_from: float) -> None:
    if not (np.isfinite(active_from) and active_from > 0):
        raise ValueError(f"active_from must be positive and finite, not {active_from!r}")


def seed_threshold(
    seed: int,
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    active_from: float,
    collapsed_side: str = "high",
    scale: Scale = LINEAR,
) -> SeedThreshold:
    """Find between which members the top layer of one seed turns on, walking in from the collapsed side.

    `x` and `y` have shape (M,), in any order. Raises ValueError for a repeated value,
    what is not finite, unequal lengths, an `active_from` that is not positive, or a
    `collapsed_side` other than `high` and `low`.
    """
    _check_active_from(active_from)
    if collapsed_side not in ("high", "low"):
        raise ValueError(f"collapsed_side must be 'high' or 'low', not {collapsed_side!r}")
    places, walk = sorted_curve(x, y)
    if collapsed_side == "high":
        places, walk = places[::-1], walk[::-1]
    n = places.size
    if not n:
        return SeedThreshold(seed, UNRESOLVED, 0)
    active = walk >= active_from
    first = int(np.argmax(active)) if active.any() else n
    outer = float(places[first - 1]) if first > 0 else None
    inner = float(places[first]) if first < n else None
    low, high = (inner, outer) if collapsed_side == "high" else (outer, inner)
    if low is None or high is None:
        status = ALWAYS_ACTIVE if outer is None else ALWAYS_COLLAPSED
        return SeedThreshold(seed, status, n, low=low, high=high)
    jump = float(walk[first] - walk[first - 1])
    return SeedThreshold(seed, TRANSITION, n, scale.middle(low, high), low, high, jump)


def collapsed_side(curves: Curves, active_from: float, scale: Scale = LINEAR, usual: str = "high") -> str:
    """Return the side of the control parameter's axis, `high` or `low`, on which the top layer is collapsed.

    It is the usual one unless the medians over seeds at the lowest and the highest value say otherwise: one
    of them is below `active_from` and the other is not. (In the ambient form of smoothing the top layer
    collapses at low values.) Each seed counts with its own outermost members; probes do not count.
    """
    _check_active_from(active_from)
    ends = end_medians(curves, scale)
    if ends is None:
        return usual
    is_active = [bool(end >= active_from) for end in ends]
    return usual if is_active[0] == is_active[1] else "high" if is_active[0] else "low"


def cell_threshold(
    curves: Curves,
    active_from: float,
    confidence: float = 0.95,
    scale: Scale = LINEAR,
    side: str | None = None,
    usual_side: str = "high",
) -> CellThreshold:
    """Estimate the threshold of a cell, the median of its realisations, from the curves of its seeds.

    Each seed says that its threshold lies in an interval: see `analysis.statistics.censored`. `side` is the
    collapsed side, by default that of `collapsed_side`, which is the usual one where curves do not tell.

    Raises ValueError for a `confidence` outside (0, 1) and whatever `seed_threshold` or the scale refuses.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence!r}")
    side = side or collapsed_side(curves, active_from, scale, usual_side)
    seeds = tuple(seed_threshold(seed, x, y, active_from, side, scale) for seed, (x, y) in curves.items())
    counted = Counter(seed.interval for seed in seeds if seed.n_members)
    if not counted:
        return CellThreshold(UNRESOLVED, side, seeds, confidence, scale=scale)
    lowest, highest = map(scale.place, trained_range(curves))
    posterior = population(
        {(scale.place(low), scale.place(high)): seeds for (low, high), seeds in counted.items()},
        (lowest, highest),
    )
    jumps = [seed.jump for seed in seeds if seed.jump is not None]
    shared: dict[str, Any] = {
        "collapsed_side": side,
        "seeds": seeds,
        "confidence": confidence,
        "population": posterior,
        "jump": float(np.mean(jumps)) if jumps else None,
        "scale": scale,
    }
    median = posterior.median
    if median.median > highest:
        status = ALWAYS_ACTIVE if side == "high" else ALWAYS_COLLAPSED
        bound = scale.value(min(median.quantile(1 - confidence), highest))
        return CellThreshold(status, critical_low=bound, **shared)
    if median.median < lowest:
        status = ALWAYS_COLLAPSED if side == "high" else ALWAYS_ACTIVE
        bound = scale.value(max(median.quantile(confidence), lowest))
        return CellThreshold(status, critical_high=bound, **shared)
    low, high = median.seen_interval(confidence)
    return CellThreshold(
        TRANSITION,
        critical_value=scale.value(median.median),
        critical_low=None if low is None else scale.value(low),
        critical_high=None if high is None else scale.value(high),
        **_spreads(posterior, confidence, scale),
        **shared,
    )


def _spreads(posterior: Population, confidence: float, scale: Scale) -> dict[str, Any]:
    """Return the spreads with their intervals, as spans, by the names of their attributes."""
    spreads: dict[str, float] = {}
    for name, of_side in (("spread_left", posterior.left), ("spread_right", posterior.right)):
        low, high = of_side.interval(confidence)
        of_name = {name: of_side.median, f"{name}_low": low, f"{name}_high": high}
        spreads |= {key: scale.span(distance) for key, distance in of_name.items()}
    return spreads
