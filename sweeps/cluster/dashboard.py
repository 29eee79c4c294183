"""The dashboard of a local Ray: whether it can be had, and what to say of it. Imports no Ray."""

import os
import re
from importlib import metadata
from pathlib import Path

from sweeps import SweepError

TOKEN_FILE = "dashboard_token"  # noqa: S105 - the name of a file
"""In the sweep's scratch folder, which only the user can read; others may read what is printed."""


def check(address: str | None) -> None:
    """Refuse the dashboard of what is no local Ray, and that of a Ray which was installed without it.

    Raises:
        SweepError: an address is given, or packages are missing.
    """
    if address is not None:
        raise SweepError(
            f"--dashboard with --address {address}: it starts that of a local Ray; a cluster has its own, "
            "whose address `ray start --head` prints; leave one of the two out"
        )
    if lacking := sorted(name for name in needed() if not _is_installed(name)):
        raise SweepError(
            f"--dashboard: packages that it needs are not installed ({', '.join(lacking)}); install them "
            'with pip install -c constraints.txt -e ".[dashboard]", or leave --dashboard out'
        )


def needed() -> set[str]:
    """Return the distributions that Ray's own extra for the dashboard declares."""
    declared = (text for text in metadata.requires("ray") or () if re.search(r"extra == .default.", text))
    return {match[0] for text in declared if (match := re.match(r"[\w.-]+", text))}


def notice(url: str, scratch: Path) -> str:
    """Write the token of this process's Ray where its user finds it; return the line that says so."""
    file = scratch / TOKEN_FILE
    file.write_text(os.environ["RAY_AUTH_TOKEN"] + "\n", encoding="utf-8")
    return f"Ray's dashboard: http://{url}, which asks for the token in {file}"


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
