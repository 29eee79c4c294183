"""Readers of the public files' formats, which check the contents and report every fault."""

import io
import math
import struct
import tarfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ouvae.data.dataset import DataError
from ouvae.data.public import MAX_BYTES, Contents

CIFAR_CLASSES, CIFAR_PIXELS = 10, 3072
"""Number of labels in CIFAR-10, and bytes of an image."""

_IDX_HEADER = struct.Struct(">4I")
_IDX_IMAGES = 0x00000803
"""Magic number of an IDX file of unsigned bytes in three dimensions."""

MIN_COLUMNS = 100
"""Minimum number of images in each array of a chardata.mat."""


def read_idx_images(contents: Contents, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the images of an IDX file of the shape (N, rows, columns), [N, rows * columns] bytes.

    The format: four big-endian 32-bit numbers (magic 0x00000803, N, rows, columns), then N * rows * columns
    unsigned bytes, image by image, row by row.

    Raises:
        DataError: the magic number, the shape or the length is wrong.
    """
    data = contents.data
    if len(data) < _IDX_HEADER.size:
        raise contents.error(f"{len(data)} bytes", f"an IDX header of {_IDX_HEADER.size} bytes")
    magic, *header_shape = _IDX_HEADER.unpack_from(data)
    if magic != _IDX_IMAGES:
        raise contents.error(f"magic number {magic:#010x}", f"{_IDX_IMAGES:#010x} (IDX images)")
    if tuple(header_shape) != shape:
        raise contents.error("{:,} images of {}x{}".format(*header_shape), "{:,} of {}x{}".format(*shape))
    pixels = np.frombuffer(data, np.uint8, offset=_IDX_HEADER.size)
    count, rows, columns = shape
    if pixels.size != count * rows * columns:
        raise contents.error(f"{pixels.size:,} pixels", f"{count * rows * columns:,}")
    return pixels.reshape(count, rows * columns)


def read_cifar(contents: Contents) -> NDArray[np.uint8]:
    """Return the images of a file in CIFAR-10's binary format, [N, 3072] bytes.

    The format: records of a label byte (0 to 9) and 3,072 pixels: 1,024 red, 1,024 green and 1,024 blue, each
    row by row.

    Raises:
        DataError: the file has no record, the last record is cut short, or a label is not from 0 to 9.
    """
    size = 1 + CIFAR_PIXELS
    expected = f"whole records of {size:,} bytes"
    count, rest = divmod(len(contents.data), size)
    if rest or not count:
        problem = f"{count:,} records and {rest:,} bytes of another" if rest else "an empty file"
        raise contents.error(problem, expected)
    records = np.frombuffer(contents.data, np.uint8).reshape(count, size)
    bad = records[:, 0] >= CIFAR_CLASSES
    if bad.any():
        record = int(bad.argmax())
        problem = f"label {records[record, 0]} in record {record + 1:,}"
        raise contents.error(problem, f"{expected}, each with a label from 0 to {CIFAR_CLASSES - 1}")
    return records[:, 1:]


def read_tar(contents: Contents, names: Sequence[str]) -> list[Contents]:
    """Return the named members of a tar archive, compressed or not, in the order of the names.

    Raises:
        DataError: the file is not a tar archive, is damaged, or lacks a member.
    """
    members: dict[str, bytes] = {}
    try:
        # In the order of the archive: a compressed archive cannot be read backwards.
        with tarfile.open(fileobj=io.BytesIO(contents.data)) as archive:
            for member in archive:
                if member.name in names and (file := archive.extractfile(member)):
                    members[member.name] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise contents.error(f"a damaged archive ({error})", "a whole one") from error
    if missing := [name for name in names if name not in members]:
        raise contents.error(f"an archive without {', '.join(missing)}", "one that holds all of them")
    return [Contents(contents.file, contents.path / name, members[name]) for name in names]


def read_amat(contents: Contents, rows: int, columns: int) -> NDArray[np.uint8]:
    """Return the zeros and ones of a text file, [rows, columns], with one observation in a line.

    Raises:
        DataError: the file has another character than 0, 1 and white space, or another number of lines or
        values.
    """
    text = np.frombuffer(contents.data, np.uint8)
    values = text[text > ord(" ")]
    bad = (values != ord("0")) & (values != ord("1"))
    if bad.any():
        character = chr(values[bad.argmax()])
        line = contents.data[: contents.data.index(character.encode("latin-1"))].count(b"\n") + 1
        raise contents.error(f"{character!r} in line {line:,}", "only 0, 1 and white space")
    lines = len(contents.data.splitlines())
    if lines != rows:
        raise contents.error(f"{lines:,} lines", f"{rows:,}")
    if values.size != rows * columns:
        raise contents.error(f"{values.size:,} values", f"{rows:,} lines of {columns:,}")
    return (values - ord("0")).reshape(rows, columns)


def read_chardata(contents: Contents, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the training and test images of a chardata.mat, each [N, side * side], row by row.

    The format: MATLAB 5 with the arrays `data` and `testdata` of side * side rows. A column is an image,
    column by column, with values in [0, 1].

    Raises:
        DataError: the file has another format; the message lists every fault of the arrays.
    """
    # Imported here, because scipy.io is slow to import and only this format needs it.
    from scipy.io import loadmat, whosmat

    keys = ("data", "testdata")
    try:
        shapes = {name: shape for name, shape, _ in whosmat(io.BytesIO(contents.data), appendmat=False)}
        for key in keys:
            if (size := 8 * math.prod(shapes.get(key, ()))) > MAX_BYTES:
                raise contents.error(f"{key} of {size:,} bytes", f"at most {MAX_BYTES:,}")
        arrays = loadmat(io.BytesIO(contents.data), variable_names=keys, appendmat=False)
    except DataError:
        raise
    # scipy documents no error for damaged files; its parser raises many types.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise contents.error(f"no readable MATLAB file ({reason})", "one of version 5") from error
    faults = [f"{key} {fault}" for key in keys if (fault := _fault(arrays.get(key), side))]
    if faults:
        expected = f"each {side * side} x N, N of at least {MIN_COLUMNS}, values from 0 to 1"
        raise contents.error("; ".join(faults), f"{' and '.join(keys)}, {expected}")
    train, test = (_row_by_row(arrays[key], side) for key in keys)
    return train, test


def _fault(columns: Any, side: int) -> str | None:
    """Return what is wrong with an array of a chardata.mat; None for a good one."""
    if columns is None:
        return "missing"
    if not isinstance(columns, np.ndarray) or columns.dtype.kind not in "fiub":
        return "without plain numbers"
    if columns.ndim != 2 or columns.shape[0] != side * side or columns.shape[1] < MIN_COLUMNS:
        return "of shape " + " x ".join(map(str, columns.shape))
    low, high = columns.min(), columns.max()
    # NaN compares false, and so is refused.
    return None if low >= 0 and high <= 1 else f"with values from {low:g} to {high:g}"


def _row_by_row(columns: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Turn images in columns, column by column, into images in rows, row by row."""
    images = columns.T.reshape(-1, side, side).transpose(0, 2, 1)
    return np.ascontiguousarray(images.reshape(-1, side * side), dtype=np.float32)
