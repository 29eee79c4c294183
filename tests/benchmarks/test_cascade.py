"""The benchmark of the cascade: its laws on members that follow them."""

import numpy as np
import pytest

from benchmarks.cascade import interval, slopes, variance_ratios


def members(exact, ratio, factor):
    """Return members of three seeds whose second unit has `factor` times the KL of the law."""
    values = np.geomspace(exact / 8, 2 * exact, 9)
    return [
        {"value": x, "seed": seed, "kl_units_top_nats": [5.0, factor * max(0.0, law)]}
        for seed in range(3)
        for x in values
        for law in [(np.log(exact / x) + (ratio - 1) * (1 - x / exact)) / 2]
    ]


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_the_slope_is_the_factor_of_the_law_for_the_images(ratio, factor):
    rows = members(3.0, ratio, factor)
    assert slopes(rows, 2, 3.0, ratio) == pytest.approx([factor] * 3)
    if ratio != 1:
        assert slopes(rows, 2, 3.0, 1.0)[0] != pytest.approx(factor, rel=0.01)


def test_a_layer_without_the_unit_has_no_slope():
    assert slopes(members(3.0, 1.0, 1.0), 3, 3.0, 1.0) == []


def test_the_training_images_have_the_variance_of_the_eigenvalues():
    generator = np.random.default_rng(0)
    train = generator.standard_normal((40, 3)) * [3.0, 2.0, 1.0] + 5
    assert variance_ratios(train, train) == pytest.approx([1.0] * 3)
    assert variance_ratios(train, train.mean(0) + 2 * (train - train.mean(0))) == pytest.approx([4.0] * 3)


def test_an_interval_is_that_of_student():
    assert interval([1.0, 1.1, 0.9, 1.0]) == "1.00 ± 0.13"
