"""Sources of data files: the given folder, `OUVAE_DATA`, the cache, the mirrors."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ouvae.data.dataset import DataError, MissingDataError
from ouvae.data.download import cached_path, download
from ouvae.data.public import DATA_VARIABLE, Contents, PublicFile, read


@dataclass(frozen=True)
class Source:
    """The places where data files come from, see `ouvae.data.load`."""

    data_dir: Path | None = None
    download: bool = True
    progress: bool = True

    def obtain(self, file: PublicFile) -> Contents:
        """Return the contents of a file from the first place that has it.

        A file in the user's folder is not verified here, because it may differ from the public one. A file in
        the cache is verified, and downloaded again if it is damaged.

        Raises:
            DataError: the file is missing, no mirror serves it, a folder does not exist, or the file cannot
                be read.
        """
        folder = self._folder()
        places = file.candidates(folder) if folder else []
        if path := _first_file(places):
            return read(file, path)
        if self.data_dir is not None:
            raise _missing(file, places)
        cached = cached_path(file)
        if os.path.isfile(cached) and (contents := self._from_cache(file, cached)):
            return contents
        if self.download:
            return read(file, download(file, self.progress))
        raise _missing(file, [*places, cached])

    def unpacked(self, file: PublicFile, members: Sequence[str]) -> Path | None:
        """Return the first subfolder of the user's folder that holds a member of an archive, or None.

        Raises:
            DataError: the user's folder does not exist.
        """
        folder = self._folder()
        places = file.places(folder) if folder else []
        return next((place for place in places if _first_file(place / name for name in members)), None)

    def _folder(self) -> Path | None:
        """Return the user's folder of data files; None if none is named."""
        if self.data_dir is not None:
            return _existing_folder(Path(self.data_dir), "--data-dir")
        if named := os.environ.get(DATA_VARIABLE):
            return _existing_folder(Path(named), f"the variable {DATA_VARIABLE}")
        return None

    def _from_cache(self, file: PublicFile, cached: Path) -> Contents | None:
        """Return the verified contents; None if they are damaged and can be downloaded."""
        try:
            contents = read(file, cached)
            contents.verify()
        except DataError:
            if not self.download:
                raise
            cached.unlink(missing_ok=True)
            return None
        return contents


def _existing_folder(folder: Path, named_by: str) -> Path:
    folder = Path(os.path.expanduser(folder))
    if not os.path.isdir(folder):
        raise DataError(f"{named_by} is '{folder}', which is not a folder; give a folder that exists")
    return folder


def _first_file(places: Iterable[Path]) -> Path | None:
    # Unlike Path.is_file, os.path.isfile does not fail in a folder without permission.
    return next((path for path in places if os.path.isfile(path)), None)


def _missing(file: PublicFile, places: Iterable[Path]) -> MissingDataError:
    searched = "\n".join(f"  {place}" for place in places)
    return MissingDataError(f"{file.name} is missing. Searched:\n{searched}\n{file.describe()}")
