"""rho and g: known values, and inverses."""

import math

import pytest

from ouvae.declared.retained_variance import retained_variance, rho_retaining


def test_known_values():
    assert retained_variance(1.0, 5) == 1
    assert retained_variance(0.0, 5) == pytest.approx(0.2)
    assert retained_variance(0.5, 1) == 1
    assert retained_variance(math.sqrt(0.75), 5) == pytest.approx(0.8)
    assert rho_retaining(0.8, 5) == pytest.approx(math.sqrt(0.75))
    assert rho_retaining(1.0, 2) == 1
    assert rho_retaining(0.25, 4) == 0


@pytest.mark.parametrize("draws", [2, 5, 1000])
@pytest.mark.parametrize("rho", [0.0, 0.1, 0.5, 0.866, 1.0])
def test_the_functions_are_inverses(rho, draws):
    share = retained_variance(rho, draws)
    assert 1 / draws <= share <= 1
    assert rho_retaining(share, draws) == pytest.approx(rho, abs=1e-9)


@pytest.mark.parametrize(("share", "draws"), [(0.19, 5), (1.01, 5), (math.nan, 5), (1.0, 1), (0.5, 1)])
def test_a_share_that_no_rho_or_any_rho_retains_is_refused(share, draws):
    with pytest.raises(ValueError, match="give a g from 1/K to 1 and a K above 1"):
        rho_retaining(share, draws)
