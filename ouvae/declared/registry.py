"""Choices by name, and those of a user's own as `module:Class`."""

import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

from ouvae.declared.traits import Traits

T = TypeVar("T", bound=Traits)


class Registry(Mapping[str, T], Generic[T]):
    """The traits of choices by name.

    Those of the project are listed. A name `module:Class` is a class of a user's own, in a file or package
    that Python finds, whose attribute `traits` says what it can.

    Args:
        kind: the key that chooses, such as `system`.
        entries: what is listed.
        of_users: the type of a class's traits; None where users have none of their own.
        attribute: what of a user's class is used, such as its function `load`; None is the class.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, T],
        of_users: type[T] | None = None,
        attribute: str | None = None,
    ) -> None:
        self.kind, self._entries, self._of_users, self._attribute = kind, dict(entries), of_users, attribute

    @property
    def takes_users_own(self) -> bool:
        """Whether a choice may be a user's own."""
        return self._of_users is not None

    def __getitem__(self, name: str) -> T:
        """Return the traits of a choice. Raises KeyError, and ValueError as `checked` does."""
        if name in self._entries:
            return self._entries[name]
        if self._of_users is not None and ":" in name:
            return self._users_own(name, self._of_users)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Go through the names that are listed."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return how many are listed."""
        return len(self._entries)

    def checked(self, name: str) -> str:
        """Return the name of a choice that there is.

        Raises:
            ValueError: it is not listed, and no class of a user's own with traits.
        """
        try:
            self[name]
        except KeyError:
            raise ValueError(self._unknown(name)) from None
        return name

    def load(self, name: str) -> Any:
        """Return what a choice is in code: a class or a function."""
        return _imported(self[name].path)

    def users_module(self, name: str) -> str | None:
        """Return the top-level module or package of a user's own choice; None for a listed one."""
        if name in self._entries or ":" not in name:
            return None
        return name.partition(":")[0].partition(".")[0]

    def users(self, key: str) -> list[str]:
        """Return the listed names that a key makes sense with."""
        return [name for name, traits in self._entries.items() if key in traits.uses]

    def _users_own(self, name: str, of_users: type[T]) -> T:
        try:
            own = _imported(name)
        except ImportError as error:
            raise ValueError(
                f"cannot be imported: {error}; put its file beside the space's, in the current folder or on "
                "PYTHONPATH"
            ) from error
        except SystemExit as error:
            raise ValueError(
                f"cannot be imported: its file ends the program (SystemExit: {error}); put what it does as a "
                "script below `if __name__ == '__main__':`"
            ) from error
        except Exception as error:
            raise ValueError(f"cannot be imported: {type(error).__name__}: {error}") from error
        traits = getattr(own, "traits", None)
        if not isinstance(traits, of_users):
            raise ValueError(
                f"has no attribute `traits` that is a {of_users.__name__}; say there what it can"
            )
        return replace(traits, path=f"{name}.{self._attribute}" if self._attribute else name)

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name.lower(), self._entries, n=1, cutoff=0.5)
        suggestion = f", did you mean {near[0]}?" if near else ""
        own = ", or module:Class of your own" if self._of_users is not None else ""
        return f"unknown {self.kind}{suggestion}; known are {', '.join(self._entries)}{own}"


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return attrgetter(name)(importlib.import_module(module))
    except AttributeError:
        raise ImportError(f"{module} has no {name}") from None


def find_modules_in(folders: Iterable[Path]) -> None:
    """Let Python find users' modules in these folders too, after all others.

    Python puts the folder of a script first; where that is a package, its modules would hide users' modules
    of the same names, and the folder is taken out.
    """
    script = os.path.dirname(os.path.realpath(sys.argv[0]))
    if sys.path[:1] == [script] and os.path.exists(os.path.join(script, "__init__.py")):
        del sys.path[0]
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)
