"""Runs spaces: plans, trains, records.

========= =============================================================================================
plan      what is trained: cells, packs, data sets, users' code
search    where rho is sampled
worker    what happens to a pack where it trains
executors what trains packs, and the executor without Ray
cluster   the executor on Ray
record    the run directory
tracking  MLflow and Optuna, who are told of finished packs
terminal  what a user reads while a command runs
machine   signals, processes, CPUs, locks
========= =============================================================================================

The commands are `phase_transition`, `paper`, `evaluate`, `merge`, `publish` and `moved`; `driver` is the sweep itself.
"""

from sweeps.errors import SweepError

__all__ = ["SweepError"]
