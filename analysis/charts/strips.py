"""Rows of small images as PNG files."""

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TILE_PIXELS = 64
"""Pixels to which the longer side of an image is enlarged, by a whole factor, so that its own stay sharp."""

GAP_PIXELS = 5

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS, _RGBA = 8, 6

Bytes = NDArray[np.uint8]


def strip(images: bytes, image_shape: Sequence[int]) -> Bytes:
    """Return images beside one another, with transparent gaps: [rows, columns, 4].

    Args:
        images: the pixels of n images, [n, *image_shape].
        image_shape: (rows, columns), or (channels, rows, columns) with one channel or three.
    """
    tiles = np.frombuffer(images, np.uint8).reshape(-1, *image_shape)
    tiles = tiles[:, None] if tiles.ndim == 3 else tiles
    tiles = np.broadcast_to(tiles, (len(tiles), 3, *tiles.shape[2:])).transpose(0, 2, 3, 1)
    factor = max(1, round(TILE_PIXELS / max(tiles.shape[1:3])))
    count, rows, columns, _ = tiles.shape
    step = columns * factor + GAP_PIXELS
    pixels = np.zeros((rows * factor, count * step - GAP_PIXELS, 4), np.uint8)
    for index, tile in enumerate(tiles):
        part = pixels[:, index * step : index * step + columns * factor]
        part[..., :3] = tile.repeat(factor, 0).repeat(factor, 1)
        part[..., 3] = 255
    return pixels


def png(pixels: Bytes) -> bytes:
    """Return [rows, columns, 4] as a PNG file."""
    rows, columns, _ = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, _EIGHT_BITS, _RGBA, 0, 0, 0)
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], 1)  # without filters
    return (
        _SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def data_url(file: bytes) -> str:
    """Return a PNG file as a URL that holds it."""
    return f"data:image/png;base64,{b64encode(file).decode()}"
