"""Which code makes the numbers."""

import functools
import subprocess
from importlib import metadata
from pathlib import Path


@functools.cache
def project_version() -> str:
    """Return the installed project's version."""
    return metadata.version("ouvae-sweeps")


@functools.cache
def commit() -> str:
    """Return the checkout's commit, `-dirty` where it has changes; `unknown` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=Path(__file__).parent, capture_output=True, text=True, errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
