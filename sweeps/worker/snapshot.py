"""The code that workers run: copied once when a sweep starts, sent to every node, checked by every worker.

A checkout is edited, and another branch is checked out, while a sweep runs. The Ray process and all workers,
also those that come up later or on other nodes, import the copy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sweeps import SweepError
from sweeps.machine.installed import is_installed

if TYPE_CHECKING:
    from sweeps.plan.users_code import UsersCode

PACKAGES = ("ouvae", "sweeps", "search_spaces", "analysis")
"""The project's own packages."""

DIGESTS = "OUVAE_CODE_DIGESTS"
"""The environment variable of workers with the digest of each package that was sent to them, as JSON."""

USERS = "users"
"""Folder of users' code in the copy of this package, which travels with it: a folder for each import root."""


def take(folder: Path, users_code: UsersCode) -> None:
    """Copy the project's packages and users' code into a folder from which both can be imported.

    Raises:
        SweepError: a file cannot be read or written, or has changed since it was read.
    """
    try:
        for package, source in package_folders().items():
            for path in _files(source):
                copy = folder / package / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        users_code.copy_to(folder / "sweeps" / USERS)
    except OSError as error:
        raise SweepError(
            f"the code cannot be copied for the workers: {error}; make it readable, or make room for it in "
            f"'{folder}'"
        ) from error


def package_folders() -> dict[str, Path]:
    """Return where this process imports the project's packages from."""
    folders = {}
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        folders[name] = Path(spec.submodule_search_locations[0])
    return folders


def digests() -> dict[str, str]:
    """Return the hash of the files of each package that this process imports."""
    return {name: _digest(folder) for name, folder in package_folders().items()}


def use() -> frozenset[str]:
    """Import users' modules from the snapshot, in a worker that runs the code that was sent to it.

    Return the names of the modules that are loaded before any of users' code is.

    Raises:
        SweepError: this process imports a module from elsewhere.
    """
    sent, here = json.loads(os.environ[DIGESTS]), digests()
    for name, folder in package_folders().items():
        if here[name] != sent[name]:
            raise _foreign(name, folder)
    for root in sorted((package_folders()["sweeps"] / USERS).glob("*")):
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
            sys.meta_path.insert(sys.meta_path.index(PathFinder), _Sent(root))
        for name in filter(None, map(module_name, root.iterdir())):
            place = _place(name)
            if place is None or not place.is_relative_to(root):
                raise _foreign(name, place)
    return frozenset(sys.modules)


class _Sent:
    """Finds modules in a folder of users' code, whatever that code puts before it in `sys.path`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of the folder is; None for parts of packages and for folders without code."""
        spec = PathFinder.find_spec(name, [str(self._root)], target) if path is None else None
        return spec if spec is not None and spec.has_location else None


def require_sent(before: Collection[str]) -> None:
    """Refuse modules that users' code has found elsewhere: neither their names nor their text are known.

    Args:
        before: names of the modules that were loaded before, as `use` returns them.

    Raises:
        SweepError: a module that was loaded since is neither installed nor a part of the snapshot.
    """
    sent = package_folders().values()
    for name in [name for name in sys.modules if "." not in name and name not in before]:
        place = Path(getattr(sys.modules[name], "__file__", None) or "")
        if place.is_absolute() and not any(map(place.is_relative_to, sent)) and not is_installed(place):
            raise _foreign(name, place)


def _place(module: str) -> Path | None:
    """Return where this process imports a top-level module from, or has imported it from."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # it is loaded, and was made without a file
        return None
    return Path(spec.origin) if spec and spec.origin else None


def module_name(path: Path) -> str | None:
    """Return the name that a file or folder has as a top-level module; None if it is not one."""
    name = path.name.partition(".")[0]
    is_module = path.suffix in (".py", ".so") or (path / "__init__.py").exists()
    return name if is_module and name.isidentifier() and not name.startswith("__") else None


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_source = not any(part.startswith(".") or part == "__pycache__" for part in parts)
        if is_source and path.suffix != ".pyc" and path.is_file():
            yield path


def _digest(folder: Path) -> str:
    files = [
        (path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in _files(folder)
    ]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _foreign(name: str, place: Path | None) -> SweepError:
    return SweepError(
        f"node {platform.node()}: a worker imports '{name}' from '{place or 'memory'}', which is not what "
        "the sweep sent to it; take that out of the node's PYTHONPATH, .pth files or sitecustomize, and out "
        "of what your own code adds to sys.path"
    )
