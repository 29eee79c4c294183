"""The analytic control's data: exact covariance, known stream, refused variances."""

import math

import numpy as np
import pytest
import scipy.stats

from ouvae.data import DataError, load
from ouvae.data.gaussian import whitened

DIGEST = "4d73c058cb05fdada48df96e07c34a0d626a214b52d72adaba28e8d03f719f15"


@pytest.mark.parametrize("variance", [[0.8], [0.8, 0.5, 2.0, 4.0], [1e-4, 1.0, 1e4]])
def test_every_split_has_the_exact_mean_and_covariance(variance):
    data = load("gaussian", data_variance=variance)
    scale = np.sqrt(variance)
    sizes = []
    for images in data.splits().values():
        x = images.astype(np.float64) / scale
        sizes.append(len(x))
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-8)
        np.testing.assert_allclose(x.T @ x / len(x), np.eye(len(variance)), atol=1e-7)
    assert sizes == [20_000, 2_000, 2_000]
    assert data.binarization == "none"
    assert data.image_shape == (len(variance),)


def test_samples_are_gaussian_and_splits_differ():
    data = load("gaussian", data_variance=[0.8])
    for images in data.splits().values():
        test = scipy.stats.kstest(images[:, 0] / math.sqrt(0.8), "norm")
        assert test.pvalue > 1e-3
    assert not np.isin(data.validation, data.train).any()
    assert not np.array_equal(data.validation, data.test)


def test_digest_is_known_and_tells_variances_apart():
    assert load("gaussian", data_variance=[0.8, 0.5, 2.0, 4.0]).digest == DIGEST
    assert load("gaussian", data_variance=(0.8, 0.5, 2.0, 4.0)).digest == DIGEST
    assert load("gaussian", data_variance=[0.8, 0.5, 2.0, 4.1]).digest != DIGEST


def test_whitening_is_exact_in_float64_for_correlated_samples():
    random = np.random.Generator(np.random.PCG64(5))
    mixing = random.standard_normal((12, 12))
    x = whitened(random.standard_normal((2_000, 12)) @ mixing + 3)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(x.T @ x / len(x), np.eye(12), atol=1e-12)


def test_data_variance_is_required():
    with pytest.raises(DataError, match="'gaussian' needs data_variance"):
        load("gaussian")


@pytest.mark.parametrize(
    ("variance", "message"),
    [
        ([], "has 0 values; allowed are 1 to 128"),
        ([1.0] * 129, "has 129 values"),
        ([1.0, -2.0, 0.0], "holds -2, 0; give variances that are positive and finite"),
        ([math.nan, math.inf], "holds nan, inf"),
        ([1e300], r"holds 1e\+300"),
    ],
)
def test_variances_are_refused(variance, message):
    with pytest.raises(DataError, match=message):
        load("gaussian", data_variance=variance)
