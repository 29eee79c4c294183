"""Files of public data sets: names, checksums, descriptions, and reading."""

import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ouvae.data.dataset import DataError

DATA_VARIABLE = "OUVAE_DATA"
"""Environment variable with the folder of the data files, used if no folder is given."""

MAX_BYTES = 512 * 2**20
"""Size limit of a file, checked before it is read. The largest public file has 163 MiB (CIFAR-10)."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Checksum:
    """A digest of a file's contents, decompressed if it is a gzip file and not an archive.

    `git-blob` is the SHA-1 that `git hash-object FILE` prints.
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
        name: its public file name; the suffix .gz is optional on disk.
        folders: subfolders of a data folder that may hold it, the usual one first.
        urls: mirrors, in the order of trial.
        checksum: of the public file; other downloads are refused.
        contents: description for messages.
        archive: whether the file is a tar archive; the checksum of an archive is of the compressed file.
    """

    name: str
    folders: tuple[str, ...]
    urls: tuple[str, ...]
    checksum: Checksum
    contents: str
    archive: bool = False

    def places(self, folder: Path) -> list[Path]:
        """Return the folders that may hold the file, in the order of trial."""
        return [folder, *(folder / subfolder for subfolder in self.folders)]

    def candidates(self, folder: Path) -> list[Path]:
        """Return the paths that the file may have in a data folder, in the order of trial."""
        plain = self.name.removesuffix(".gz")
        names = [self.name, plain if plain != self.name else f"{self.name}.gz"]
        if self.archive:
            names = [self.name]
        return [place / name for place in self.places(folder) for name in names]

    def describe(self) -> str:
        """Return what is expected and how to get it by hand, for messages."""
        condition = " (of the decompressed bytes)" if self.name.endswith(".gz") and not self.archive else ""
        unpacked = " (or unpack it there)" if self.archive else ""
        return "\n".join(
            [
                f"Expected: {self.contents}; {self.checksum}{condition}.",
                "Download it from one of",
                *(f"  {url}" for url in self.urls),
                f"save it in a folder as {self.folders[0]}/{self.name}{unpacked}, and give the folder by",
                f"--data-dir (data_dir in Python) or the variable {DATA_VARIABLE}.",
            ]
        )


@dataclass(frozen=True)
class Contents:
    """The path and the bytes of a public file, decompressed unless it is an archive."""

    file: PublicFile
    path: Path
    data: bytes

    def error(self, found: str, expected: str) -> DataError:
        """Return the error of a file with wrong contents."""
        return DataError(
            f"{self.path} is unusable: found {found}, expected {expected}.\n{self.file.describe()}"
        )

    def verify(self) -> None:
        """Compare the checksum with the public file's.

        Raises:
            DataError: they differ.
        """
        expected = self.file.checksum
        digest = expected.of(self.data)
        if digest != expected.digest:
            raise self.error(f"{expected.algorithm} {digest}", expected.digest)


def read(file: PublicFile, path: Path) -> Contents:
    """Return the contents of a file, decompressed if it is a gzip file and not an archive.

    Raises:
        DataError: the file cannot be read, has more than MAX_BYTES before or after decompression, or its gzip
            stream is damaged or cut short.
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
        raise contents.error("more bytes after decompression", f"at most {MAX_BYTES:,}")
    return Contents(file, path, data)
