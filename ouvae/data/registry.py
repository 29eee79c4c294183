"""The data sets by name. A new one is a module with a loader, and a line in `_FROM_FILES`."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ouvae.data import cifar10, digits, gaussian, mnist, omniglot
from ouvae.data.dataset import DataError, Dataset
from ouvae.data.files import Source

_FROM_FILES: Mapping[str, Callable[[Source], Dataset]] = MappingProxyType(
    {
        "mnist": mnist.load_dynamic,
        "mnist_fixed": mnist.load_fixed,
        "mnist_static": mnist.load_static,
        "omniglot": omniglot.load,
        "cifar10": cifar10.load,
    }
)

NAMES: tuple[str, ...] = ("digits", "gaussian", *_FROM_FILES)
"""The names that `load` knows; `digits` and `gaussian` need no file."""


def load(
    name: str,
    data_dir: Path | None = None,
    *,
    data_variance: Sequence[float] | None = None,
    download: bool = True,
    progress: bool = True,
) -> Dataset:
    """Return a data set by its name, one of `NAMES`.

    Its files are taken from `data_dir` if that is given, and from nowhere else. Otherwise they are
    taken from the folder that the environment variable `OUVAE_DATA` names, from the cache, or from
    the mirrors into the cache. A folder holds them directly or in a subfolder of the data set's
    name (`mnist/`, `omniglot/`, …).

    Args:
        name: which data set.
        data_dir: the folder of the data files.
        data_variance: the variances of `gaussian`, one a dimension; for that data set alone.
        download: fetch a file that is nowhere.
        progress: show a progress bar while downloading.

    Raises:
        DataError: the name is unknown, `data_variance` is missing or out of place, or a file cannot
            be had or is not what it should be.
    """
    if name not in NAMES:
        raise DataError(_unknown(name))
    if name == "gaussian":
        if data_variance is None:
            raise DataError("data set 'gaussian' needs data_variance, one variance a dimension")
        return gaussian.load(data_variance)
    if data_variance is not None:
        raise DataError(f"data_variance belongs to data set 'gaussian', not to {name!r}; leave it out")
    if name == "digits":
        return digits.load()
    return _FROM_FILES[name](Source(data_dir, download, progress))


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    suggestion = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown data set {name!r};{suggestion} known are {', '.join(NAMES)}"
