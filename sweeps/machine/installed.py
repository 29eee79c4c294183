"""Which modules are installed, and which are somebody's own."""

import site
import sysconfig
from pathlib import Path


def is_installed(place: Path) -> bool:
    """Tell whether a module is part of Python or of an installed package."""
    if {"site-packages", "dist-packages"} & set(place.parts):
        return True
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    if any(place.is_relative_to(folder) for folder in folders):
        return True
    return any(place.parent.glob("*.dist-info"))  # of `pip install --target`
