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
    """

    name: str
    metric: str
    words: str
    active_from: float
    bounds: tuple[str, str] | None = None
    undefined_as: float | None = None

    @property
    def unit(self) -> str:
        """The unit of the metric."""
        return next(metric.unit for metric in METRICS if metric.name == self.metric)


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
        )
    }
)
"""The order parameters by name, the paper's first."""

PAPERS = next(iter(ORDER_PARAMETERS))
"""Name of the paper's order parameter."""

WATCHED = MappingProxyType(
    {name: ORDER_PARAMETERS[name].active_from for name in ("kl_top", "information_top")}
)
"""The order parameters that spaces watch by default, with their levels."""


_UNDEFINED_AS = {order.metric: order.undefined_as for order in ORDER_PARAMETERS.values()}


def curve_value(member: Mapping[str, Any], metric: str) -> float | None:
    """Return a member's value of a metric for curves and searches; None if it was not measured.

    An undefined order parameter is replaced by its `undefined_as`: a top layer without variance is collapsed.

    Args:
        member: its row, with `status`, the metric, and `active_units_top`. All versions that measure a metric
            that can be undefined measure that too.
        metric: name of the metric.
    """
    value: float | None = member[metric]
    substitute = _UNDEFINED_AS.get(metric)
    if value is not None or substitute is None:
        return value
    measured = member["status"] == "completed" and member["active_units_top"] is not None
    return substitute if measured else None


def _checked(name: str) -> str:
    if name not in ORDER_PARAMETERS:
        raise ValueError(f"not an order parameter; allowed are {', '.join(ORDER_PARAMETERS)}")
    return name


OrderName: TypeAlias = Annotated[str, AfterValidator(_checked)]
"""The name of an order parameter."""
