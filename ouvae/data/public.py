"""Files of public data sets: how each is named, recognised, described and read."""

import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ouvae.data.dataset import DataError

DATA_VARIABLE = "OUVAE_DATA"
"""Environment variable that names the folder of the data files where no folder is given."""

MAX_BYTES = 512 * 2**20
"""Larger files are refused before they are read: the largest public one, CIFAR-10's archive, has 163 MiB."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Checksum:
    """A digest of a file's contents, after decompression where the file is gzip and no archive.

    `git-blob` is the SHA-1 by which git names a file's contents (`git hash-object FILE` prints it).
    """

    algorithm: Literal["md5", "sha256", "git-blob"]
    digest: str

    def of(self, data: bytes) -> str:
        """Return the digest of `data` under this algorithm, in hexadecimal."""
        if self.algorithm == "git-blob":
            header = f"blob {len(data)}\0".encode()
            return hashlib.sha1(header + data, usedforsecurity=False).hexdigest()
        return hashlib.new(self.algorithm, data, usedforsecurity=False).hexdigest()

    def __str__(self) -> str:
        """Return a phrase such as `md5 6bbc9ace…`."""
        name = "git hash-object" if self.algorithm == "git-blob" else self.algorithm
        return f"{name} {self.digest}"


@dataclass(frozen=True)
class PublicFile:
    """One file of a public data set.

    Attributes:
        name: its public file name; with or without the suffix .gz, it is taken for the same.
        folders: subfolders of a data folder in which it is looked for, the usual one first.
        urls: mirrors, tried in this order.
        checksum: of the public file; a download that does not have it is refused.
        contents: what it holds, for messages.
        archive: whether it is a tar archive, whose checksum is that of its bytes as they lie.
    """

    name: str
    folders: tuple[str, ...]
    urls: tuple[str, ...]
    checksum: Checksum
    contents: str
    archive: bool = False

    def places(self, folder: Path) -> list[Path]:
        """Return the folders of a data folder in which it is looked for, in the order of trial."""
        return [folder, *(folder / subfolder for subfolder in self.folders)]

    def candidates(self, folder: Path) -> list[Path]:
        """Return the paths at which a data folder may hold the file, in the order of trial."""
        plain = self.name.removesuffix(".gz")
        names = [self.name, plain if plain != self.name else f"{self.name}.gz"]
        if self.archive:
            names = [self.name]
        return [place / name for place in self.places(folder) for name in names]

    def describe(self) -> str:
        """Return, for messages, what is expected and how to get it by hand."""
        of_what = " (of the decompressed bytes)" if self.name.endswith(".gz") and not self.archive else ""
        unpacked = " (or unpack it there)" if self.archive else ""
        return "\n".join(
            [
                f"Expected: {self.contents}; {self.checksum}{of_what}.",
                "Get it from one of",
                *(f"  {url}" for url in self.urls),
                f"save it as {self.folders[0]}/{self.name}{unpacked} in a folder of yours, and name that",
                f"folder with --data-dir (data_dir in Python) or the variable {DATA_VARIABLE}.",
            ]
        )


@dataclass(frozen=True)
class Contents:
    """The bytes of a public file, decompressed but for an archive's, and the path they were read from."""

    file: PublicFile
    path: Path
    data: bytes

    def error(self, found: str, expected: str) -> DataError:
        """Return the error of a file that is not what it should be."""
        return DataError(
            f"{self.path} is unusable: found {found}, expected {expected}.\n{self.file.describe()}"
        )

    def verify(self) -> None:
        """Compare with the public file's checksum.

        Raises:
            DataError: they differ.
        """
        expected = self.file.checksum
        found = expected.of(self.data)
        if found != expected.digest:
            raise self.error(f"{expected.algorithm} {found}", expected.digest)


def read(file: PublicFile, path: Path) -> Contents:
    """Return the contents of `file` as it lies at `path`, decompressed if it is gzip and no archive.

    Raises:
        DataError: it cannot be read, is larger than MAX_BYTES (decompressed too), or its gzip stream is cut
            short or damaged.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise Contents(file, path, b"").error(f"{size:,} bytes", f"at most {MAX_BYTES:,}")
        contents = Contents(file, path, path.read_bytes())
        if file.archive or not contents.data.startswith(_GZIP_MAGIC):
            return contents
        with gzip.open(io.BytesIO(contents.data)) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise contents.error(f"a damaged gzip stream ({error})", "a whole one") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.\n{file.describe()}") from error
    if len(data) > MAX_BYTES:
        raise contents.error("more bytes once decompressed", f"at most {MAX_BYTES:,}")
    return Contents(file, path, data)
