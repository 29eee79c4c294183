"""Charts as SVG, PNG and PDF, and Vega as one script for a page that loads nothing."""

import functools
import html
import re
from concurrent.futures import Future, ThreadPoolExecutor

import vl_convert

from analysis import TableError
from analysis.charts.looks import Spec
from analysis.text.markup import indexed

VEGA_LITE = "6.4"
"""The version of the grammar that charts are written in."""

PNG_INCH = 200
"""Pixels per inch in a PNG."""

_NOTICE = (
    "/* Vega, Vega-Lite and Vega-Embed, and the libraries of D3 that they use. Copyright (c) University of "
    "Washington Interactive Data Lab and contributors (BSD 3-Clause), and Mike Bostock (ISC). */\n"
)


def drawing(spec: Spec) -> str:
    """Return a chart as SVG text, one pixel per point, with subscripts.

    `svg`, `png` and `pdf` make files of the text. Raises TableError where it cannot be drawn.
    """
    try:
        drawn = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    except (ValueError, RuntimeError, OSError) as error:
        raise TableError(f"Vega-Lite {VEGA_LITE} cannot draw the chart: {error}") from error
    numbers: dict[str, str] = {}  # Vega's numbers go on from chart to chart; these start at 0
    drawn = re.sub(
        r"(?<=[#\"])(clip|gradient_)\d+\b",
        lambda name: numbers.setdefault(name[0], f"{name[1]}{len(numbers)}"),
        drawn,
    )
    return re.sub(r">([^<>]*_[^<>]*)<", lambda text: f">{_subscripts(text[1])}<", drawn)


def svg(drawing: str) -> bytes:
    """Return the file of a drawing as SVG, in points."""
    return re.sub(
        r'width="([\d.]+)" height="([\d.]+)"', r'width="\1pt" height="\2pt"', drawing, count=1
    ).encode()


def png(drawing: str, inch: int = PNG_INCH) -> bytes:
    """Return a drawing as PNG, with so many pixels per inch."""
    image: bytes = vl_convert.svg_to_png(drawing, scale=inch / 72)
    return image


def pdf(drawing: str) -> bytes:
    """Return a drawing as PDF."""
    page: bytes = vl_convert.svg_to_pdf(drawing)
    return page


def _subscripts(text: str) -> str:
    """Return the text of an SVG with subscripts where `indexed` has them."""
    with_sub = str(indexed(html.unescape(text)))
    return re.sub(
        r"<sub>(.*?)</sub>([^<]*)",
        r'<tspan dy="0.25em" font-size="75%">\1</tspan><tspan dy="-0.1875em">\2</tspan>',
        with_sub,
    )


@functools.cache
def begin() -> Future[str]:
    """Start bundling the script in a thread, once per process: a second or two on one core."""
    bundle = functools.partial(vl_convert.javascript_bundle, "window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    pool = ThreadPoolExecutor(1)
    made = pool.submit(bundle)
    pool.shutdown(wait=False)
    return made


def vega() -> str:
    """Return the script, which defines `vegaEmbed`. Raises TableError where it cannot be made."""
    try:
        script = begin().result()
    except (ValueError, RuntimeError, OSError) as error:
        raise TableError(
            f"the scripts of Vega-Lite {VEGA_LITE} cannot be bundled: {error}; reinstall vl-convert-python"
        ) from error
    return _NOTICE + script.replace("</script", "<\\/script")
