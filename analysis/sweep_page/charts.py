"""The charts of a page in Vega-Lite: what is against what, and what a pointer is told.

A chart names the tables that it draws; the page has each of them once. Colour, marker and dashes are those of
the cell, in every chart. Those that can be switched have the parameters `cells` and `groups`: the places of
the cells and of the groups of seeds that are seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from analysis import style
from analysis.sweep_page.columns import Quantity
from analysis.sweep_page.sources import Look
from ouvae.declared import OrderParameter

Spec: TypeAlias = dict[str, Any]

SHAPES = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "x": "cross",
}
"""Vega's names of matplotlib's markers."""

HEIGHT = 240
"""Pixels of a chart's height."""

_ROW_HEIGHT = 20
_SEEN = "indexof(cells, datum.cell) >= 0"
_SEEN_SEED = f"{_SEEN} && indexof(groups, datum.group) >= 0"
NAME_TOLD = {"field": "name", "title": "cell"}
_SEED = {"field": "seed", "title": "seed"}
RHO_TOLD = {"field": "rho", "title": "ρ", "format": ".4f"}
_MEMBER = {"field": "member", "title": "member"}
_CONFIG: Spec = {
    "font": 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif',
    "background": "#ffffff",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "#ececea",
        "domainColor": "#8a8a86",
        "tickColor": "#8a8a86",
    },
    "axisX": {"grid": False},
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "orient": "bottom"},
}


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: of its place in the page.
        title: what is read above it.
        tables: names of the tables that it draws.
        spec: in Vega-Lite, without these tables.
    """

    name: str
    title: str
    tables: Sequence[str]
    spec: Spec


def dash_pixels(dashes: Any) -> list[float]:
    """Return matplotlib's dashes of a line in pixels, as SVG and Vega have them."""
    return [1, 0] if dashes == "-" else [1.5 * length for length in dashes[1]]


@dataclass(frozen=True)
class Painter:
    """Makes charts that look alike.

    Attributes:
        looks: of the cells that are drawn.
        names: of these cells, short enough for an axis.
        groups: number of groups of seeds.
        rho: the lowest and highest rho of all members.
    """

    looks: Sequence[Look]
    names: Sequence[str]
    groups: int
    rho: tuple[float, float]

    def against_rho(self, one: Quantity) -> Chart:
        """Return a quantity against rho: members, the curve of each seed, and the mean over seeds."""
        y = {
            "field": one.name,
            "type": "quantitative",
            "title": None,
            "scale": {"zero": one.metric != "elbo_nats"},
            "axis": {"tickMinStep": 1} if one.metric == "active_units" else {},
        }
        bounds = one.order.bounds if one.order else None
        told = [
            NAME_TOLD, RHO_TOLD, _SEED,
            {"field": one.name, "title": one.title, "format": ".4~g"},
            *({"field": name, "title": name.replace("_", " "), "format": ".4~g"} for name in bounds or ()),
            _MEMBER,
        ]  # fmt: skip
        seed_line = {
            "data": {"name": "members"},
            "transform": [{"filter": f"{_SEEN_SEED} && datum.curve && isValid(datum['{one.name}'])"}],
            "mark": {"type": "line", "strokeWidth": 0.9, "opacity": 0.4},
            "encoding": {"y": y, "detail": {"field": "seed"}, "color": self.colour()},
        }
        members = {
            "data": {"name": "members"},
            "transform": [{"filter": f"{_SEEN_SEED} && isValid(datum['{one.name}'])"}],
            "mark": {"type": "point", "filled": True, "size": 34, "opacity": 0.75},
            "encoding": {"y": y, "color": self.colour(), "shape": self.shape(), "tooltip": told},
        }
        mean = {
            "data": {"name": f"mean-{one.name}"},
            "transform": [{"filter": _SEEN}],
            "mark": {"type": "line", "strokeWidth": 2.2},
            "encoding": {
                "y": {"field": "value", "type": "quantitative"},
                "color": self.colour(),
                "strokeDash": self.dash(),
            },
        }
        layers = [*self._levels(one), seed_line, members, mean, *self._lost(one)]
        spec = self.base() | {"height": HEIGHT, "encoding": {"x": self.x("rho")}, "layer": layers}
        tables = ["members", f"mean-{one.name}", *["thresholds"] * (one.order is not None)]
        return Chart(f"rho-{one.name}", one.title, tables, spec)

    def thresholds(self, order: OrderParameter) -> Chart:
        """Return the thresholds of the cells: rho_c with its interval, and those of the seeds as ticks."""
        own = f"{_SEEN} && datum.order == '{order.name}'"
        cell = {
            "field": "name_short",
            "type": "nominal",
            "title": None,
            "scale": {"domain": list(self.names)},
            "axis": {"labelLimit": 150, "grid": True},
        }
        text = {"field": "text", "title": " "}
        seeds = {
            "data": {"name": "seeds"},
            "transform": [{"filter": own}],
            "mark": {"type": "tick", "opacity": 0.45, "thickness": 1, "size": 11},
            "encoding": {
                "x": self.x("rho_c"),
                "color": self.colour(),
                "tooltip": [
                    NAME_TOLD, _SEED,
                    {"field": "low", "title": "above ρ", "format": ".4f"},
                    {"field": "high", "title": "below ρ", "format": ".4f"},
                ],
            },
        }  # fmt: skip
        parts: list[Spec] = [
            {
                "transform": [{"filter": f"{own} && isValid(datum.rho_c)"}],
                "mark": {"type": "rule", "strokeWidth": 3, "strokeCap": "round"},
                "encoding": {"x": self.x("low"), "x2": {"field": "high"}},
            },
            {
                "transform": [{"filter": f"{own} && isValid(datum.rho_c)"}],
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {"x": self.x("rho_c"), "shape": self.shape()},
            },
            *(
                {
                    "transform": [{"filter": f"{own} && isValid(datum.bound) && datum.side == '{side}'"}],
                    "mark": {"type": "point", "shape": f"triangle-{way}", "size": 90, "strokeWidth": 2},
                    "encoding": {"x": self.x("bound")},
                }
                for side, way in (("above", "right"), ("below", "left"))
            ),
        ]
        for part in parts:
            part["data"] = {"name": "thresholds"}
            part["encoding"] |= {"color": self.colour(), "tooltip": [text]}
        exact = {
            "data": {"name": "thresholds"},
            "transform": [{"filter": f"{own} && isValid(datum.exact)"}],
            "mark": {"type": "tick", "color": style.BLACK, "thickness": 2, "size": 16},
            "encoding": {
                "x": self.x("exact"),
                "tooltip": [NAME_TOLD, {"field": "exact", "title": "exact ρ_c", "format": ".4f"}],
            },
        }
        spec = self.base() | {
            "height": _ROW_HEIGHT * len(self.names),
            "encoding": {"y": cell},
            "layer": [seeds, *parts, exact],
        }
        title = f"{order.words[:1].upper()}{order.words[1:]}: ρ_c by cell"
        return Chart(f"thresholds-{order.name}", title, ["thresholds", "seeds"], spec)

    def training(self) -> Chart:
        """Return the top layer's KL against the step, of members near rho_c."""
        told = [
            NAME_TOLD, RHO_TOLD, _SEED,
            {"field": "step", "title": "step"},
            {"field": "kl_top_nats", "title": "top-layer KL (nats)", "format": ".4~g"},
            _MEMBER,
        ]  # fmt: skip
        x = {"field": "step", "type": "quantitative", "title": "optimizer step", "axis": {"tickCount": 5}}
        y = {"field": "kl_top_nats", "type": "quantitative", "title": None}
        layers = [
            {
                "mark": {"type": "line", "strokeWidth": 1.2, "opacity": 0.7},
                "encoding": {"detail": {"field": "member"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.8},
                "encoding": {"shape": self.shape(), "tooltip": told},
            },
        ]
        spec = self.base() | {
            "height": HEIGHT,
            "data": {"name": "training"},
            "transform": [{"filter": f"{_SEEN} && isValid(datum.kl_top_nats)"}],
            "encoding": {"x": x, "y": y, "color": self.colour()},
            "layer": layers,
        }
        return Chart("training", "Top-layer KL (nats) of members near ρ_c", ["training"], spec)

    def base(self) -> Spec:
        """Return what all charts have, the parameters of the switches among it."""
        return {
            "width": "container",
            "autosize": {"type": "fit-x", "contains": "padding"},
            "params": [
                {"name": "cells", "value": list(range(len(self.looks)))},
                {"name": "groups", "value": list(range(self.groups))},
            ],
            "config": _CONFIG,
        }

    def x(self, field: str) -> Spec:
        """Return a horizontal axis of rho, the same in all charts."""
        low, high = self.rho
        margin = 0.03 * (high - low) or 0.02
        scale = {"domain": [low - margin, high + margin], "nice": False, "zero": False}
        axis = {"tickCount": 6, "format": "~g"}
        return {
            "field": field,
            "type": "quantitative",
            "title": "smoothing parameter ρ",
            "scale": scale,
            "axis": axis,
        }

    def _by_cell(self, values: Sequence[Any]) -> Spec:
        scale = {"domain": list(range(len(self.looks))), "range": list(values)}
        return {"field": "cell", "type": "nominal", "scale": scale, "legend": None}

    def colour(self) -> Spec:
        """Return the colours of the cells."""
        return self._by_cell([look.colour for look in self.looks])

    def shape(self) -> Spec:
        """Return the markers of the cells."""
        return self._by_cell([SHAPES[look.marker] for look in self.looks])

    def dash(self) -> Spec:
        """Return the dashes of the cells."""
        return self._by_cell([dash_pixels(look.dashes) for look in self.looks])

    def _levels(self, one: Quantity) -> list[Spec]:
        """Return where an order parameter is active from, and rho_c of the cells."""
        if one.order is None:
            return []
        own: Mapping[str, Any] = {"data": {"name": "thresholds"}}
        of_order = f"{_SEEN} && datum.order == '{one.order.name}'"
        return [
            {
                **own,
                "transform": [{"filter": of_order}],
                "mark": {"type": "rule", "color": style.GREY, "strokeDash": [1.5, 2.5]},
                "encoding": {
                    "x": {"value": 0},
                    "x2": {"value": "width"},
                    "y": {"field": "active_from", "type": "quantitative"},
                },
            },
            {
                **own,
                "transform": [{"filter": f"{of_order} && isValid(datum.rho_c)"}],
                "mark": {"type": "rule", "strokeWidth": 1.2, "strokeDash": [4, 3], "opacity": 0.8},
                "encoding": {
                    "x": self.x("rho_c"),
                    "color": self.colour(),
                    "tooltip": [{"field": "text", "title": " "}],
                },
            },
        ]

    def _lost(self, one: Quantity) -> list[Spec]:
        """Return the members without numbers, at the upper edge of the order parameters."""
        if one.order is None:
            return []
        return [
            {
                "data": {"name": "members"},
                "transform": [{"filter": f"{_SEEN_SEED} && datum.status != 'completed'"}],
                "mark": {"type": "point", "shape": "cross", "angle": 45, "size": 50, "filled": True},
                "encoding": {
                    "y": {"value": 5},
                    "color": self.colour(),
                    "tooltip": [NAME_TOLD, RHO_TOLD, _SEED, {"field": "status", "title": "status"}, _MEMBER],
                },
            }
        ]
