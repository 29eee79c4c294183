"""The search for the threshold, with a synthetic KL(rho) in place of training."""

import random
from collections.abc import Callable

import pytest

from analysis.statistics.estimate import ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION, seed_threshold
from analysis.statistics.rule import Rule
from ouvae.declared import ORDER_PARAMETERS
from search_spaces import load
from sweeps.plan.cells import Point
from sweeps.search.base import Search
from sweeps.search.grid import GridSearch
from sweeps.search.locate import LocateSearch
from sweeps.search.of_space import searches_of
from sweeps.search.refine import RefineSearch

THRESHOLD_NATS = 0.1
COARSE = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Curve = Callable[[float, int], float | None]


def step(critical_value: dict[int, float], height: float = 5.0) -> Curve:
    """A sharp transition at each seed's own critical value: collapsed above."""
    return lambda rho, seed: height if rho < critical_value[seed] else 0.0


def ramp(critical_value: dict[int, float], slope: float = 2.0) -> Curve:
    """A continuous transition: KL is at the threshold at the critical value and falls linearly through it."""
    return lambda rho, seed: max(0.0, THRESHOLD_NATS + slope * (critical_value[seed] - rho))


def refine(seeds=(0,), rho=COARSE, tolerance=0.02, points=3, threshold=THRESHOLD_NATS) -> RefineSearch:
    rule = Rule(ORDER_PARAMETERS["kl_top"], threshold, 0.95)
    return RefineSearch({}, rho, list(seeds), rule, tolerance, points)


def run(search: Search, curve: Curve, most_rounds: int = 100) -> list[list[Point]]:
    """Observe rounds until the search is done; return them, each without what earlier ones asked for."""
    rounds = []
    while points := search.ask():
        rounds.append(points)
        assert len(rounds) <= most_rounds, "the search does not end"
        for point in points:
            search.observed[point] = curve(point.value, point.seed)
    return rounds


def observed(rounds: list[list[Point]], curve: Curve, seed: int) -> tuple[list[float], list[float]]:
    """What is known of a seed in the end, diverged members left out."""
    rhos = [point.value for points in rounds for point in points if point.seed == seed]
    usable = [rho for rho in rhos if curve(rho, seed) is not None]
    return usable, [curve(rho, seed) for rho in usable]


def bracket(rounds, curve, seed, side="high") -> tuple[float, float]:
    found = seed_threshold(seed, *observed(rounds, curve, seed), THRESHOLD_NATS, side)
    assert found.status == TRANSITION
    return found.low, found.high


class TestRefine:
    @pytest.mark.parametrize("shape", [step, ramp])
    def test_every_seeds_bracket_is_narrow_and_holds_its_threshold(self, shape):
        critical_value = {0: 0.734, 4: 0.9613, 2: 0.5017, 9: 0.7}
        curve = shape(critical_value)
        rounds = run(refine(critical_value), curve)
        for seed, threshold in critical_value.items():
            low, high = bracket(rounds, curve, seed)
            assert low <= threshold <= high
            assert high - low <= 0.02 + 1e-9

    def test_half_of_the_plateau_is_looked_for_where_that_is_the_rule(self):
        """Of curves that rise from 1 to 5: they are 3 at 0.75 and at 0.85."""
        middle = {0: 0.75, 1: 0.85}

        def curve(rho: float, seed: int) -> float:
            return min(5.0, max(1.0, 3 + 20 * (middle[seed] - rho)))

        search = refine(middle, threshold="half_plateau")
        rounds = run(search, curve)
        for seed, critical_value in middle.items():
            found = seed_threshold(seed, *observed(rounds, curve, seed), 2.5)
            assert found.low <= critical_value + 0.5 / 20 <= found.high
            assert found.high - found.low <= 0.02 + 1e-9
        by_nats = run(refine(middle), curve)
        assert sum(map(len, by_nats)) == len(COARSE) * len(middle), "1 nat is above 0.1 everywhere"

    def test_any_monotone_step_is_found_within_the_expected_cost(self):
        """Over many random thresholds, grids, tolerances and points per round."""
        draw = random.Random(1)  # noqa: S311
        for _ in range(300):
            count = draw.randint(2, 12)
            low = draw.uniform(0, 0.8)
            high = draw.uniform(low + 0.1, 1)
            rho = [round(low + (high - low) * i / (count - 1), 6) for i in range(count)]
            tolerance, points = draw.choice([0.3, 0.1, 0.03, 0.011, 0.0007]), draw.randint(1, 5)
            critical_value = {
                seed: draw.uniform(rho[0] + 1e-6, rho[-1]) for seed in range(draw.randint(1, 3))
            }
            search, curve = refine(critical_value, rho, tolerance, points), step(critical_value)
            rounds = run(search, curve)
            case = f"rho {rho}, tolerance {tolerance}, points {points}, rho_c {critical_value}"
            for seed, threshold in critical_value.items():
                left, right = bracket(rounds, curve, seed)
                assert left < threshold <= right, case
                assert right - left <= tolerance + 1e-6, case
            members = sum(map(len, rounds))
            # Only a bracket at the collapsed end of the grid has no guard, a point less each round.
            assert members <= search.expected_points(), case
            assert members >= search.expected_points() - len(critical_value) * len(rounds), case

    def test_no_member_is_asked_for_twice(self):
        critical_value = {0: 0.83, 1: 0.62}
        asked = [
            point
            for points in run(refine(critical_value, tolerance=0.001), step(critical_value))
            for point in points
        ]
        assert len(asked) == len(set(asked))

    def test_a_round_halves_the_bracket_by_its_points_and_guards_it(self):
        """Known answer: threshold 0.73, so the bracket is 0.7 to 0.8 and the guard halfway to 0.9."""
        rounds = run(refine({0: 0.73}), step({0: 0.73}))
        assert [[point.value for point in points] for points in rounds] == [
            list(COARSE),
            [0.725, 0.75, 0.775, 0.85],
            [0.73125, 0.7375, 0.74375, 0.7625],
        ]

    def test_an_island_of_activity_beyond_the_bracket_is_found_by_the_guard(self):
        def curve(rho, seed):
            return 3.0 if rho < 0.73 or 0.84 < rho < 0.88 else 0.0

        rounds = run(refine(), curve)
        assert Point(0.85, 0) in rounds[1]
        low, high = bracket(rounds, curve, 0)
        assert low < 0.88 <= high
        assert high - low <= 0.02 + 1e-9

    def test_a_curve_that_is_not_monotone_is_walked_from_the_collapsed_side(self):
        """Collapsed at 0.6 too, deeper in the active phase: the threshold at 0.847 counts."""

        def curve(rho, seed):
            return 4.0 if rho < 0.847 and not 0.55 < rho < 0.65 else 0.02

        low, high = bracket(run(refine(), curve), curve, 0)
        assert low < 0.847 <= high

    def test_collapse_on_the_low_side(self):
        def curve(rho, seed):
            return max(0.0, 3 * (rho - 0.643))

        rounds = run(refine(seeds=(0, 1)), curve)
        for seed in (0, 1):
            low, high = bracket(rounds, curve, seed, side="low")
            assert high - low <= 0.02 + 1e-9
            assert low <= 0.643 + THRESHOLD_NATS / 3 <= high
        assert Point(0.55, 0) in rounds[1], "the guard lies on the collapsed side"

    @pytest.mark.parametrize(("kl", "status"), [(2.0, ALWAYS_ACTIVE), (0.0, ALWAYS_COLLAPSED)])
    def test_without_a_transition_the_coarse_grid_is_all(self, kl, status):
        rounds = run(refine(seeds=(0, 1)), lambda rho, seed: kl)
        assert rounds == [[Point(rho, seed) for seed in (0, 1) for rho in COARSE]]
        assert seed_threshold(0, *observed(rounds, lambda *_: kl, 0), THRESHOLD_NATS).status == status

    def test_only_seeds_with_a_transition_are_refined(self):
        rounds = run(refine(seeds=(0, 1)), lambda rho, seed: 0.0 if seed or rho > 0.75 else 1.0)
        assert {point.seed for points in rounds[1:] for point in points} == {0}

    def test_a_diverged_member_is_passed_over(self):
        """0.7 and a point inside the bracket have diverged: their neighbours hold the threshold."""

        def curve(rho, seed):
            return None if rho in (0.7, 0.65) else (1.0 if rho < 0.73 else 0.0)

        low, high = bracket(run(refine(), curve), curve, 0)
        assert low < 0.73 <= high
        assert high - low <= 0.02 + 1e-9

    def test_all_of_a_brackets_inside_diverged_ends_the_search(self):
        """Nothing finer can be had, and one round shows it."""
        rounds = run(refine(), lambda rho, seed: None if 0.7 < rho < 0.8 else (1.0 if rho < 0.75 else 0.0))
        assert len(rounds) == 2

    def test_all_diverged_ends_the_search(self):
        assert len(run(refine(seeds=(0, 1)), lambda rho, seed: None)) == 1

    def test_diverged_ends_of_the_grid(self):
        def curve(rho, seed):
            return None if rho in (0.5, 1.0) else (1.0 if rho < 0.73 else 0.0)

        low, high = bracket(run(refine(), curve), curve, 0)
        assert low < 0.73 <= high <= low + 0.02 + 1e-9

    def test_a_tolerance_below_the_rounding_of_rho_ends(self):
        rounds = run(refine({0: 0.7}, tolerance=1e-9), step({0: 0.7345678}))
        low, high = bracket(rounds, step({0: 0.7345678}), 0)
        assert high - low == pytest.approx(1e-6)
        asked = [point for points in rounds for point in points]
        assert len(asked) == len(set(asked))

    def test_any_curve_at_all_comes_to_an_end(self):
        """Random curves, neither monotone nor always observed."""
        for case in range(200):
            draw = random.Random(case)  # noqa: S311
            values: dict[tuple[float, int], float | None] = {}

            def curve(rho, seed, draw=draw, values=values):
                kl = draw.choice([0.0, 0.05, 0.1, 3.0, None])
                return values.setdefault((rho, seed), kl)

            search = refine(seeds=range(3), tolerance=0.01, points=draw.randint(1, 4))
            rounds = run(search, curve)
            assert search.done
            assert search.ask() == []
            asked = [point for points in rounds for point in points]
            assert len(asked) == len(set(asked))
            assert {point.value for point in asked} >= set(COARSE)
            assert all(0.5 <= point.value <= 1.0 for point in asked)


class TestRounds:
    def test_a_round_is_asked_for_once_and_the_next_one_when_all_of_it_is_observed(self):
        search = refine(seeds=(0, 1))
        first = search.ask()
        assert search.ask() == []
        for point in first[:-1]:
            search.observed[point] = 1.0 if point.value < 0.73 else 0.0
        assert search.ask() == []
        assert (search.answer_count, search.asked) == (len(first) - 1, set(first))
        assert not search.done
        search.observed[first[-1]] = 0.0
        second = search.ask()
        assert not set(second) & set(first)
        assert (search.answer_count, search.asked) == (len(first), {*first, *second})

    def test_the_order_of_observations_does_not_matter(self):
        critical_value = {0: 0.73, 1: 0.88, 2: 0.61}
        curve = ramp(critical_value)
        expected = run(refine(critical_value, tolerance=0.005), curve)
        for case in range(10):
            search = refine(critical_value, tolerance=0.005)
            rounds = []
            while points := search.ask():
                rounds.append(points)
                for point in random.Random(case).sample(points, len(points)):  # noqa: S311
                    search.observed[point] = curve(point.value, point.seed)
            assert rounds == expected

    def test_a_new_search_of_what_is_observed_asks_for_the_same_rounds(self):
        """This is how an interrupted sweep catches up."""
        critical_value = {0: 0.73, 1: 0.88}
        curve = step(critical_value)
        rounds = run(refine(critical_value, tolerance=0.005), curve)
        for finished in range(len(rounds) + 1):
            search = refine(critical_value, tolerance=0.005)
            for point in reversed([point for points in rounds[:finished] for point in points]):
                search.observed[point] = curve(point.value, point.seed)
            expected = rounds[: finished + 1]
            assert [search.ask() for _ in expected] == expected
            assert (search.ask(), search.done) == ([], finished == len(rounds))


class TestGrid:
    def test_it_is_every_rho_with_every_seed_once(self):
        search = GridSearch({}, [0.5, 1.0, 0.7], [3, 1])
        assert search.expected_points() == 6
        rounds = run(search, lambda rho, seed: None if rho == 1.0 else 1.0)
        assert len(rounds) == 1
        assert sorted(rounds[0]) == sorted(Point(rho, seed) for seed in (3, 1) for rho in (0.5, 0.7, 1.0))
        assert search.done


def of_space(*overrides: str) -> list[Search]:
    space = load("digits", overrides)
    return searches_of(space, [{} for _ in space.swept()])


class TestOfSpace:
    def test_the_kind_and_the_settings_are_the_spaces(self):
        overrides = (
            "seeds=[5]",
            "tolerance=0.1",
            "refine_points=1",
            "latents=[[4, 4]]",
            "rho=[0.4, 0.8]",
        )
        (search,) = of_space(*overrides, "search=refine")
        assert isinstance(search, RefineSearch)
        rounds = run(search, step({5: 0.55}))
        assert [[point.value for point in points] for points in rounds] == [[0.4, 0.8], [0.6], [0.5, 0.7]]
        (grid,) = of_space(*overrides, "search=grid")
        assert isinstance(grid, GridSearch)
        assert grid.ask() == [Point(0.4, 5), Point(0.8, 5)]
        (none,) = of_space(*overrides, "search=none", "costs={rounds: 1}")
        assert none.expected_points() == 0
        assert none.ask() == []
        assert (none.done, none.stage) == (True, "done")

    def test_located_cells_know_their_neighbours_and_what_is_to_be_decided(self):
        keys = (
            "search=locate",
            "rho=[0.4, 0.8]",
            "seeds=2",
            "probes=4",
            "max_members=8",
            "tolerance=0.001",
        )
        sizes = "latents=[[4, 4], [16, 16], [8, 8], [4, 4, 4]]"
        searches = of_space(*keys, sizes)
        assert all(isinstance(search, LocateSearch) for search in searches)
        assert [search.decisions for search in searches] == [None] * 4
        assert [[searches.index(neighbour) for neighbour in search.neighbours] for search in searches] == [
            [2, 3],
            [2],
            [0, 1],
            [0],
        ]
        (first, *_) = searches
        assert [len(points) for points in run(first, step({seed: 0.6 for seed in range(9)}))] == [4]
        decided = of_space(*keys, sizes, "until=decided")
        assert len({id(search.decisions) for search in decided}) == 1
        assert decided[0].decisions is not None
