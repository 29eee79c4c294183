"""One HTML page with every table and figure of the paper's appendix beside ours.

The page needs nothing but itself: styles and figures are inside, nothing in it runs, and every text is
escaped. It carries its verdicts for programs too, as JSON in the element `#verdicts`:
`{"budget": "quick", "verdicts": {"table6": "holds, holds", …}}`.
"""

import base64
import io
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from analysis import style
from analysis.appendix import text
from analysis.appendix.claims import FAILS, HOLDS, UNDECIDED
from analysis.appendix.compare import published_value
from analysis.appendix.runs import settings, short_budget
from analysis.appendix.sections import Section
from analysis.appendix.tuning import tuning

_SIGNS = {HOLDS: ("holds", "✓"), FAILS: ("fails", "✗"), UNDECIDED: ("open", "?")}
"""The class of the style sheet and the sign of each verdict."""


def render(sections: Sequence[Section], budget: str) -> str:
    """Return the page of some sections, in their order; `budget` is the one that the runs were asked for."""
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
    environment = Environment(
        loader=PackageLoader("analysis.appendix", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # the order of the page
    environment.filters |= {
        "indexed": indexed,
        "signed": signed,
        "data_uri": _data_uri,
        "summary": text.summary,
        "evidence_text": text.evidence_text,
        "wanted_text": text.wanted_text,
        "short_budget": short_budget,
        "settings": settings,
        "tuning": tuning,
    }
    environment.globals |= {
        "published_text": text.published_text,
        "published_value": published_value,
        "measured_text": text.measured_text,
    }
    return environment


def _data_uri(figure: Figure) -> str:
    """A figure as the address of an SVG image that it contains, the same text each time."""
    file = io.BytesIO()
    with style.figure_style():
        figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def signed(words: str) -> Markup:
    """Return escaped text in which a hyphen before a digit, at the start of a number, is a minus sign.

    A hyphen alone becomes a dash; indices are set as `indexed` does.
    """
    if words == text.NOTHING:
        return Markup("\u2013")
    found = [f"\u2212{w[1:]}" if w[:1] == "-" and w[1:2].isdigit() else w for w in words.split(" ")]
    found = [f"[\u2212{w[2:]}" if w.startswith("[-") else w for w in found]
    return indexed(" ".join(found))


def indexed(words: str) -> Markup:
    """Return escaped text in which `L_100` and `ρ_c` have indices."""
    first, *rest = words.split("_")
    joined, before = escape(first), first
    for word in rest:
        size = len(word) - len(word.lstrip("0123456789")) or int(word[:1] in ("c", "k"))
        if before[-1:] in ("L", "ρ") and size and not word[size : size + 1].isalnum():
            joined += Markup("<sub>{}</sub>{}").format(word[:size], word[size:])
        else:
            joined += f"_{word}"
        before = word
    return joined
