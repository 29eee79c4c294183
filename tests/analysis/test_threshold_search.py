"""The ask/tell search: what it suggests follows from what it was told, and its intervals cover."""

import numpy as np
import pytest

from analysis import ThresholdSearch
from analysis.statistics.rule import Rule
from benchmarks.threshold_realisations import FAMILIES, Drawn
from benchmarks.threshold_search import PARTS, searched
from ouvae.declared import ORDER_PARAMETERS
from sweeps.plan.cells import Point
from sweeps.search.base import StoppingRule
from sweeps.search.locate import LocateSearch

COARSE = (0.0, 0.25, 0.5, 0.75, 1.0)


def drawn(run, family="normal", median=None):
    return Drawn(FAMILIES[family], 0.08, [1, run], median)


def trained(search, realisations, place=lambda value: value):
    """Train what a search suggests until it is done; return its members."""
    members = []
    while batch := search.ask():
        members += batch
        for value, seed in batch:
            search.tell(value, seed, realisations.train(Point(float(place(value)), seed)))
    return members


def test_on_the_scale_of_rho_it_is_the_search_locate():
    """The same members, up to the digits to which each rounds."""
    realisations, observed = drawn(0), {}
    rule = Rule(ORDER_PARAMETERS["kl_top"], 0.1, 0.95)
    locate = LocateSearch(observed, COARSE, (0, 1, 2), StoppingRule(rule, 0.05, 240), 12)
    while batch := locate.ask():
        observed |= {point: realisations.train(point) for point in batch}
    search = ThresholdSearch(0.0, 1.0)
    members = trained(search, drawn(0))
    assert [seed for _, seed in members] == [point.seed for point in observed]
    assert [value for value, _ in members] == pytest.approx([point.value for point in observed], abs=2e-4)
    assert search.threshold.critical_value == pytest.approx(locate.threshold.critical_value, abs=2e-3)


def test_a_log_scale_suggests_the_powers_of_what_a_linear_one_does():
    """So that all that is measured of `locate` holds there: coverage and number of members."""
    plain, powers = ThresholdSearch(0.0, 1.0), ThresholdSearch(1.0, 10.0, scale="log")
    expected = trained(plain, drawn(3))
    got = trained(powers, drawn(3), np.log10)
    assert [seed for _, seed in got] == [seed for _, seed in expected]
    assert np.log10([value for value, _ in got]) == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert np.log10(powers.threshold.critical_value) == pytest.approx(
        plain.threshold.critical_value, abs=1e-3
    )


@pytest.mark.parametrize("part", PARTS)
def test_intervals_on_a_log_scale_cover_under_the_stopping_rule(part):
    """In short; the share is that of the law above and of `benchmarks/threshold_search.py`."""
    results = [searched("normal", part, run, 0.05) for run in range(12)]
    assert sum(found.covers(median) for found, median in results) >= 10
    assert all(found.is_reached for found, _ in results)


def test_members_are_told_in_any_order_and_by_whoever_trained_them():
    first, later = ThresholdSearch(0.0, 1.0), ThresholdSearch(0.0, 1.0)
    members = trained(first, drawn(5))
    for value, seed in members[40::-1]:
        later.tell(value, seed, drawn(5).train(Point(value, seed)))
    batch = later.ask()
    assert later.ask() == batch, "it does not ask for others before it is told"
    later.tell(*batch[1], 0.0)
    assert later.ask() == [batch[0], *batch[2:]]
    assert min(seed for _, seed in batch) > max(seed for _, seed in members[:41])


def test_it_ends_with_its_members_and_where_nothing_is_known():
    search = ThresholdSearch(0.0, 1.0, half_width=1e-4, max_members=20)
    assert len(trained(search, drawn(0))) == 20
    dead = ThresholdSearch(0.0, 1.0)
    for value, seed in dead.ask():
        dead.tell(value, seed, float("nan") if seed else None)
    assert dead.ask() == []
    assert dead.threshold.status == "unresolved"


@pytest.mark.parametrize(
    ("tell", "message"),
    [
        (("told", 0, 1.0), "told before"),
        ((float("nan"), 9, 1.0), "must be finite"),
        ((0.0, 9, 1.0), "must be positive"),
    ],
)
def test_what_cannot_be_told_is_refused(tell, message):
    search = ThresholdSearch(0.1, 10, scale="log")
    (value, seed), *_ = search.ask()
    search.tell(value, seed, 1.0)
    with pytest.raises(ValueError, match=message):
        search.tell(value if tell[0] == "told" else tell[0], *tell[1:])


@pytest.mark.parametrize(
    ("low", "high", "more"),
    [
        (1, 1, {}),
        (-1, 1, {"scale": "log"}),
        (0, 1, {"grid": 1}),
        (0, 1, {"active_from": 0.0}),
        (0, 1, {"confidence": 1.0}),
        (0, 1, {"collapsed": "top"}),
    ],
)
def test_a_search_without_a_range_is_refused(low, high, more):
    with pytest.raises(ValueError, match="must"):
        ThresholdSearch(low, high, **more)
