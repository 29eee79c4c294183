"""Seals: SHA-256 digests inside files, which tell a reader whether a file is as it was written.

A seal is the text `ouvae-sha256:` and 64 hexadecimal digits: the digest of the whole file with zeros in place
of these digits. It lies where the file's format ignores it: before the footer of a Parquet file, in the
metadata of a safetensors file, in a comment of a YAML file. A file and its seal are written at once and stay
together. Files without a seal come from earlier versions or other programs and are read unchecked.
"""

from hashlib import sha256

_MARK, _ZEROS = b"ouvae-sha256:", b"0" * 64

BLANK = _MARK + _ZEROS
"""The place of a seal in content that is not sealed yet."""

CHANGED = "its content has changed since it was written: its digest differs"
"""What is said of a file that does not agree with its seal."""


def sealed(content: bytes) -> bytes:
    """Return content with its digest in the last `BLANK`. Raises ValueError where it has none."""
    place = content.rindex(BLANK) + len(_MARK)
    return content[:place] + sha256(content).hexdigest().encode() + content[place + len(_ZEROS) :]


def is_intact(content: bytes) -> bool:
    """Tell whether a file's content agrees with its seal, or has no seal."""
    mark = content.rfind(_MARK)
    if mark < 0:
        return True
    place = mark + len(_MARK)
    end = place + len(_ZEROS)
    view, digest = memoryview(content), sha256()
    for part in (view[:place], _ZEROS, view[end:]):
        digest.update(part)
    return content[place:end] == digest.hexdigest().encode()
