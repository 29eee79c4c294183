"""What benchmarks say of the machine that they ran on, and the tables that they leave."""

import csv
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sweeps.machine.cpus import usable_cpus
from sweeps.record.provenance import commit


def machine(device: str = "cpu") -> dict[str, str]:
    """Return what numbers depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": str(usable_cpus()),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit() or "unknown",
        "date": time.strftime("%Y-%m-%d"),
    }


def print_row(row: Mapping[str, Any]) -> None:
    """Print a row with the names of its columns."""
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> None:
    """Write rows of one kind as CSV, each with what is said of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *about], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **about} for row in rows)
    print(f"\nwrote {path}")
