"""Gaussian data with an exact empirical covariance, for the analytic control."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ouvae.data.dataset import DataError, Dataset, contiguous
from ouvae.data.files import Source

SEED = 1866
"""Seed of the PCG64 generator that draws the three splits in turn."""

TRAIN, VALIDATION, TEST = 20_000, 2_000, 2_000

MAX_DIMENSIONS = 128
"""Maximum number of dimensions. Whitening more would take long, and a control needs few."""


def load(source: Source | None, data_variance: Sequence[float]) -> Dataset:
    """Return samples of N(0, diag(data_variance)): 20,000 training, 2,000 validation, 2,000 test.

    Each split is centred and whitened before it is scaled: its mean is 0 and its covariance (1/N) sum x xᵀ is
    diag(data_variance), up to float32 rounding. The critical threshold of the linear Gaussian VAE depends on
    the data only through their covariance, so its closed form holds for this finite sample.

    Raises:
        DataError: there are no dimensions or more than `MAX_DIMENSIONS`, or a variance is not positive and
            finite in float32.
    """
    variance = _checked(data_variance)
    generator = np.random.Generator(np.random.PCG64(SEED))
    train, validation, test = (
        contiguous(whitened(generator.standard_normal((size, len(variance)))) * np.sqrt(variance))
        for size in (TRAIN, VALIDATION, TEST)
    )
    return Dataset("gaussian", train, validation, test, (len(variance),), "none")


def _checked(data_variance: Sequence[float]) -> NDArray[np.float64]:
    """Return the variances as an array, after checks of their number and values."""
    if not 1 <= len(data_variance) <= MAX_DIMENSIONS:
        raise DataError(
            f"data_variance has {len(data_variance)} values; allowed are 1 to {MAX_DIMENSIONS}, "
            "one for each dimension"
        )
    variance = np.asarray(data_variance, dtype=np.float64)
    limits = np.finfo(np.float32)
    bad = [f"{v:g}" for v in variance if not limits.tiny <= v <= limits.max]
    if bad:
        raise DataError(
            f"data_variance holds {', '.join(bad)}; give variances that are positive and finite in float32"
        )
    return variance


def whitened(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the samples, [N, D], with mean 0 and covariance (1/N) sum x xᵀ = I; N is well above D.

    Modified Gram-Schmidt, column by column. Correctly rounded sums (`math.fsum`) make the result, and a data
    set's digest, the same on every platform; BLAS sums depend on the processor.
    """
    count = len(samples)
    columns: list[NDArray[np.float64]] = []
    for column in samples.T:
        column = column - _mean(column)
        for earlier in columns:
            column = column - _mean(column * earlier) * earlier
        columns.append(column / math.sqrt(math.fsum((column * column).tolist()) / count))
    return np.stack(columns, axis=1)


def _mean(values: NDArray[np.float64]) -> float:
    return math.fsum(values.tolist()) / len(values)
