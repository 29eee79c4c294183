"""The phase diagram: what stands where, of one run and of several."""

import numpy as np
import pytest

from analysis import TableError
from analysis.charts.cells import chart_cells
from analysis.charts.data import rows_of
from analysis.charts.phases import phase_diagram
from analysis.phase_diagram import main, write_phase_diagram
from analysis.results import Results
from ouvae.declared import ORDER_PARAMETERS
from tests.analysis.conftest import legend, panels, titles_of

KL = ORDER_PARAMETERS["kl_top"]
FALLING = {
    (8, 8): [0.9, 0.88, 0.92],
    (16, 16): [0.8, 0.82, 0.78],
    (32, 32): [0.7, 0.72, 0.68],
    (8, 8, 8): [1.3] * 6,
    (16, 16, 16): [0.85, 0.83, 0.87],
}


def diagram(*runs):
    return phase_diagram(chart_cells([Results(run) for run in runs]), KL)


def test_a_line_a_depth_with_the_intervals_of_the_table(make_members, make_run):
    run = make_run(make_members(FALLING), "one")
    chart = diagram(run)
    rows = rows_of(chart.tables["sizes-0"])
    assert [(row["size"], row["depth"]) for row in rows] == [(8, 2), (16, 2), (32, 2), (8, 3), (16, 3)]
    known = {(row["latents"][-1], row["depth"]): row for row in Results(run).thresholds.to_pylist()}
    for row in rows:
        own = known[row["size"], row["depth"]]
        if own["critical_value"] is not None:
            ends = [own["critical_value"], own["critical_low"], own["critical_high"]]
            assert [row["critical_value"], row["low"], row["high"]] == pytest.approx(ends, rel=1e-5)
    assert [row["bound"] for row in rows if row["bound"] is not None] == [1.0]
    top, *maps = panels(chart)
    line, bars, point, arrow = top["layer"]
    assert line["encoding"]["strokeDash"]["scale"]["domain"] == [2, 3]
    assert (bars["encoding"]["y"]["field"], bars["encoding"]["y2"]["field"]) == ("low", "high")
    assert point["encoding"]["shape"]["field"] == "depth"
    assert arrow["mark"]["shape"] == "triangle-up"
    low, high = point["encoding"]["y"]["scale"]["domain"]
    assert 0.6 < low < 0.7
    assert high == 1, "the bound is 1, and there is no larger rho"
    assert [panel["encoding"]["y"]["title"] for panel in maps] == [
        ["2 layers,", "size of z_2"], ["3 layers,", "size of z_3"],
    ]  # fmt: skip
    assert legend(chart) == ["2 layers", "3 layers", "ρ_c lies above"]


def test_the_map_holds_the_mean_curves_and_rho_c(make_members, make_run):
    chart = diagram(make_run(make_members(FALLING), "one"))
    rows = [row for row in rows_of(chart.tables["map-0-2"]) if row["size"] == 8]
    assert rows[0]["value"] == pytest.approx(10 * (0.9 - 0.5), abs=1e-6)
    assert rows[-1]["value"] == 0
    assert {row["critical_value"] for row in rows} == {rows_of(chart.tables["sizes-0"])[0]["critical_value"]}
    edges = np.array([(row["low"], row["high"]) for row in rows])
    assert edges[1:, 0] == pytest.approx(edges[:-1, 1])
    maps = panels(chart)[1:]
    assert len({str(panel["layer"][0]["encoding"]["color"]["scale"]) for panel in maps}) == 1
    assert [panel["layer"][0]["encoding"]["color"]["legend"] is None for panel in maps] == [False, True]


def test_models_stand_in_panels_of_their_own_and_runs_side_by_side(make_members, make_run):
    one = make_run(make_members({(8, 8): [0.9, 0.88]}), "one")
    other = make_members({(8, 8): [0.7, 0.72]}, architecture="conv", cell_id="conv", cell="digits conv 8,8")
    chart = diagram(one, make_run(other, "other"))
    assert titles_of(chart) == ["digits mlp", "digits conv"]


def test_a_model_keeps_a_word_that_reads_none(make_members, make_run):
    members = make_members({(8, 8): [0.9, 0.88]}, dataset="nonesuch", cell="nonesuch mlp 8,8")
    assert titles_of(diagram(make_run(members))) == ["nonesuch mlp"]


def test_a_run_that_watches_another_order_parameter_is_drawn_by_it(make_members, make_run, capsys):
    members = make_members({(8, 8): [0.9, 0.88]}, active_units_top=4)
    run = make_run(members, "one", active_from={"active_units_top": 1})
    assert main([str(run)]) == 0
    assert "wrote" in capsys.readouterr().out


def test_it_is_written_beside_the_run_and_what_cannot_be_drawn_is_one_error(
    make_members, make_run, tmp_path, capsys
):
    run = make_run(make_members(FALLING), "one")
    paths = write_phase_diagram([run])
    assert [path.name for path in paths] == ["phase_diagram.png", "phase_diagram.svg"]
    assert paths[0].parent == tmp_path / "one" / "figures"
    assert main([str(run), "--out", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "phase_diagram.svg").read_bytes() == paths[1].read_bytes()
    assert main([str(run), "--order-parameter", "information_top"]) == 2
    assert "has no threshold of information_top; choose from kl_top" in capsys.readouterr().err
    assert main(["nowhere"]) == 2
    lost = [((8, 8), 0, 0.5)]
    with pytest.raises(TableError, match="no cell has members that count"):
        diagram(make_run(make_members({(8, 8): [0.9]}, rho=[0.5], failed=lost), "lost"))
