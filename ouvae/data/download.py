"""Downloads of public files into the user's cache folder, by way of pooch."""

from pathlib import Path
from typing import Any

from ouvae.data.dataset import DataError
from ouvae.data.public import PublicFile, read

ATTEMPTS = 2
"""How often each mirror is tried; pooch waits a second in between."""

TIMEOUT_SECONDS = (5, 30)
"""How long a mirror may take to accept a connection, and to send the next bytes."""


def cache_folder() -> Path:
    """Return the folder of downloaded files, `ouvae` in the operating system's cache folder."""
    # pooch is imported where it is used: most runs find their files without it.
    import pooch

    return Path(pooch.os_cache("ouvae"))


def cached_path(file: PublicFile) -> Path:
    """Return where the cache holds a file, whether it is there or not."""
    return cache_folder() / file.folders[0] / file.name


def download(file: PublicFile, progress: bool = True) -> Path:
    """Fetch a file from the first mirror that serves it whole, and return its path in the cache.

    A file reaches the cache only after its checksum was verified, and in one rename, so processes
    that download the same file at once do not disturb each other.

    Args:
        file: what to fetch.
        progress: show a progress bar on standard error.

    Raises:
        DataError: no mirror serves the file (every mirror is named, with its reason), or the cache
            folder cannot be written to.
    """
    import pooch
    import requests

    target = cached_path(file)
    http = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT_SECONDS)

    def verified(url: str, partial: str, _: Any) -> None:
        http(url, partial, None)
        if not _is_genuine(file, Path(partial)):
            raise ValueError(f"served something else: no {file.checksum}")

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
        except (requests.RequestException, ValueError) as error:
            failures.append(f"  {url}: {_reason(error)}")
        except OSError as error:
            raise DataError(
                f"cannot write to the cache {target.parent}: {error}.\n{file.describe()}"
            ) from error
    raise DataError("\n".join([f"no mirror serves {file.name}:", *failures, file.describe()]))


def _is_genuine(file: PublicFile, path: Path) -> bool:
    try:
        read(file, path).verify()
    except DataError:
        return False
    return True


def _reason(error: Exception) -> str:
    """Return in a few words why a mirror failed."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)
