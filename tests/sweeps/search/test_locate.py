"""The search `locate`: where it samples, when it stops, and that nothing but what it saw decides."""

import numpy as np
import pytest

from analysis.statistics.comparisons import compare
from analysis.statistics.rule import Rule
from ouvae.declared import ORDER_PARAMETERS
from ouvae.declared.pairs import Pair
from sweeps.plan.cells import Point
from sweeps.search.base import StoppingRule
from sweeps.search.locate import TYPICAL_SPREAD, Decisions, LocateSearch

COARSE = (0.4, 0.55, 0.7, 0.85, 1.0)
SEEDS = (0, 1, 2)


def locate(rho=COARSE, seeds=SEEDS, active_from=0.1, half_width=0.05, max_members=240, probes=12, trained=()):
    """Return a search of a cell in which `trained` were trained before."""
    rule = Rule(ORDER_PARAMETERS["kl_top"], active_from, 0.95)
    observed = {point: active(point) for point in trained}
    return LocateSearch(observed, rho, seeds, StoppingRule(rule, half_width, max_members), probes)


def threshold_of(seed, median=0.8, scale=0.06, world=0):
    return median + scale * np.random.default_rng([world, seed]).standard_normal()


def active(point, **world):
    return 1.0 if point.value < threshold_of(point.seed, **world) else 0.0


def run(search, value=active, order=None):
    """Train what a search asks for until it is done; return its batches."""
    batches = []
    while asked := search.ask():
        batches.append(list(asked))
        places = range(len(asked)) if order is None else order.permutation(len(asked))
        for place in places:
            search.observed[asked[place]] = value(asked[place])
    return batches


def test_it_begins_with_the_initial_grid_and_goes_on_with_fresh_seeds():
    batches = run(locate())
    assert set(batches[0]) == {Point(rho, seed) for rho in COARSE for seed in SEEDS}
    probes = [point for batch in batches[1:] for point in batch]
    assert [point.seed for point in probes] == list(range(3, 3 + len(probes)))
    assert all(len(batch) == 12 for batch in batches[1:])
    assert all(COARSE[0] <= point.value <= COARSE[-1] for point in probes)
    assert all(round(point.value, 4) == point.value for point in probes)


@pytest.mark.parametrize("median", [0.5, 0.8, 0.93])
@pytest.mark.parametrize("half_width", [0.05, 0.02])
def test_it_stops_when_the_interval_is_as_narrow_as_asked(median, half_width):
    search = locate(half_width=half_width, max_members=600)
    run(search, lambda point: active(point, median=median))
    assert search.threshold.half_width <= half_width
    assert search.threshold.critical_value == pytest.approx(median, abs=2 * half_width)
    assert search.answer_count < 600


def test_most_members_are_never_exceeded():
    for most in (15, 16, 30):
        search = locate(half_width=0.001, max_members=most)
        run(search)
        assert search.answer_count == most


def test_what_it_asks_for_follows_from_what_it_saw_alone():
    plain = run(locate())
    for seed in range(3):
        assert run(locate(), order=np.random.default_rng(seed)) == plain
    early = locate()
    for batch in plain:
        for point in batch[::2]:
            early.observed[point] = active(point)
    assert run(early) == plain, "what is told before it is asked for changes nothing"


def test_a_narrower_goal_goes_on_from_where_a_wider_one_stopped():
    wide, narrow = (run(locate(half_width=h)) for h in (0.05, 0.03))
    assert narrow[: len(wide)] == wide
    assert len(narrow) > len(wide)


def test_lost_members_count_as_nothing_and_do_not_keep_it_going():
    search = locate()
    run(search, lambda point: None if point.seed % 4 == 3 else active(point))
    assert search.threshold.half_width <= 0.05
    dead = locate()
    assert len(run(dead, lambda point: None)) == 1
    assert dead.threshold.status == "unresolved"


@pytest.mark.parametrize(("value", "status"), [(1.0, "always_active"), (0.0, "always_collapsed")])
def test_a_median_beyond_the_coarse_values_is_bounded_and_not_chased(value, status):
    search = locate()
    run(search, lambda point: value)
    assert search.threshold.status == status
    assert search.answer_count < 60
    low, high = search.threshold.critical_low, search.threshold.critical_high
    assert (low >= 0.9 and high is None) if value else (high <= 0.5 and low is None)


@pytest.mark.parametrize("probes", [1, 4, 5, 12])
def test_a_sixth_of_the_probes_lies_on_either_side_however_small_a_batch_is(probes):
    search = locate(half_width=0.001, probes=probes, max_members=135)
    beside = []
    while not search.done:
        asked = search.ask()
        if search.threshold is not None:
            beside += [point.value - search.threshold.population.median.median for point in asked]
        for point in asked:
            search.observed[point] = active(point)
    assert len(beside) == 120
    assert sum(apart < -0.001 for apart in beside) == 20
    assert sum(apart > 0.001 for apart in beside) == 20


def test_members_that_are_there_are_asked_for():
    """A cell that gets a neighbour later asks for the probes that it has, and trains none of them anew."""
    alone = locate(half_width=0.03)
    before = [point for batch in run(alone) for point in batch]
    beside, neighbour = locate(half_width=0.03, trained=before[::-1]), locate(half_width=0.03)
    beside.neighbours = [neighbour]
    run(neighbour, lambda point: active(point, median=0.6))
    assert [point for batch in run(beside) for point in batch] == before
    fresh = locate(half_width=0.03)
    fresh.neighbours = [neighbour]
    assert [point for batch in run(fresh) for point in batch] != before


def test_it_works_where_the_collapse_is_at_low_rho():
    search = locate()
    run(search, lambda point: 1.0 if point.value > threshold_of(point.seed, median=0.6) else 0.0)
    assert search.threshold.collapsed_side == "low"
    assert search.threshold.critical_value == pytest.approx(0.6, abs=0.08)


def test_half_of_the_plateau_is_that_of_the_initial_grid():
    search = locate(active_from="half_plateau")
    run(search, lambda point: 3.0 * active(point) + 0.4)
    assert search.threshold.critical_value == pytest.approx(0.8, abs=0.08)


def test_the_expected_number_of_members_is_near_what_it_takes():
    took = []
    for world in range(5):
        search = locate(half_width=0.02, max_members=600)
        before = search.expected_points()
        run(search, lambda point, world=world: active(point, scale=TYPICAL_SPREAD, world=world))
        took.append(search.answer_count)
        assert search.expected_points() == search.answer_count
    assert 0.5 < before / np.median(took) < 2


def test_the_first_probes_begin_where_the_neighbours_initial_grids_are_too():
    """One seed on a coarse grid tells little; a neighbour of six seeds places the first probes."""
    alone, beside = (locate((0.4, 0.7, 1.0), (0,)) for _ in range(2))
    neighbour = locate(seeds=range(6))
    beside.neighbours = [neighbour]
    for search in (alone, beside):
        for point in search.ask():
            search.observed[point] = 1.0 if point.value < 0.8 else 0.0
    first = np.mean([point.value for point in alone.ask()])
    assert beside.ask() == []
    assert not beside.done
    for point in neighbour.ask():
        neighbour.observed[point] = 1.0 if point.value < 0.95 else 0.0
    probes = beside.ask()
    assert np.mean([point.value for point in probes]) > first + 0.01
    for point in probes:
        beside.observed[point] = 1.0 if point.value < 0.8 else 0.0
    beside.ask()
    own = {seed.seed for seed in beside.threshold.seeds}
    assert own == set(range(13)), "the estimate is of its own seeds alone"


def decide(medians, margin=None, order=(0, 1), most=240):
    """Run two cells whose difference is to be decided, told in an order; return them and their batches."""
    searches = [locate(half_width=0.06, max_members=most) for _ in medians]
    decisions = Decisions(searches, [Pair(0, 1, "size")], 0.95, margin)
    for search in searches:
        search.decisions = decisions
    batches = [[], []]
    idle = 0
    while not all(search.done for search in searches):
        asked = {place: list(searches[place].ask()) for place in order}
        idle = 0 if any(asked.values()) else idle + 1
        assert idle < 3, "the cells wait for one another for ever"
        for place, batch in asked.items():
            batches[place] += [batch] * bool(batch)
            for point in batch:
                searches[place].observed[point] = active(
                    point, median=medians[place], scale=0.05, world=place
                )
    return searches, batches


def test_cells_whose_comparison_is_undecided_go_on():
    (near, other), _ = decide((0.8, 0.77))
    (far, _), _ = decide((0.85, 0.6))
    assert far.answer_count < near.answer_count
    assert near.answer_count == other.answer_count or 240 in (near.answer_count, other.answer_count)
    (a, b), _ = decide((0.8, 0.8), most=99)
    assert (a.answer_count, b.answer_count) == (99, 99), "what cannot be decided ends at max_members"


@pytest.mark.parametrize("medians", [(0.85, 0.6), (0.8, 0.74), (0.8, 0.7)])
def test_many_looks_do_not_make_a_difference(medians):
    """Each batch is another look: what stops before the last one is beyond chance at every one of them."""
    searches, _ = decide(medians)
    posterior_medians = [search.threshold.population.median for search in searches]
    (found,) = compare([Pair(0, 1, "size")], posterior_medians, 0.95, None)
    assert found.verdict == "higher"
    assert all(search.answer_count < 240 for search in searches)
    assert found.p_different <= 0.001


def test_what_no_member_can_decide_is_left():
    """Both cells are active wherever they are trained, or one has no member that counts."""
    (first, second), _ = decide((1.4, 1.5))
    assert first.answer_count == second.answer_count < 60
    searches = [locate() for _ in range(2)]
    decisions = Decisions(searches, [Pair(0, 1, "size")], 0.95, None)
    for search in searches:
        search.decisions = decisions
    while not all([search.done for search in searches]):
        for search, value in zip(searches, (active, lambda point: None), strict=True):
            for point in search.ask():
                search.observed[point] = value(point)
    assert searches[0].answer_count < 60


def test_a_margin_can_be_what_decides():
    (alike, _), _ = decide((0.8, 0.8), margin=0.1)
    assert alike.answer_count < 240


def test_decisions_do_not_depend_on_which_cell_is_first():
    _, forward = decide((0.8, 0.76))
    _, backward = decide((0.8, 0.76), order=(1, 0))
    assert forward == backward
