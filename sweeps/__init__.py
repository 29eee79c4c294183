"""Runs spaces: plans, trains, records. The folders are in docs/architecture.md.

The commands are `phase_transition`, `paper`, `evaluate`, `merge`, `clean`, `publish` and `moved`; `api` is
for Python, and `driver` is the sweep itself.
"""

import warnings
from typing import TYPE_CHECKING, Any

from sweeps.errors import SweepError

if TYPE_CHECKING:
    from sweeps.api import sweep

__all__ = ["SweepError", "sweep"]


def __getattr__(name: str) -> Any:
    """Import `sweep` when it is asked for: its modules take seconds, and a command's typo none."""
    if name == "sweep":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, of bars that no library shows
            from sweeps.api import sweep

        return sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the package, `sweep` among them."""
    return sorted({*globals(), *__all__})
