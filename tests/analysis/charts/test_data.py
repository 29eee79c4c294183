"""The data of the charts: each member once, bounded, with means and thresholds of all."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from analysis.charts import data, looks
from analysis.charts.cells import chart_cells
from analysis.charts.control import names_of
from analysis.charts.data import PROBES, Quantity, drawn_tables, near_histories, quantities, rows_of
from analysis.charts.phases import phases
from analysis.results import Results
from analysis.statistics.curves import curves, mean_curve
from analysis.tables.files import read_members
from ouvae.declared import ORDER_PARAMETERS
from tests.analysis.conftest import RHO

CELLS = {(8, 8): [0.88, 0.84, 0.91], (16, 16): [0.73, 0.76, 0.70]}


@pytest.fixture
def with_probes(make_run, make_members):
    """Return a run of two cells of three seeds, in which the first has five probes besides."""
    probes = make_members({(8, 8): [0.8] * 8}, rho=[0.83]).slice(3)
    return make_run(pa.concat_tables([make_members(CELLS), probes]))


def drawn_of(run):
    cells = chart_cells([Results(run)])
    return cells, drawn_tables(cells, quantities(cells), names_of(cell.rows[0] for cell in cells))


def test_each_member_is_there_once_with_its_numbers(with_probes):
    _, drawn = drawn_of(with_probes)
    assert drawn.drawn == drawn.members == len(rows_of(drawn.tables["members"]))
    own = {row["member_id"]: row for row in read_members(with_probes).to_pylist()}
    for row in rows_of(drawn.tables["members"]):
        member = own.pop(row["member"])
        assert (row["seed"], row["x"]) == (member["seed"], pytest.approx(member["value"]))
        assert [row["kl_nats_1"], row["kl_nats_2"]] == pytest.approx(member["kl_nats"], rel=1e-5)
        assert (row["active_units_2"], row["elbo_nats"]) == (4, -22.4)
        assert drawn.groups[row["group"]] == (f"seed {row['seed']}" if row["seed"] < 3 else PROBES)
    assert not own


def test_what_is_too_much_is_left_out_by_whole_seeds_and_curves_come_first(with_probes, monkeypatch):
    monkeypatch.setattr(data, "MOST_MEMBERS", 2 * (2 * len(RHO) + 3))
    _, drawn = drawn_of(with_probes)
    assert drawn.members == 6 * len(RHO) + 5
    counts = Counter((row["cell"], row["seed"]) for row in rows_of(drawn.tables["members"]))
    assert counts == {(cell, seed): len(RHO) for cell in (0, 1) for seed in (0, 1)} | {
        (0, seed): 1 for seed in (3, 4, 5)
    }


def test_of_a_seed_that_is_too_much_by_itself_each_kth_is_drawn(make_run, make_members, monkeypatch):
    monkeypatch.setattr(data, "MOST_MEMBERS", 6)
    _, drawn = drawn_of(make_run(make_members({(8, 8): [0.88]})))
    assert drawn.tables["members"]["x"] == pytest.approx(RHO[::2])


def test_means_and_thresholds_are_of_all_members(with_probes, monkeypatch):
    monkeypatch.setattr(data, "MOST_MEMBERS", 2)
    cells, drawn = drawn_of(with_probes)
    by_cell = curves(read_members(with_probes))
    for place, cell in enumerate(cells):
        rho, values = mean_curve(by_cell[cell.cell_id])
        for name in ("kl_top_nats", "kl_nats_2"):  # two layers: the term of the second is the KL of the top
            means = rows_of(drawn.tables[f"mean-{name}"])
            found = [(row["x"], row["value"]) for row in means if row["cell"] == place]
            assert np.array(found) == pytest.approx(np.array([rho, values]).T, rel=1e-5)
        assert drawn.tables["thresholds"]["critical_value"][place] == pytest.approx(
            cell.rows[0]["critical_value"], rel=1e-5
        )


def test_a_mean_of_many_values_is_thinned_and_keeps_its_ends(with_probes, monkeypatch):
    _, whole = drawn_of(with_probes)
    monkeypatch.setattr(data, "MOST_POINTS", 4)
    cells, thinned = drawn_of(with_probes)
    every, some = (rows_of(one.tables["mean-kl_top_nats"]) for one in (whole, thinned))
    assert all(row in every for row in some)
    for place in range(len(cells)):
        own = [row["x"] for row in some if row["cell"] == place]
        assert (len(own), own[0], own[-1]) == (4, RHO[0], RHO[-1])


def test_training_is_drawn_of_the_members_nearest_to_the_threshold(with_probes):
    cells, _ = drawn_of(with_probes)
    rows = rows_of(near_histories(cells))
    assert min(row["step"] for row in rows) > 0
    for place, cell in enumerate(cells):
        near = {row["member"]: row["x"] for row in rows if row["cell"] == place}
        assert len(near) == data.NEAR_MEMBERS
        members = [row for row in read_members(with_probes).to_pylist() if row["cell_id"] == cell.cell_id]
        away = sorted(abs(row["rho"] - cell.rows[0]["critical_value"]) for row in members)
        assert sorted(abs(rho - cell.rows[0]["critical_value"]) for rho in near.values()) == pytest.approx(
            away[: len(near)]
        )


def test_the_maps_are_the_means_over_rho_and_size(with_probes):
    cells, drawn = drawn_of(with_probes)
    (found,) = phases(cells, ORDER_PARAMETERS["kl_top"], drawn.tables, names_of(cells[0].rows))
    assert sorted(found.sizes["size"]) == [8, 16]
    means = rows_of(drawn.tables["mean-kl_top_nats"])
    assert list(found.maps) == [2]
    rows = rows_of(found.maps[2])
    assert [(row["cell"], row["x"], row["value"]) for row in rows] == [
        (row["cell"], row["x"], row["value"]) for row in means
    ]
    assert all(row["low"] <= row["x"] <= row["high"] for row in rows)


def test_no_two_cells_look_alike():
    found = looks.looks(looks.MOST_CELLS)
    assert found[: len(looks.STYLES)] == list(looks.STYLES)
    assert len(set(found)) == looks.MOST_CELLS


def test_an_undefined_share_is_drawn_where_it_counts(make_run, make_members):
    """As collapsed, for the order parameter; of a layer, not at all."""
    order = ORDER_PARAMETERS["signal_share_top"]
    members = make_members(
        {(8, 8): [0.8]}, rho=[0.5], active_units_top=0, signal_share_top=None, signal_share=[0.5, None]
    )
    assert Quantity(order.metric, "", None, order).values(members) == [0.0]
    assert Quantity("signal_share", "", 1).values(members) == [0.5]
    assert Quantity("signal_share", "", 2).values(members) == [None]
