"""When a member is active, and the threshold that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.statistics.curves import Curves, end_medians
from analysis.statistics.estimate import CellThreshold, cell_threshold
from analysis.statistics.scale import LINEAR, Scale
from ouvae.declared import CONTROLS, ORDER_PARAMETERS, OrderParameter
from ouvae.declared.controls import RHO, control_of
from ouvae.declared.order_parameters import HALF_PLATEAU, PAPERS
from ouvae.declared.searches import SEARCHES


@dataclass(frozen=True)
class Rule:
    """How the thresholds of one order parameter are estimated: its entries of `Rules`.

    `scale` spaces the values of the control parameter. `side` is the collapsed side, `low` or `high`; None
    takes it from the curves, and `usual_side` where they do not tell.
    """

    order: OrderParameter
    active_from: float | str
    confidence: float
    scale: Scale = LINEAR
    side: str | None = None
    usual_side: str = "high"

    def level(self, curves: Curves) -> float:
        """Return the value from which a member of these curves is active.

        The plateau is the larger of the medians over seeds at the lowest and the highest value, each seed
        with its own outermost members. Half of it is taken as at least the order parameter's default level,
        so that a curve that is nowhere active stays so.
        """
        if not isinstance(self.active_from, str):
            return self.active_from
        ends = end_medians(curves, self.scale)
        minimum = self.order.active_from
        return minimum if ends is None else max(minimum, float(ends.max()) / 2)

    def threshold(self, curves: Curves) -> CellThreshold:
        """Return the threshold of a cell with these curves. Raises ValueError as `cell_threshold`."""
        return cell_threshold(
            curves, self.level(curves), self.confidence, self.scale, self.side, self.usual_side
        )


@dataclass(frozen=True)
class Rules:
    """How the thresholds of a run are estimated and compared.

    Attributes:
        active_from: the order parameters by name, each with the value from which a member is active, or
            `half_plateau`.
        confidence: nominal coverage of the intervals.
        half_widths: of the intervals at which a search stops, by the order parameter that it targets.
        margin: equivalence margin of thresholds; None makes no equivalence test.
        control: the control parameter.
        scale: of its values.
    """

    active_from: Mapping[str, float | str]
    confidence: float
    half_widths: Mapping[str, float] = field(default_factory=dict)
    margin: float | None = None
    control: str = RHO
    scale: Scale = LINEAR

    def of(self, order: str) -> Rule:
        """Return the rule of an order parameter, by its name."""
        return Rule(
            ORDER_PARAMETERS[order],
            self.active_from[order],
            self.confidence,
            self.scale,
            usual_side=CONTROLS[self.control].collapsed,
        )


def rules_of(settings: Mapping[str, Any]) -> Rules:
    """Return the rules of a space by its keys. Raises KeyError, TypeError or ValueError without any."""
    # a run from before there was more than one order parameter says kl_threshold_nats
    watched = settings.get("active_from") or {PAPERS: settings["kl_threshold_nats"]}
    search = SEARCHES.get(settings.get("search", ""))
    aims = search is not None and search.aims_at_half_width
    return Rules(
        {name: rule if rule == HALF_PLATEAU else float(rule) for name, rule in watched.items()},
        float(settings["confidence"]),
        {settings["follow"]: float(settings.get("tolerance", settings.get("rho_tolerance")))} if aims else {},
        settings.get("margin"),
        *_control_of(settings),
    )


def declared_scale(control: str) -> Scale:
    """Return the scale that a control parameter declares for its values."""
    return Scale(CONTROLS[control].scale)


def _control_of(settings: Mapping[str, Any]) -> tuple[str, Scale]:
    """Return the control parameter of a space and its scale."""
    control = control_of(settings)
    values = settings.get(control)
    given = values.get("scale") if isinstance(values, Mapping) else None
    return control, Scale(given) if given else declared_scale(control)
