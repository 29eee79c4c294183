"""The order parameters. The rows of the thresholds table follow from their declarations.

An order parameter is a metric that is small in the collapsed phase and large in the active phase. A level
separates the phases: a fixed value, or half of the plateau at the active end of the curve.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator

from ouvae.declared.metrics import METRICS

HALF_PLATEAU: Literal["half_plateau"] = "half_plateau"


def _checked_level(level: Any) -> Any:
    """Refuse what is neither; pydantic would report each of the two types separately."""
    try:
        is_level = level == HALF_PLATEAU or 0 < float(level) < math.inf
    except (TypeError, ValueError):
        is_level = False
    if not is_level:
        raise ValueError(f"give a finite number above 0, or {HALF_PLATEAU}")
    return level


ActiveFrom: TypeAlias = Annotated[float | Literal["half_plateau"], BeforeValidator(_checked_level)]
"""The level from which a member is active: a value of the order parameter, or `half_plateau`, half of the
larger of the medians over seeds at the two ends of rho."""


@dataclass(frozen=True)
class OrderParameter:
    """A metric that separates the phases.

    Attributes:
        name: its name in spaces and tables.
        metric: name of the metric.
        words: its name in figures and texts.
        active_from: default level; a plateau below twice this level does not count.
        bounds: the metrics that bound it from below and above, if it is an estimate between bounds.
        undefined_as: value for a completed member whose metric is undefined; None if it is always defined.
        rank: the entry of a metric that is a list over units, 1 for the largest; None for a number.
    """

    name: str
    metric: str
    words: str
    active_from: float
    bounds: tuple[str, str] | None = None
    undefined_as: float | None = None
    rank: int | None = None

    @property
    def unit(self) -> str:
        """The unit of the metric."""
        return next(metric.unit for metric in METRICS if metric.name == self.metric)

    @property
    def curve(self) -> str:
        """The name of its curves: that of the metric, with the rank of the unit."""
        return self.metric if self.rank is None else f"{self.metric}_{self.rank}"

    def value(self, member: Mapping[str, Any]) -> float | None:
        """Return a member's value for curves and searches; None if it was not measured.

        A value that is undefined is replaced by `undefined_as`: a top layer without variance is collapsed. A
        layer with fewer units than `rank` has no value.

        Args:
            member: its row, with `status`, the metric, and `active_units_top`. All versions that measure a
                metric that can be undefined measure that too.
        """
        measured = member[self.metric]
        if self.rank is not None:
            return measured[self.rank - 1] if self.rank <= len(measured or ()) else None
        if measured is not None or self.undefined_as is None:
            return measured  # type: ignore[no-any-return]
        was_measured = member["status"] == "completed" and member["active_units_top"] is not None
        return self.undefined_as if was_measured else None


MOST_UNITS = 8
"""Number of units of the top layer whose KL is an order parameter."""

ORDER_PARAMETERS = MappingProxyType(
    {
        order.name: order
        for order in (
            OrderParameter("kl_top", "kl_top_nats", "top-layer KL", 0.1),
            OrderParameter(
                "information_top",
                "information_top_nats",
                "top-layer information",
                0.1,
                bounds=("information_top_lower_nats", "information_top_upper_nats"),
            ),
            OrderParameter("kl_top_pair", "kl_top_pair_nats", "KL of the two top layers", 0.1),
            OrderParameter(
                "signal_share_top", "signal_share_top", "top-layer share of signal", 0.5, undefined_as=0.0
            ),
            OrderParameter("active_units_top", "active_units_top", "active units of the top layer", 1),
            *(
                OrderParameter(
                    f"kl_top_unit_{rank}", "kl_units_top_nats", f"top-layer KL, unit {rank}", 0.1, rank=rank
                )
                for rank in range(1, MOST_UNITS + 1)
            ),
        )
    }
)
"""The order parameters by name, the paper's first.

`kl_top_unit_k` is the k-th largest KL of a unit of the top layer. A level k of `active_units_top` tells the
same transition, but the definition of an active unit fixes its level, a variance of 0.01, while a KL has a
level of one's choice. In the linear Gaussian VAE without smoothing a level of L nats moves the critical
weight of the KL by a factor of e^(-2 L): see `ouvae.linear_gaussian`.
"""

PAPERS = next(iter(ORDER_PARAMETERS))
"""Name of the paper's order parameter."""

WATCHED = MappingProxyType(
    {name: ORDER_PARAMETERS[name].active_from for name in ("kl_top", "information_top")}
)
"""The order parameters that spaces watch by default, with their levels."""


def _checked(name: str) -> str:
    if name not in ORDER_PARAMETERS:
        raise ValueError(f"not an order parameter; allowed are {', '.join(ORDER_PARAMETERS)}")
    return name


OrderName: TypeAlias = Annotated[str, AfterValidator(_checked)]
"""The name of an order parameter."""
