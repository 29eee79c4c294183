"""Choices by name, users' classes as `module:Class`, and users' files."""

import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

from ouvae.declared.traits import Traits

T = TypeVar("T", bound=Traits)


class Registry(Mapping[str, T], Generic[T]):
    """The traits of choices by name.

    The project's choices are listed. A name `module:Class` is a user's class, in a file or package that
    Python finds, with an attribute `traits`. A name with a known suffix is a user's file.

    Args:
        kind: the key that chooses, such as `system`.
        entries: the traits of the listed choices.
        of_users: the type of the traits of users' classes; None if users cannot add a choice.
        attribute: the attribute of a user's class to use, such as `load`; None is the class itself.
        of_files: suffixes of files, each with `module:function`. The function returns the traits of the
            choice in a file, or raises ValueError; what their `path` names takes the file as its first
            argument.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, T],
        of_users: type[T] | None = None,
        attribute: str | None = None,
        of_files: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self._entries, self._of_users, self._attribute = kind, dict(entries), of_users, attribute
        self._of_files = dict(of_files or {})

    @property
    def takes_users_own(self) -> bool:
        """Whether users can add a choice."""
        return self._of_users is not None

    @property
    def suffixes(self) -> list[str]:
        """The suffixes of users' files that hold a choice."""
        return list(self._of_files)

    def __getitem__(self, name: str) -> T:
        """Return the traits of a choice. Raises KeyError, or ValueError as `checked` does."""
        if name in self._entries:
            return self._entries[name]
        if suffix := self._suffix(name):
            traits: T = _imported(self._of_files[suffix])(name)
            return traits
        if self._of_users is not None and ":" in name:
            return self._users_own(name, self._of_users)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def checked(self, name: str) -> str:
        """Return the name if it is a choice.

        Raises:
            ValueError: it is neither listed nor a user's class with traits, nor a file that holds a choice.
        """
        try:
            self[name]
        except KeyError:
            raise ValueError(self._unknown(name)) from None
        return name

    def load(self, name: str) -> Any:
        """Return the class or function of a choice."""
        choice = _imported(self[name].path)
        return partial(choice, name) if self._suffix(name) else choice

    def users_module(self, name: str) -> str | None:
        """Return the top-level module or package of a user's choice; None for a listed choice."""
        if name in self._entries or self._suffix(name) or ":" not in name:
            return None
        return name.partition(":")[0].partition(".")[0]

    def users(self, key: str) -> list[str]:
        """Return the listed choices that use a key."""
        return [name for name, traits in self._entries.items() if key in traits.uses]

    def _users_own(self, name: str, of_users: type[T]) -> T:
        try:
            users_class = _imported(name)
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
        traits = getattr(users_class, "traits", None)
        if not isinstance(traits, of_users):
            raise ValueError(f"has no attribute `traits` of type {of_users.__name__}; add one to the class")
        return replace(traits, path=f"{name}.{self._attribute}" if self._attribute else name)

    def _suffix(self, name: str) -> str | None:
        """Return the suffix by which a name is a user's file; None if it is none."""
        return next((suffix for suffix in self._of_files if name.endswith(suffix)), None)

    def _unknown(self, name: str) -> str:
        of_users = ["your own module:Class"] * (self._of_users is not None)
        of_users += [f"a file *{suffix}" for suffix in self._of_files]
        allowed = ", or ".join([", ".join(self), *of_users])
        return f"unknown {self.kind}{nearest(name.lower(), self)}; allowed are {allowed}"


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return `, did you mean …?` with the candidate most like `word`, or an empty string."""
    matches = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f", did you mean {matches[0]}?" if matches else ""


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return attrgetter(name)(importlib.import_module(module))
    except AttributeError:
        raise ImportError(f"{module} has no {name}") from None


def find_modules_in(folders: Iterable[Path]) -> None:
    """Append folders with users' modules to Python's path.

    Python puts the folder of a script first. If that is a package, its modules would hide users' modules with
    the same names, so the folder is removed.
    """
    script = os.path.dirname(os.path.realpath(sys.argv[0]))
    if sys.path[:1] == [script] and os.path.exists(os.path.join(script, "__init__.py")):
        del sys.path[0]
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)
