"""The code of users' own systems and data sets: which files it is, and their digest.

A module brings the folder in which it lies, a package its own folder, and either the modules that it
imports from other folders. Installed packages are not users' code: every node has them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path

from ouvae.declared import DATASETS, SYSTEMS, Cell
from search_spaces import Space, SpaceError, read_yaml_mapping
from sweeps import SweepError
from sweeps.machine.installed import is_installed
from sweeps.worker.snapshot import PACKAGES, module_name

MOST_FILES, MOST_BYTES = 10_000, 256 * 2**20
"""The largest code that a sweep takes along; Ray itself takes packages of up to 512 MiB."""

_LEFT_SUFFIXES = {
    *(".pyc", ".pyo", ".log", ".out", ".err", ".db", ".db-journal", ".db-wal", ".db-shm"),
    *(".ipynb", ".md", ".rst", ".tex", ".pdf", ".html"),
}
_LEFT_FOLDERS = {"__pycache__", "node_modules", "mlruns", "mlartifacts"}
_MARKS_OF_LEFT_FOLDERS = ("pyvenv.cfg", "conda-meta", ".sweep_id")  # environments and run directories

_MEND = "move the module, with what it imports and reads, into a folder of its own"


@dataclass(frozen=True)
class File:
    """A file as it was read.

    Attributes:
        path: where it lies.
        digest: of its content.
        stamp: its size and time of change, by which most unchanged files are known.
    """

    path: Path
    digest: str
    stamp: tuple[int, int] = field(compare=False)


class UsersCode:
    """The code of the users' own systems and data sets that some cells name.

    Args:
        cells: what is to be trained.

    Raises:
        SweepError: a file cannot be read or taken along, or they are too many or too large.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        needed = {module: _needed(module) for module in {name for cell in cells for name in _named(cell)}}
        self._bases = {module: _bases(places) for module, places in needed.items()}
        listing, together = _Listing(), _bases(place for places in needed.values() for place in places)
        self._roots = {base: listing.files(base, names) for base, names in together.items()}

    @property
    def roots(self) -> list[dict[str, File]]:
        """The files of each folder to import from by their relative paths, in a fixed order."""
        return [self._roots[base] for base in sorted(self._roots)]

    def digest(self, cell: Cell) -> str | None:
        """Return the hash of all code of users that a cell's members depend on; None without any."""
        digests = {
            _digest(self._roots[base], names)
            for module in _named(cell)
            for base, names in self._bases[module].items()
        }
        return _hash(sorted(digests))[:16] if digests else None

    def require_unchanged(self) -> None:
        """Refuse to go on where code is used from where it lies, and is no longer what was read.

        Raises:
            SweepError: naming a file that has changed.
        """
        for root in self.roots:
            for file in root.values():
                if _has_changed(file):
                    raise _changed(file.path)

    def copy_to(self, folder: Path) -> None:
        """Copy each root into a folder of its own in `folder`.

        Raises:
            SweepError: a file has changed since it was read.
        """
        for number, root in enumerate(self.roots):
            for name, file in root.items():
                if name.partition("/")[0] in PACKAGES:  # a system in a checkout, which is copied as a whole
                    continue
                content = _content(file.path)
                if hashlib.sha256(content).hexdigest() != file.digest:
                    raise _changed(file.path)
                copy = folder / str(number) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)


def _digest(root: Mapping[str, File], names: Collection[str] | None) -> str:
    """Return the hash of relative paths and contents, of the top entries `names` or of all files."""
    return _hash(
        sorted(
            (path, file.digest)
            for path, file in root.items()
            if names is None or path.partition("/")[0] in names
        )
    )


def _named(cell: Cell) -> list[str]:
    """Return the top-level modules of the users' own choices that a cell names."""
    names = (registry.users_module(getattr(cell, registry.kind)) for registry in (SYSTEMS, DATASETS))
    return sorted({name for name in names if name is not None})


def _needed(module: str) -> list[Path]:
    """Return the files and folders of a user's top-level module and of the modules that it imports."""
    needed: dict[str, list[Path]] = {}
    left = [module]
    while left:
        name = left.pop()
        if name in needed:
            continue
        places = _places(name)
        if name != module and (name in PACKAGES or not places or any(map(is_installed, places))):
            continue
        if not all(place.exists() for place in places) or not places:
            where = f" ('{places[0]}')" if places else ""
            raise SweepError(
                f"the module '{name}'{where} is no file or folder, so that it cannot be sent to workers; "
                "unpack it into a folder"
            )
        needed[name] = places
        if not any(map(is_installed, places)):
            left += _imports(places)
    return [place for places in needed.values() for place in places]


def _places(module: str) -> list[Path]:
    """Return where Python finds a top-level module: its file, or the folders of the package."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a module that was made without a file
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder).absolute() for folder in spec.submodule_search_locations]
    return [Path(spec.origin).absolute()] if spec.has_location and spec.origin else []


def _imports(places: Iterable[Path]) -> list[str]:
    """Return the top-level modules that a module imports anywhere in its text, or any module of a package."""
    listing, names = _Listing(), set[str]()
    for place in places:
        paths = listing.walk(place) if place.is_dir() else iter([place])
        for path in paths:
            if path.suffix == ".py":
                names |= _imported_names(_content(path))
    return sorted(names)


def _imported_names(text: bytes) -> set[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # such a file cannot be imported, and may be there for another use
        return set()
    modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    modules += [
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    ]
    return {module.partition(".")[0] for module in modules}


def _bases(places: Iterable[Path]) -> dict[Path, set[str] | None]:
    """Return the folders to import modules from, each with the names in it that are taken; None takes all."""
    bases: dict[Path, set[str] | None] = {}
    for place in places:
        names = bases.setdefault(place.parent, set())
        if not (place.is_dir() or is_installed(place)):
            bases[place.parent] = None
        elif names is not None:
            names.add(place.name)
    return bases


class _Listing:
    """Lists files up to the limits of their number and size."""

    def __init__(self) -> None:
        self._count = self._bytes = 0

    def files(self, folder: Path, names: set[str] | None) -> dict[str, File]:
        """Read the files of a folder to import from, by their relative paths.

        Args:
            folder: the folder.
            names: what is taken of it; None takes all but modules that Python finds elsewhere.
        """
        paths = list(
            self.walk(folder, lambda path: not _is_hidden(path) if names is None else path.name in names)
        )
        for path in paths:
            if path.suffix == ".py":
                _require_same_bytecode(path)
        return {path.relative_to(folder).as_posix(): _read(path) for path in paths}

    def walk(
        self,
        folder: Path,
        takes: Callable[[Path], bool] = lambda path: True,
        inside: frozenset[Path] = frozenset(),
    ) -> Iterator[Path]:
        """Go through the files below a folder that may be code or its data, links followed.

        Args:
            folder: where to begin.
            takes: tells which files and folders in it are looked at.
            inside: the folders around it, which no link leads back into.
        """
        inside |= {folder.resolve()}
        try:
            paths = [path for path in sorted(folder.iterdir()) if _travels(path) and takes(path)]
            folders = {path for path in paths if path.is_dir() and path.resolve() not in inside}
            files = {path for path in paths if path.is_file() and not (_is_space(path) or _is_output(path))}
            for path in folders | files:
                self._count_in(path)
        except OSError as error:
            raise _unreadable(error) from None
        for path in paths:
            if path in files:
                yield path
            elif path in folders:
                yield from self.walk(path, inside=inside)

    def _count_in(self, path: Path) -> None:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise SweepError(
                f"the file name {str(path)!r} is not UTF-8, so that it cannot be sent to workers; rename it"
            ) from None
        self._count += 1
        self._bytes += path.stat().st_size
        if self._count > MOST_FILES or self._bytes > MOST_BYTES:
            raise SweepError(
                f"more than {MOST_FILES:,} files and folders or {MOST_BYTES >> 20} MiB, the limit, would be "
                f"sent to workers, '{path}' among them: all beside a module of your own goes along; "
                f"{_MEND}"
            )


def _travels(path: Path) -> bool:
    """Tell whether a file or folder can be code, or data that code reads, and not what a run leaves."""
    name = path.name
    if name.startswith((".", "#")) or name.endswith("~") or name in _LEFT_FOLDERS:
        return False
    if path.is_dir():
        return not any((path / mark).exists() for mark in _MARKS_OF_LEFT_FOLDERS)
    return path.suffix.lower() not in _LEFT_SUFFIXES


def _is_hidden(path: Path) -> bool:
    """Tell whether a module beside a user's is one that Python finds elsewhere first, or the project's."""
    if path.name in PACKAGES:
        return True
    name = module_name(path)
    places = _places(name) if name else []
    return bool(places) and all(place.parent.resolve() != path.parent.resolve() for place in places)


def _is_output(path: Path) -> bool:
    """Tell whether this process prints into a file, as behind `>`: it grows, and is neither code nor data."""
    return any(os.path.samestat(path.stat(), os.fstat(descriptor)) for descriptor in (1, 2))


def _is_space(path: Path) -> bool:
    """Tell whether a file is a search space: to extend one changes no member."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    try:
        keys = read_yaml_mapping(path).keys()
    except SpaceError:
        return False
    return "dataset" in keys and keys <= {*Space.model_fields, "budgets"}


class _Loader(SourceFileLoader):
    """Python's own loader, which uses bytecode that is there and leaves none."""

    def set_data(self, *arguments: object, **options: object) -> None:
        """Write nothing."""


def _require_same_bytecode(path: Path) -> None:
    """Refuse bytecode of another text: Python uses it where time and size are those of the file.

    They are after an edit of equal length where tools set all times alike, as Nix, Docker and `rsync -t` do.
    """
    cached = Path(importlib.util.cache_from_source(path))
    if not cached.is_file():
        return
    loader = _Loader(path.stem, str(path))
    try:
        is_same = loader.get_code(path.stem) == loader.source_to_code(_content(path), str(path))
    except (ImportError, SyntaxError, ValueError, EOFError, TypeError):  # no module that can be loaded
        return
    if not is_same:
        raise SweepError(
            f"'{path}' is not what Python runs: '{cached}' is the bytecode of another text, with the time "
            "and size of the file; delete the bytecode, and run the same command again"
        )


def _read(path: Path) -> File:
    return File(path, hashlib.sha256(_content(path)).hexdigest(), _stamp(path))


def _has_changed(file: File) -> bool:
    try:
        return _stamp(file.path) != file.stamp and _read(file.path) != file
    except (OSError, SweepError):  # removed, or not readable any more
        return True


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        error.filename = path
        raise _unreadable(error) from None


def _changed(path: Path) -> SweepError:
    return SweepError(
        f"'{path}' has changed since the start: members would be of two versions of the code; run the same "
        "command again, and keep logs and what else is written meanwhile in another folder"
    )


def _unreadable(error: OSError) -> SweepError:
    return SweepError(
        f"'{error.filename}' cannot be read ({error.strerror}), and all beside a module of your own is "
        f"sent to the workers; make it readable, or {_MEND}"
    )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
