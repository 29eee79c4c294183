"""Vega, Vega-Lite and Vega-Embed as one script, so that a page that draws with them loads nothing."""

import functools

import vl_convert

from analysis import TableError

VEGA_LITE = "6.4"
"""The version of the grammar that charts are written in."""

_NOTICE = (
    "/* Vega, Vega-Lite and Vega-Embed, and the libraries of D3 that they use. Copyright (c) University of "
    "Washington Interactive Data Lab and contributors (BSD 3-Clause), and Mike Bostock (ISC). */\n"
)


@functools.cache
def vega() -> str:
    """Return the script, which defines `vegaEmbed`; making it takes two seconds of a core.

    Raises:
        TableError: it cannot be made.
    """
    try:
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    except (ValueError, RuntimeError, OSError) as error:
        raise TableError(
            f"the scripts of Vega-Lite {VEGA_LITE} cannot be bundled: {error}; reinstall vl-convert-python"
        ) from error
    return _NOTICE + script.replace("</script", "<\\/script")
