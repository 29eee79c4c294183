"""Vega, Vega-Lite and Vega-Embed as one script, so that a page that draws with them loads nothing."""

import functools
from concurrent.futures import Future, ThreadPoolExecutor

import vl_convert

from analysis import TableError

VEGA_LITE = "6.4"
"""The version of the grammar that charts are written in."""

_NOTICE = (
    "/* Vega, Vega-Lite and Vega-Embed, and the libraries of D3 that they use. Copyright (c) University of "
    "Washington Interactive Data Lab and contributors (BSD 3-Clause), and Mike Bostock (ISC). */\n"
)


@functools.cache
def begin() -> Future[str]:
    """Begin to make the script in a thread, which takes a second or two of a core; once a process."""
    bundle = functools.partial(vl_convert.javascript_bundle, "window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    pool = ThreadPoolExecutor(1)
    made = pool.submit(bundle)
    pool.shutdown(wait=False)
    return made


def vega() -> str:
    """Return the script, which defines `vegaEmbed`.

    Raises:
        TableError: it cannot be made.
    """
    try:
        script = begin().result()
    except (ValueError, RuntimeError, OSError) as error:
        raise TableError(
            f"the scripts of Vega-Lite {VEGA_LITE} cannot be bundled: {error}; reinstall vl-convert-python"
        ) from error
    return _NOTICE + script.replace("</script", "<\\/script")
