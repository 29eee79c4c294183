"""Downloads of public files into the user's cache folder, with pooch."""

import time
from pathlib import Path
from typing import Any

from ouvae.data.dataset import DataError
from ouvae.data.public import MAX_BYTES, PublicFile, read

ATTEMPTS = 2
"""Attempts for each mirror; pooch waits a second between them."""

TIMEOUT_SECONDS = (5, 30)
"""Time limits of a mirror: to accept a connection, and to send the next bytes."""

MIN_BYTES_PER_SECOND, GRACE_SECONDS = 10_000, 60.0
"""A mirror with a slower average is abandoned for the next one, after the first minute at the earliest."""

_BLOCK_BYTES = 2**16


def cache_folder() -> Path:
    """Return the folder of downloaded files, `ouvae` in the operating system's cache folder."""
    # Imported here, because most runs download nothing.
    import pooch

    return Path(pooch.os_cache("ouvae"))


def cached_path(file: PublicFile) -> Path:
    """Return the path of a file in the cache, present or not."""
    return cache_folder() / file.folders[0] / file.name


def download(file: PublicFile, progress: bool = True) -> Path:
    """Fetch a file from the first mirror that serves it completely, and return its path in the cache.

    A file enters the cache after its checksum was verified, by a rename: several processes can download the
    same file at once.

    Raises:
        DataError: no mirror serves the file (the message has the reason for each mirror), or the cache folder
            cannot be written to.
    """
    import pooch
    import requests
    import urllib3

    target = cached_path(file)

    def verified(url: str, partial: str, _: Any) -> None:
        _stream(url, Path(partial), progress)
        if not _is_genuine(file, Path(partial)):
            raise ValueError(f"served another file, without {file.checksum}")

    failures = []
    for url in file.urls:
        mirror = pooch.create(
            path=target.parent,
            base_url="",
            registry={file.name: None},
            urls={file.name: url},
            retry_if_failed=ATTEMPTS - 1,
        )
        try:
            return Path(mirror.fetch(file.name, downloader=verified))
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            failures.append(f"  {url}: {_reason(error)}")
        except OSError as error:
            raise DataError(
                f"cannot write to the cache {target.parent}: {error}.\n{file.describe()}"
            ) from error
    raise DataError("\n".join([f"no mirror serves {file.name}:", *failures, file.describe()]))


def _stream(url: str, path: Path, progress: bool) -> None:
    """Write the response of a mirror to a file.

    pooch's downloader waits for full blocks, so a mirror that sends a byte from time to time would block it
    for ever.

    Raises:
        requests.RequestException, urllib3.exceptions.HTTPError: the mirror does not answer, or is too slow.
        ValueError: it serves more than MAX_BYTES.
    """
    import requests
    from tqdm import tqdm

    with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
        response.raise_for_status()
        total = int(response.headers.get("content-length", 0)) or None
        start, received = time.monotonic(), 0
        with (
            path.open("wb") as file,
            tqdm(total=total, unit="B", unit_scale=True, disable=not progress) as bar,
        ):
            while block := response.raw.read1(_BLOCK_BYTES, decode_content=True):
                file.write(block)
                bar.update(len(block))
                received += len(block)
                if received > MAX_BYTES:
                    raise ValueError(f"served more than {MAX_BYTES:,} bytes")
                elapsed = time.monotonic() - start
                if elapsed > GRACE_SECONDS and received < elapsed * MIN_BYTES_PER_SECOND:
                    raise requests.Timeout


def _is_genuine(file: PublicFile, path: Path) -> bool:
    try:
        read(file, path).verify()
    except DataError:
        return False
    return True


def _reason(error: Exception) -> str:
    """Return in a few words the reason why a mirror failed."""
    import requests
    import urllib3

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError | urllib3.exceptions.ProtocolError):
        return "no connection"
    return str(error)
