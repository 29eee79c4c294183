"""Runs spaces: plans, trains, records. The folders are in docs/architecture.md.

The commands are `phase_transition`, `paper`, `evaluate`, `publish` and `moved`; `driver` is the sweep itself.
"""

from sweeps.errors import SweepError

__all__ = ["SweepError"]
