"""The figures show what the tables say, stay legible and are reproducible to the byte."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.charts import cells as cells_module
from analysis.charts import data
from analysis.charts.cells import chart_cells
from analysis.charts.curves import order_parameters
from analysis.charts.data import rows_of
from analysis.charts.layout import COLUMNS, titles
from analysis.charts.render import drawing
from analysis.charts.training import training
from analysis.figures import main, write_figures
from analysis.results import Results
from analysis.tables.files import read_history, read_members, write_table
from tests.analysis.conftest import RHO, legend, panels, titles_of

ROOT = Path(__file__).parents[3]
NAMES = [
    f"{stem}.{kind}" for stem in ("order_parameters", "training", "phase_diagram") for kind in ("png", "svg")
]
SEVEN = {
    (4, 4): [1.2, 1.3],
    (8, 8): [0.88, 0.84, 0.91],
    (10, 10): [0.92, 0.8],
    (16, 16): [0.73, 0.76],
    (8, 8, 8): [0.88],
    (40, 40, 40, 40): [0.62, 0.64, 0.6],
    (64, 64): [0.3, 0.2],
}


@pytest.fixture
def cells_of(make_run):
    """Return a reader of the cells of a run with these members and keys of its space."""
    return lambda members, **keys: chart_cells([Results(make_run(members, **keys))])


def layers(panel, **mark):
    """Return the layers of a panel whose marks have these properties."""
    return [layer for layer in panel["layer"] if mark.items() <= layer["mark"].items()]


def test_there_is_a_panel_a_cell_and_each_says_its_threshold(make_members, cells_of):
    cells = cells_of(make_members(SEVEN))
    chart = order_parameters(cells)
    found = titles_of(chart)
    assert len(found) == len(SEVEN)
    assert found[0] == ["4,4", "always active, ρ_c above 1.00"]
    assert found[4][0] == "8,8,8"
    assert found[4][1].startswith("ρ_c = 0.8")
    assert found[6][1].startswith("always collapsed, ρ_c below 0.")
    assert chart.spec["title"]["text"].startswith("digits mlp \u00b7 relu \u00b7 3000 steps")
    parts = [layers(panel, type="point")[0]["encoding"] | panel["encoding"] for panel in panels(chart)]
    for axis in ("x", "y"):
        assert len({str(encoding[axis]["scale"]) for encoding in parts}) == 1, axis
    assert titles_of(training(cells)) == found


def test_the_band_is_the_interval_and_the_upright_is_rho_c(make_members, cells_of):
    cells = cells_of(make_members(SEVEN))
    chart = order_parameters(cells)
    drawn = rows_of(chart.tables["thresholds"])
    for panel, cell, row in zip(panels(chart), cells, drawn, strict=True):
        own = cell.rows[0]
        assert (row["critical_value"] is None) == (own["status"] != "transition")
        if row["critical_value"] is not None:
            ends = own["critical_low"], own["critical_high"] or RHO[-1]
            assert (row["low"], row["high"]) == pytest.approx(ends, rel=1e-5), "open: to the last value"
        (band,) = layers(panel, type="rect")
        place = band["encoding"]
        assert (place["x"]["field"], place["x2"]["field"]) == ("low", "high")
        assert {"y", "y2"}.isdisjoint(place), "as high as the panel"
        assert f"datum.cell == {row['cell']} && datum.order == 'kl_top'" in band["transform"][0]["filter"]
        fields = [part["encoding"].get("x", {}).get("field") for part in layers(panel, type="rule")]
        assert fields == [None, "critical_value", "exact"]
    assert sum(row["critical_value"] is not None for row in drawn) == 5
    assert "95% interval" in legend(chart)


def test_seeds_mean_level_and_probes_are_drawn(make_members, cells_of):
    probe = make_members({(8, 8): [0.8] * 4}, rho=[0.83]).slice(3)
    members = pa.concat_tables([make_members({(8, 8): [0.88, 0.84, 0.9]}), probe])
    chart = order_parameters(cells_of(members))
    rows = rows_of(chart.tables["members"])
    assert sum(not row["curve"] for row in rows) == 1
    mean = [row["value"] for row in rows_of(chart.tables["mean-kl_top_nats"])]
    own = [[row["kl_top_nats"] for row in rows if row["seed"] == seed] for seed in range(3)]
    assert mean == pytest.approx(np.mean(own, axis=0), abs=1e-4)
    (panel,) = panels(chart)
    bold, thin = layers(panel, type="line")
    assert bold["mark"]["strokeWidth"] > 2 * thin["mark"]["strokeWidth"]
    assert rows_of(chart.tables["thresholds"])[0]["active_from"] == 0.1
    assert legend(chart) == ["one seed", "probes", "mean of seeds", "ρ_c", "95% interval", "active from here"]


def test_bounds_of_an_estimate_are_a_shade_around_it(make_members, cells_of):
    members = make_members(
        {(8, 8): [0.88, 0.84]},
        information_top_nats=1.0,
        information_top_lower_nats=0.8,
        information_top_upper_nats=1.3,
    )
    chart = order_parameters(cells_of(members, active_from={"kl_top": 0.1, "information_top": 0.1}))
    information, kl = panels(chart)  # the keys of the made space are sorted
    assert not layers(kl, type="area")
    (shade,) = layers(information, type="area")
    assert shade["encoding"]["y2"] == {"field": "upper"}
    means = rows_of(chart.tables["mean-information_top_nats"])
    assert {(row["lower"], row["value"], row["upper"]) for row in means} == {(0.8, 1.0, 1.3)}
    assert "bounds of the estimate" in legend(chart)


@pytest.mark.parametrize("how", ["diverged", "failed"])
def test_lost_members_are_marked_above_the_curves_with_an_entry_in_the_legend(make_members, cells_of, how):
    cells = {(8, 8): [0.88, 0.84], (16, 16): [0.7]}
    whole = make_members(cells)
    lost = make_members(cells, **{how: [((8, 8), 0, 0.5), ((8, 8), 1, 0.55)]})
    charts = [order_parameters(cells_of(members)) for members in (whole, lost)]
    entries = [legend(chart) for chart in charts]
    assert how not in entries[0]
    assert entries[1] == [*entries[0], how]
    rows = [row for row in rows_of(charts[1].tables["members"]) if row["status"] != "completed"]
    assert [(row["cell"], row["x"], row["status"]) for row in rows] == [(0, 0.5, how), (0, 0.55, how)]
    marks = panels(charts[1])[0]["layer"][-1]
    assert marks["encoding"]["y"] == {"value": 5}
    top = [chart.spec for chart in charts]
    assert str(top[0]) != str(top[1]), "there is room above the curves"


def test_diverged_and_failed_members_are_told_apart(make_members, cells_of):
    lost = {"failed": [((16, 16), 0, 0.6), ((8, 8), 0, 0.5)], "diverged": [((8, 8), 1, 0.5)]}
    chart = order_parameters(cells_of(make_members({(16, 16): [0.7], (8, 8): [0.88, 0.84]}, **lost)))
    assert legend(chart)[-2:] == ["diverged", "failed"]
    shape = panels(chart)[0]["layer"][-1]["encoding"]["shape"]
    assert shape["condition"]["value"] != shape["value"]


def test_an_exact_threshold_is_dashed(make_members, cells_of):
    chart = order_parameters(cells_of(make_members({(1,): [0.87]}, critical_exact=0.866)))
    assert chart.tables["thresholds"]["exact"] == [0.866]
    (panel,) = panels(chart)
    _, critical_value, exact = layers(panel, type="rule")
    assert "strokeDash" in exact["mark"]
    assert "strokeDash" not in critical_value["mark"]
    assert "ρ_c exact" in legend(chart)


@pytest.mark.parametrize("how", ["diverged", "failed"])
def test_a_cell_of_lost_members_only_is_still_drawn(make_members, make_run, how):
    rho = (0.5, 0.7)
    members = make_members({(8, 8): [0.6]}, rho=rho, **{how: [((8, 8), 0, r) for r in rho]})
    run = make_run(members)
    write_table(read_history(run).slice(0, 0), run / "history.parquet")
    cells = chart_cells([Results(run)])
    (title,) = titles_of(order_parameters(cells))
    assert title[-1].endswith("unresolved")
    assert layers(panels(training(cells))[0], text="no evaluations")
    assert [path.name for path in write_figures(run)] == NAMES[:4]


def test_an_order_parameter_that_no_member_has_is_an_empty_panel(make_members, cells_of):
    members = make_members({(8, 8): [0.7]}, information_top_nats=None)
    chart = order_parameters(cells_of(members, active_from={"kl_top": 0.1, "information_top": 0.1}))
    assert len(panels(chart)) == 2
    assert not chart.tables["mean-information_top_nats"]
    assert "bounds of the estimate" not in legend(chart)
    assert drawing(chart.to_dict()).startswith("<svg")


def test_training_lines_are_coloured_by_rho_and_dashed_by_seed(make_members, cells_of):
    cells = cells_of(make_members({(8, 8): [0.88, 0.84]}, rho=(0.5, 0.6, 0.7, 0.8)))
    chart = training(cells)
    rows = rows_of(chart.tables["history"])
    assert len(rows) == 8 * 7
    last = {row["member"]: row["kl_top_nats"] for row in rows if row["step"] == 3000}
    history = [row for row in cells[0].results.history.to_pylist() if row["step"] == 3000]
    assert last == pytest.approx({row["member_id"]: row["kl_top_nats"] for row in history}, rel=1e-5)
    (panel,) = panels(chart)
    (line,) = layers(panel, type="line")
    assert line["encoding"]["color"]["field"] == "x"
    assert line["encoding"]["strokeDash"]["scale"]["domain"] == [0, 1]
    assert legend(chart) == ["seed 0", "seed 1", "active from here"]


def test_more_seeds_than_dashes_are_drawn_alike(make_members, cells_of):
    chart = training(cells_of(make_members({(8, 8): [0.88, 0.84, 0.8, 0.78, 0.76]}, rho=(0.5, 0.6))))
    (line,) = layers(panels(chart)[0], type="line")
    assert "strokeDash" not in line["encoding"]
    assert len(set(chart.tables["history"]["member"])) == 10


def test_the_training_of_many_members_is_bounded_by_whole_seeds(make_members, cells_of, monkeypatch):
    monkeypatch.setattr(data, "MOST_LINES", 8)
    chart = training(cells_of(make_members({(8, 8): [0.88, 0.84, 0.8]}, rho=(0.5, 0.6, 0.7, 0.8))))
    assert set(chart.tables["history"]["seed"]) == {0, 1}


def test_a_run_that_does_not_watch_the_kl_has_figures(make_members, make_run):
    run = make_run(
        make_members({(8, 8): [0.88, 0.84]}, active_units_top=4), active_from={"active_units_top": 1}
    )
    assert [path.name for path in write_figures(run)] == NAMES


@pytest.mark.parametrize("width", [145, 185, 220])
def test_titles_fit_over_their_panels(width):
    names = ["omniglot convolutional 10,10,10,10 budget 100000", "mnist 4,4"]
    estimates = ["ρ_c = 0.73 [0.70, 0.76]", "always active, ρ_c above 1.00"]
    for lines in titles(names, estimates, width):
        assert len(lines) > 1
        assert all(len(line) * 4.3 <= 1.05 * width for line in lines)
    assert titles(["8,8"], ["ρ_c = 0.73"], width) == [["8,8 \u00b7 ρ_c = 0.73"]]


def test_letters_are_drawn_with_subscripts(make_members, cells_of):
    drawn = drawing(order_parameters(cells_of(make_members({(8, 8): [0.88, 0.84]}))).to_dict())
    assert not re.findall(r">[^<>]*ρ_c[^<>]*<", drawn)
    assert len(re.findall(r'ρ<tspan dy="0.25em" font-size="75%">c</tspan>', drawn)) == 2, "title and legend"


def test_the_outermost_panels_only_have_labels(make_members, cells_of):
    shown = panels(order_parameters(cells_of(make_members(SEVEN))))
    below = [panel["encoding"]["x"]["axis"]["labels"] for panel in shown]
    assert below == [False, False, False, False, True, True, True]
    left = [layers(panel, type="point")[0]["encoding"]["y"]["axis"].get("labels", True) for panel in shown]
    assert left == [place % COLUMNS == 0 for place in range(len(SEVEN))]


@pytest.mark.process
def test_files_are_the_same_to_the_byte_in_another_process(made_run, tmp_path):
    here = write_figures(made_run)
    assert [path.name for path in here] == NAMES
    assert {path.parent for path in here} == {made_run / "figures"}
    done = subprocess.run(
        [sys.executable, ROOT / "analysis" / "figures.py", "run", "--out", "elsewhere"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "no such backend"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:-1] == [f"wrote elsewhere/{name}" for name in NAMES]
    for name in NAMES:
        content = (made_run / "figures" / name).read_bytes()
        assert content == (tmp_path / "elsewhere" / name).read_bytes()
        assert content[:4] == (b"\x89PNG" if name.endswith("png") else b"<svg")


def test_drawing_again_replaces_the_files(made_run):
    assert write_figures(made_run) == write_figures(str(made_run / "members.parquet"))
    assert sorted(p.name for p in (made_run / "figures").iterdir()) == sorted(NAMES)


def test_figures_show_so_many_cells_and_say_how_many_there_are(made_run, monkeypatch):
    for draw in (order_parameters, training):
        assert "of 2 cells" not in draw(chart_cells([Results(made_run)])).spec["title"]["text"]
    monkeypatch.setattr(cells_module, "MOST_CELLS", 1)
    for draw in (order_parameters, training):
        heading = draw(chart_cells([Results(made_run)])).spec["title"]["text"]
        assert heading.endswith(", the first 1 of 2 cells")


def test_a_figure_says_how_many_members_it_leaves_out(make_members, cells_of, monkeypatch):
    monkeypatch.setattr(data, "MOST_MEMBERS", 2 * len(RHO))
    chart = order_parameters(cells_of(make_members({(8, 8): [0.88, 0.84, 0.8]})))
    assert chart.spec["title"]["text"].endswith(", 22 of 33 members")


def test_problems_of_both_tables_come_in_one_message_before_anything_is_written(made_run, capsys):
    pq.write_table(read_members(made_run).drop_columns(["value"]), made_run / "members.parquet")
    write_table(read_history(made_run), made_run / "history.parquet")
    (made_run / "history.parquet").write_text("no parquet")
    assert main([str(made_run)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "columns missing: value" in message
    assert "history.parquet is not a readable parquet file" in message
    assert not (made_run / "figures").exists()


def test_a_missing_run_is_said_once(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("no such run") == 1


def test_the_level_of_active_members_is_drawn_at_its_value_in_training(cells_of, make_members):
    """With the level as a datum, Vega-Lite drops it without a word."""
    drawn = drawing(training(cells_of(make_members({(8, 8): [0.88]}))).to_dict())
    lines = re.findall(r'<line [^>]*stroke-dasharray="1.5,2.5"', drawn)
    assert len(lines) == 2, "in the panel and in the legend"


def test_the_intervals_of_a_runs_figures_are_of_its_own_confidence(made_run):
    settings = (made_run / "space.yaml").read_text()
    (made_run / "space.yaml").write_text(settings.replace("confidence: 0.95", "confidence: 0.68"))
    write_figures(made_run)
    drawn = (made_run / "figures" / "order_parameters.svg").read_text()
    assert "68% interval" in drawn
    assert "95%" not in drawn
