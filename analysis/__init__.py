"""What came out of a sweep: the tables' schema, thresholds with their statistics, and figures.

Everything here is computed only from the tables of a run; nothing is trained and no sweep is
needed to read one. In Python it begins with `load`:

>>> from analysis import load
>>> run = load("runs/digits")
>>> run.thresholds[["cell", "critical_value"]].round(2)
               cell  critical_value
0    digits mlp 8,8            0.88
1  digits mlp 16,16            0.72
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.foreign import thresholds_of
    from analysis.run import Run, compare, load
    from analysis.threshold_search import ThresholdSearch

__all__ = ["Run", "TableError", "ThresholdSearch", "compare", "load", "thresholds_of"]

_MODULES = {"ThresholdSearch": "analysis.threshold_search", "thresholds_of": "analysis.foreign"}
"""Modules of the names that `analysis.run` does not have."""


class TableError(Exception):
    """A table cannot be read, does not follow its schema, cannot be written, or has not what is asked of it.

    The message names the file, lists every problem found and says how to mend them.
    """


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: the errors and words of this package ask for no Arrow."""
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, "analysis.run")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the package, with the public names that are not imported yet."""
    return sorted({*globals(), *__all__})
