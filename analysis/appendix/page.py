"""One HTML page with every table and figure of the paper's appendix beside ours.

The page needs nothing but itself: styles and figures are inside, nothing in it runs, and every text is
escaped. It carries its verdicts for programs too, as JSON in the element `#verdicts`:
`{"budget": "quick", "verdicts": {"table6": "holds, holds", …}}`.
"""

import base64
import re
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment
from markupsafe import Markup

from analysis.appendix import text
from analysis.appendix.claims import FAILS, HOLDS, UNDECIDED
from analysis.appendix.compare import published_value
from analysis.appendix.runs import settings, short_budget
from analysis.appendix.sections import Section
from analysis.charts.chart import Chart
from analysis.charts.render import drawing, svg
from analysis.text.markup import environment

_PIXELS = 110 / 72
"""Pixels per typographic point, in the page."""

_SIGNS = {HOLDS: ("holds", "✓"), FAILS: ("fails", "✗"), UNDECIDED: ("open", "?")}
"""The class of the style sheet and the sign of each verdict."""


def render(sections: Sequence[Section], budget: str) -> str:
    """Return the page of the sections, in order; `budget` is the budget of the runs."""
    css = files("analysis.appendix").joinpath("page.css").read_text(encoding="utf-8")
    verdicts = {section.exhibit.name: section.verdicts for section in sections}
    page = _environment().get_template("page.html.j2")
    return page.render(
        sections=sections,
        budget=budget,
        css=Markup(css),  # noqa: S704 (a file of ours)
        verdicts={"budget": budget, "verdicts": verdicts},
        signs=_SIGNS,
    )


def _environment() -> Environment:
    made = environment("analysis.appendix")
    made.filters |= {
        "picture": _picture,
        "summary": text.summary,
        "evidence_text": text.evidence_text,
        "wanted_text": text.wanted_text,
        "short_budget": short_budget,
        "settings": settings,
    }
    made.globals |= {
        "published_text": text.published_text,
        "published_value": published_value,
        "measured_text": text.measured_text,
    }
    return made


def _picture(chart: Chart) -> tuple[int, str]:
    """Return the pixels of a chart's width in the page, and the address of an SVG image that it contains."""
    content = svg(drawing(chart.to_dict()))
    points = re.search(rb'width="([\d.]+)pt"', content)
    address = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
    return round(_PIXELS * float(points[1] if points else 500)), address
