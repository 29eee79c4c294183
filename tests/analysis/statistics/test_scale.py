"""The scale of a control parameter: what maps of its values do to thresholds, and what they do not."""

import numpy as np
import pytest

from analysis.statistics.censored import population
from analysis.statistics.comparisons import compare
from analysis.statistics.curves import curves_of, mean_curve
from analysis.statistics.estimate import cell_threshold
from analysis.statistics.probes import is_located, probe_places, probe_values
from analysis.statistics.scale import LINEAR, Scale, scale_of
from ouvae.declared.pairs import Pair
from tests.analysis.statistics.test_censored import normal

DECADES = Scale("log")
VALUES = ("critical_value", "critical_low", "critical_high")
SPANS = (
    "half_width",
    "spread_left",
    "spread_left_low",
    "spread_left_high",
    "spread_right",
    "spread_right_high",
)


def members(median=0.8, scatter=0.06, seeds=30, flip=False):
    """Return members (seed, place, order parameter): three curves, and probes near the median."""
    dice = np.random.default_rng(3)
    rows = []
    for seed in range(seeds):
        onset = median + scatter * dice.standard_normal()
        places = np.linspace(0.4, 1.0, 5) if seed < 3 else [median + 0.05 * dice.standard_normal()]
        rows += [(seed, float(place), max(0.0, 3 * (onset - place))) for place in places]
    return [(seed, -place, value) for seed, place, value in rows] if flip else rows


def threshold(rows, map_of_places, scale):
    return cell_threshold(curves_of((s, float(map_of_places(p)), v) for s, p, v in rows), 0.1, 0.95, scale)


@pytest.mark.parametrize("median", [0.8, 0.98, 1.3, 0.2])
def test_a_table_of_powers_of_ten_has_the_thresholds_of_its_exponents(median):
    """The law that carries the measured coverage over to a log scale, at the ends of the range too."""
    plain = threshold(members(median), lambda place: place, LINEAR)
    powers = threshold(members(median), lambda place: 10**place, DECADES)
    assert powers.status == plain.status
    for name in VALUES:
        expected = getattr(plain, name)
        got = getattr(powers, name)
        assert (got and np.log10(got)) == (expected and pytest.approx(expected, abs=1e-12)), name
    for name in SPANS:
        expected = getattr(plain, name)
        assert getattr(powers, name) == (expected and pytest.approx(expected, abs=1e-12)), name
    for seed, other in zip(powers.seeds, plain.seeds, strict=True):
        assert (seed.critical_value and np.log10(seed.critical_value)) == (
            other.critical_value and pytest.approx(other.critical_value, abs=1e-12)
        )


@pytest.mark.parametrize(("slope", "offset"), [(250.0, -3.0), (1e-4, 0.0), (-2.0, 5.0)])
def test_an_affine_map_of_a_linear_control_maps_its_threshold(slope, offset):
    def mapped(place):
        return slope * place + offset

    def scale(of):
        return scale_of("linear", *sorted((of(0.4), of(1.0))))

    plain = threshold(members(), lambda place: place, scale(lambda place: place))
    other = threshold(members(), mapped, scale(mapped))
    low, high = sorted((mapped(plain.critical_low), mapped(plain.critical_high)))
    assert other.critical_value == pytest.approx(mapped(plain.critical_value), rel=1e-9)
    assert (other.critical_low, other.critical_high) == pytest.approx((low, high), rel=1e-9)
    assert other.half_width == pytest.approx(abs(slope) * plain.half_width, rel=1e-9)
    left, right = (plain.spread_left, plain.spread_right)[:: int(np.sign(slope))]
    assert (other.spread_left, other.spread_right) == pytest.approx(
        (abs(slope) * left, abs(slope) * right), rel=1e-9
    )


def test_a_value_is_its_own_place_on_the_linear_scale():
    values = np.random.default_rng(0).random(1000)
    assert np.array_equal(LINEAR.places(values), values)
    assert all(LINEAR.value(value) == value == LINEAR.span(value) for value in values.tolist())
    assert all(
        LINEAR.middle(a, b) == (a + b) / 2
        for a, b in zip(values.tolist(), values[::-1].tolist(), strict=True)
    )


def test_mean_curves_are_interpolated_on_the_scale():
    curves = curves_of([(0, 1.0, 4.0), (0, 100.0, 0.0), (1, 1.0, 4.0), (1, 10.0, 4.0), (1, 100.0, 0.0)])
    assert mean_curve(curves, DECADES)[1] == pytest.approx([4.0, 3.0, 0.0])
    assert mean_curve(curves)[1][1] == pytest.approx((4 - 4 * 9 / 99 + 4) / 2)


def test_differences_and_margins_are_spans():
    pairs, medians = [Pair(0, 1, "size")], [normal(0.8, 0.01), normal(0.6, 0.01)]
    (plain,) = compare(pairs, medians, 0.95, 0.1)
    (scaled,) = compare(pairs, medians, 0.95, 10.0, Scale("linear", 100.0))
    assert scaled.difference == pytest.approx(100 * plain.difference)
    assert scaled.difference_low == pytest.approx(100 * plain.difference_low)
    assert (scaled.verdict, scaled.p_alike) == (plain.verdict, plain.p_alike)
    assert plain.verdict == "higher"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Scale("sqrt"), "no scale 'sqrt'; choose from linear, log"),
        (lambda: Scale("log", 0.0), "positive and finite, not 0.0"),
        (lambda: DECADES.places([1.0, 0.0]), "must be positive, found 0"),
        (lambda: scale_of("linear", 2.0, 2.0), "the lowest value must lie below the highest"),
        (lambda: scale_of("log", -1.0, 2.0), "must be positive"),
    ],
)
def test_what_is_no_scale_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()


@pytest.mark.parametrize(("batch", "trained"), [(12, 0), (4, 2), (1, 5)])
def test_the_rule_of_the_probes(batch, trained):
    """Two thirds at the median, a sixth on either side, counted over all batches."""
    posterior = population({(0.5, 0.7): 3, (-np.inf, 0.6): 2, (0.6, np.inf): 2})
    median = posterior.median.median
    places, later = [], trained
    while len(places) < 24:
        places += probe_places(posterior, later, batch)
        later += batch
    assert sum(place < median for place in places) == sum(place > median for place in places) == 4


def test_values_of_probes_are_short_and_within_the_range():
    found = threshold(members(0.98), lambda place: 10**place, DECADES)
    values = probe_values(found, (10**0.4, 10.0), 0, 12)
    assert len(values) == 12
    assert max(values) <= 10.0
    assert all(float(f"{value:.6g}") == value for value in values)
    assert is_located(found, (10**0.4, 10.0), found.half_width or 0.3)
