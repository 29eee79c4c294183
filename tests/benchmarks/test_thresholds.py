"""The benchmark of thresholds, in a short form: what it simulates, what it counts, and that it prints it."""

import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from analysis.statistics.comparisons import Comparison
from analysis.statistics.estimate import seed_threshold
from analysis.tables.files import table_of
from analysis.tables.schema import MEMBERS
from benchmarks import thresholds
from benchmarks.threshold_comparisons import Compared, comparison
from benchmarks.threshold_peers import PEERS, band_interval, crossing_interval, students_interval
from benchmarks.threshold_realisations import FAMILIES, Drawn, Found, locate
from benchmarks.threshold_replay import Replayed, replays, trained_cells
from benchmarks.threshold_tables import Setting, row_of
from sweeps.plan.cells import Point
from tests.analysis.conftest import member_row

DRAWS = np.random.default_rng(5).random(40_000)
FINE = tuple(np.linspace(0.5, 1.0, 26).round(2).tolist())


def drawn(family="normal", run=0, scatter=0.08):
    return Drawn(FAMILIES[family], scatter, [0, 0, run])


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_its_median_at_0_and_scale_1(family):
    quantile = FAMILIES[family].quantile
    assert quantile(np.array([0.5])) == pytest.approx(0, abs=1e-12)
    standard = quantile(DRAWS)
    error = 0.5 / np.sqrt(DRAWS.size)
    assert np.mean(standard < 0) == pytest.approx(0.5, abs=4 * error)
    tolerance = 0.2 if family == "student-3" else 0.02
    assert standard.std() == pytest.approx(1, abs=tolerance)


def test_skewed_families_lean_to_the_side_that_they_are_named_for():
    assert FAMILIES["skewed-left"].quantile(DRAWS).mean() < -0.1
    assert FAMILIES["skewed-right"].quantile(DRAWS).mean() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_half_of_the_realisations_are_active_at_the_median(family):
    realisations = drawn(family)
    active = [realisations.is_active(realisations.median, seed) for seed in range(2000)]
    assert np.mean(active) == pytest.approx(0.5, abs=0.045)
    assert realisations.members == 2000


def test_a_few_members_are_on_the_wrong_side_and_stay_there():
    first, second = (drawn("wrong-side", scatter=1e-6) for _ in range(2))
    points = [Point(first.median - 0.1, seed) for seed in range(2000)]
    values = [first.order_parameter(point) for point in points]
    assert 1 - np.mean(values) == pytest.approx(0.03, abs=0.015)
    assert values[::-1] == [second.order_parameter(point) for point in reversed(points)]


def test_a_seed_has_one_threshold_whatever_was_asked_for_before():
    forward, backward = drawn(), drawn()
    thresholds = [forward.threshold(seed) for seed in (0, 300, 1000)]
    assert thresholds == [backward.threshold(seed) for seed in (1000, 300, 0)][::-1]
    assert len({*thresholds, drawn(run=1).threshold(0)}) == 4


def test_the_search_covers_the_median_of_every_family():
    cases = [drawn(family, run) for family in FAMILIES for run in range(8)]
    row = row_of((locate(realisations, 0.05, 400), realisations.median) for realisations in cases)
    assert row.coverage >= 0.85
    assert 27 <= row.members <= 90
    assert abs(row.bias[0]) < 0.015


def test_a_row_says_what_the_searches_say():
    searches = [
        (Found(20, True, 0.6, 0.8, 0.75), 0.7),
        (Found(30, True, 0.6, 0.8, 0.75), 0.85),
        (Found(90, False, 0.6, 0.9, 0.75), 0.8),
        (Found(90, False), 0.3),
    ]
    row = row_of(searches)
    assert row.covered == [True, False, True, False]
    assert row.costs == [20, 30, np.inf, np.inf]
    assert row.members == np.inf
    assert row.errors == pytest.approx([0.05, -0.1, -0.05])


def test_no_interval_covers_nothing_and_a_bound_what_lies_beyond_it():
    assert not Found(90, False).covers(0.7)
    assert Found(90, False, low=0.9).covers(0.95)
    assert not Found(90, False, low=0.9).covers(0.85)


class Counting(Drawn):
    """Writes down each member that it trains."""

    trained: list[Point]

    def order_parameter(self, point):
        self.trained = [*getattr(self, "trained", []), point]
        return super().order_parameter(point)


@pytest.mark.parametrize("way", thresholds.WAYS)
def test_each_way_counts_what_it_trains_and_does_the_same_again(way):
    first, second = (Counting(FAMILIES["normal"], 0.05, [0, 0, 3]) for _ in range(2))
    result = thresholds.WAYS[way](first, 0.05, 400)
    assert result.members == len(first.trained) == len(set(first.trained))
    assert result == thresholds.WAYS[way](second, 0.05, 400)
    assert first.trained == second.trained
    assert result.low < result.critical_value < result.high
    assert result.is_reached == (result.high - result.low <= 0.1 + 1e-12)
    assert result.low - 0.1 < first.median < result.high + 0.1


@pytest.mark.parametrize("way", thresholds.WAYS)
def test_no_way_trains_much_more_than_it_may(way):
    result = thresholds.WAYS[way](drawn(), 0.002, 60)
    assert not result.is_reached
    assert result.cost == np.inf
    most = {"grid": 3 * 301, "refine": 200}.get(way, 72)  # these two need three seeds for an interval
    assert 60 <= result.members <= most


def test_the_bootstrap_finds_the_crossing_and_its_width():
    rho = np.linspace(0.4, 1.0, 61)
    dice = np.random.default_rng(0)
    low, high = crossing_interval(rho, (rho < 0.745).astype(float), dice)
    assert 0.74 <= low < high <= 0.75
    low, high = crossing_interval(rho, np.clip(0.5 - (rho - 0.745) / 0.4, 0, 1), dice)
    assert 0.62 < low < 0.745 < high < 0.87


def test_a_band_ends_where_means_are_no_longer_sure():
    means = {0.4: 1.0, 0.5: 0.9, 0.6: 0.6, 0.7: 0.4, 0.8: 0.2, 1.0: 0.0}
    errors = {0.4: 0.0, 0.5: 0.2, 0.6: 0.2, 0.7: 0.2, 0.8: 0.2, 1.0: 0.0}
    assert band_interval(means, errors) == (0.5, 0.8)
    assert band_interval({0.4: 1.0, 1.0: 0.0}, {0.4: np.inf, 1.0: np.inf}) == (0.4, 1.0)


def test_students_interval_is_that_of_the_textbook():
    middles = np.array([0.70, 0.76, 0.82, 0.74])
    seeds = [seed_threshold(i, [m - 1e-6, m + 1e-6], [1.0, 0.0], 0.1) for i, m in enumerate(middles)]
    lost = seed_threshold(9, [0.4, 1.0], [1.0, 1.0], 0.1)
    expected = stats.t(3, middles.mean(), stats.sem(middles)).interval(0.95)
    assert students_interval([*seeds, lost]) == pytest.approx(expected, abs=1e-6)
    assert students_interval([seeds[0], lost]) is None


# Comparisons


@pytest.mark.parametrize(("difference", "verdict"), [(0.15, "higher"), (-0.15, "lower")])
def test_cells_that_differ_are_told_apart(difference, verdict):
    """Far apart against the scatter: each run says so, well before all members are used."""
    setting = Setting(0.05, 0.05)
    runs = [comparison(setting, difference, None, 200, 0, "uniform", run) for run in range(3)]
    assert [run.estimate.verdict for run in runs] == [verdict] * 3
    assert all(60 <= run.members < 400 for run in runs)


def test_cells_that_are_alike_are_trained_until_that_is_known():
    setting = Setting(0.05, 0.05)
    without, within = (comparison(setting, 0.0, margin, 120, 0, "normal", 1) for margin in (None, 0.1))
    assert (without.estimate.verdict, without.members) == ("undecided", 240)
    assert within.estimate.verdict == "alike"
    assert within.members < without.members


def test_a_difference_outside_the_interval_is_not_covered():
    estimate = Comparison(0.1, 0.05, 0.15, 0.01, None, "higher")
    assert Compared(0.06, estimate, 90).is_covered
    assert not Compared(0.04, estimate, 90).is_covered
    assert not Compared(0.0, Comparison(), 90).is_covered


# Replays


def write_members(path, missing=()):
    """Write a members table of 60 seeds whose thresholds scatter by 0.05 about 0.8; return these."""
    thresholds = 0.8 + 0.05 * np.random.default_rng(11).standard_normal(60)
    rows = [
        member_row((4, 4), seed, rho, 2.0 if rho < thresholds[seed] else 0.01)
        for seed in range(60)
        for rho in FINE
        if (rho, seed) not in missing
    ]
    pq.write_table(table_of(rows, MEMBERS), path)
    return thresholds


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "members.parquet"
    return path, write_members(path)


def test_replays_cover_the_median_of_all_seeds(table):
    path, realised = table
    (cell,) = trained_cells(path, "kl_top")
    assert cell.median == pytest.approx(np.median(realised), abs=0.011)
    assert cell.coarse == (0.5, 0.62, 0.74, 0.88, 1.0)
    results = list(replays(cell, 0.05, 30, seed=0))
    assert sum(result.covers(cell.median) for result in results) >= 27
    assert all(result.is_reached for result in results)
    assert len({result.critical_value for result in results}) > 10
    assert results[:5] == list(replays(cell, 0.05, 5, seed=0))


def test_a_replay_uses_each_seed_once_and_ends_with_the_last(table):
    path, _ = table
    (cell,) = trained_cells(path, "kl_top")
    (result,) = replays(cell, 0.001, 1, seed=0)
    assert not result.is_reached
    assert result.members == 15 + 57
    replay = Replayed(cell, [0, 0])
    orders = [replay.order_parameter(Point(0.8, seed)) for seed in range(60)]
    assert sorted(orders) == sorted(cell.values[Point(0.8, seed)] for seed in range(60))
    assert replay.order_parameter(Point(0.8049, 7)) == replay.order_parameter(Point(0.8, 7))


def test_a_table_with_holes_is_refused(tmp_path, capsys):
    path = tmp_path / "members.parquet"
    write_members(path, missing={(FINE[3], 5)})
    assert thresholds.main(["--replay", str(path), "--runs", "2"]) == 2
    assert "each at every rho" in capsys.readouterr().err
    assert thresholds.main(["--replay", str(tmp_path / "none")]) == 2


# The command


def test_it_prints_a_line_a_family_and_the_pooled_ones(capsys):
    arguments = ["--runs", "3", "--workers", "1", "--settings", "0.08:0.06"]
    arguments += ["--families", "normal", "uniform"]
    assert thresholds.main([*arguments, "--peers", "grid", "bisection", "--most", "300"]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"^normal +[01]\.\d{3} ± \d\.\d{3} +\d+ \(\d+\) +[+-]0\.\d{4} ± 0\.\d{4}$", printed, re.M
    )
    assert re.search(r"^pooled +[01]\.\d{3} ± \d\.\d{3} +\d+ +[+-]0\.\d{4} ± 0\.\d{4}$", printed, re.M)
    assert re.search(r"^uniform( +>?\d+, [01]\.\d{2}){3}$", printed, re.M)
    assert re.search(r"^members / locate +1\.0 +>?[\d.]+ +>?[\d.]+$", printed, re.M)
    assert list(PEERS)[:2] == ["grid", "refine"]
    assert "refine" not in printed


def test_the_runs_are_those_of_the_key_whatever_else_is_simulated():
    setting = Setting(0.08, 0.06)
    alone = thresholds.simulate(setting, ["locate"], 300, 0, "uniform", 4)
    beside = thresholds.simulate(setting, ["bisection", "locate"], 300, 0, "uniform", 4)
    assert alone.median == beside.median
    assert alone.results["locate"] == beside.results["locate"]
    assert thresholds.simulate(setting, ["locate"], 300, 1, "uniform", 4).median != alone.median


def test_it_prints_a_table_a_difference(capsys):
    arguments = ["--comparisons", "0", "0.2", "--runs", "2", "--workers", "1", "--most", "40"]
    assert thresholds.main([*arguments, "--settings", "0.05:0.06", "--families", "normal", "uniform"]) == 0
    first, second = capsys.readouterr().out.split("difference 0.2")
    assert first.startswith("2 runs a family, at most 40 members a cell, no margin")
    shares = r" +[01]\.\d{3}" * 5
    assert re.search(rf"^pooled{shares} +\d+$", first, re.M)
    assert re.search(r"^pooled +0\.000 +1\.000 +0\.000 +0\.000 +[01]\.\d{3} +\d+$", second, re.M)


def test_it_prints_replays(table, capsys):
    path, _ = table
    assert thresholds.main(["--replay", str(path), "--runs", "5", "--half-width", "0.06"]) == 0
    printed = capsys.readouterr().out
    assert "60 seeds at 26 values of rho" in printed
    assert re.search(
        r"in the interval of [45] \(\d+%\); members \d+; half-width reached in 5$", printed, re.M
    )


@pytest.mark.parametrize("text", ["0.08", "a:b", "0:0.05", "0.08:-1"])
def test_a_setting_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        thresholds.main(["--settings", text])
    assert "--settings" in capsys.readouterr().err
