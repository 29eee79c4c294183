"""Which code makes the numbers."""

import functools
import os
import subprocess
from importlib import metadata
from pathlib import Path


@functools.cache
def project_version() -> str:
    """Return the installed project's version."""
    return metadata.version("ouvae-sweeps")


@functools.cache
def commit() -> str | None:
    """Return the commit of the project's own repository, `-dirty` where it has changes; None elsewhere.

    An installed or copied project may lie in a repository of something else, which says nothing of it.
    """
    return commit_of(Path(__file__).parents[2])


def commit_of(root: Path) -> str | None:
    """Return the commit of a repository with this folder at its top, in which this file is tracked."""
    file = Path(__file__).relative_to(Path(__file__).parents[2])
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve() or _git(root, "ls-files", str(file)) != str(file):
        return None
    return _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says in a folder; None where it fails.

    Variables by which a hook of another repository speaks to git are left out.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
