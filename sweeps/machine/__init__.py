"""This machine: its signals, processes, CPUs and locks. Nothing here knows of sweeps."""
