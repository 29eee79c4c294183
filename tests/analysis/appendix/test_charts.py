"""The figures beside the paper's."""

import math
from itertools import product

import pytest

from analysis.appendix.exhibits import controls, datasets, figure4, figure5, figure6, table6
from analysis.appendix.loading import load
from analysis.charts.data import rows_of
from analysis.paper import main
from tests.analysis.conftest import panels, titles_of

SIZES = (40,) * 4


def drawn(module, folder):
    return module.EXHIBIT.draw(load(module.EXHIBIT, folder))


def test_a_table_s_figure_shows_its_numbers(table6_run):
    chart = drawn(table6, table6_run)
    published, ours = (rows_of(chart.tables[name]) for name in ("published", "ours"))
    first = {round(row["place"]): row["value"] for row in published if row["panel"] == 0}
    assert first[0] == 0.82
    (mean,) = [row["value"] for row in ours if row["panel"] == 0 and round(row["place"]) == 0]
    assert mean == 2.0
    labels = [row.label for row in table6.TABLE.rows if row.values]
    axis = panels(chart)[0]["layer"][0]["encoding"]["y"]["axis"]
    assert all(f'"{label}"' in axis["labelExpr"] for label in labels if label.isascii())
    assert axis["values"] == list(range(len(labels)))
    active = [row["value"] for row in published if row["panel"] == 1]
    assert active == [1, 1, 2, 1, *[40] * 4, 38, 38]  # none for rows of ours only
    assert sum(row["panel"] == 2 for row in ours) == 2


def test_figure_4_has_both_curves_and_their_range(every_run):
    chart = drawn(figure4, every_run / "figure4-quick")
    rows = rows_of(chart.tables["variances"])
    plain, smoothed = ([row for row in rows if row["kind"] == kind] for kind in ("plain", "smoothed"))
    assert [row["mean"] for row in plain] == pytest.approx([math.sqrt(6)] * 3, rel=1e-5)
    assert [row["mean"] for row in smoothed] == pytest.approx([1] * 3)
    assert [row["step"] for row in plain] == [0, 100, 200]
    assert all(row["low"] < row["mean"] < row["high"] for row in plain)
    (panel,) = panels(chart)
    assert {part["encoding"]["y"]["scale"]["type"] for part in panel["layer"]} == {"log"}
    assert panel["layer"][0]["mark"]["opacity"] > 0


@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_figure_4_has_a_panel_a_member_kind_whose_title_has_room(
    paper_member, write_run, gradient_history, members
):
    kinds = list(product(("smoothed-generative+likelihood", ""), (0.8, 1.0)))[:members]
    rows = [
        paper_member("figure4-quick", SIZES, (1, 3, 9, 17), rho=rho, cell_id=f"cell {label}",
                     cell=f"mnist mlp 40,40,40,40 {label}", gradient_samples=100, gradient_rho=0.8)
        for label, rho in kinds
    ]  # fmt: skip
    chart = drawn(figure4, write_run("figure4-quick", rows, gradient_history(rows)))
    assert len(panels(chart)) == members
    for panel in panels(chart):
        first, second = panel["title"]["text"]
        assert second.startswith("trained with")
        assert max(len(first), len(second)) * 4.6 <= panel["width"] + 30
    assert max(len(row["hconcat"]) for row in chart.spec["vconcat"][0]["vconcat"]) <= 2


def test_figures_5_and_6_have_a_panel_a_depth_or_architecture(every_run):
    by_depth = drawn(figure5, every_run / "figure5-quick")
    assert titles_of(by_depth) == ["3 layers", "4 layers"]
    last = panels(by_depth)[-1]["layer"]
    texts = [part["mark"]["text"] for part in last if part["mark"]["type"] == "text"]
    assert texts == ["10,10,10,10", "20,20,20,20 (always collapsed)"]
    by_architecture = drawn(figure6, every_run / "figure6-quick")
    assert titles_of(by_architecture) == ["mlp", "conv"]
    for chart in (by_depth, by_architecture):
        highest = max(chart.tables["seeds"]["kl"])
        top = panels(chart)[0]["encoding"]["y"]["scale"]["domain"][1]
        marks = chart.tables["thresholds"]["kl"]
        assert all(highest < height < top for height in marks)


@pytest.mark.parametrize("module", [datasets, figure5, figure6, controls])
def test_a_run_that_does_not_watch_the_kl_is_told_without_a_figure(make_members, write_run, module, capsys):
    name = module.EXHIBIT.name
    cells = {(8,) * 3: [0.84, 0.87], (16,) * 3: [0.8, 0.7]}
    rows = make_members(cells, space=f"{name}-quick", active_units_top=4).to_pylist()
    folder = write_run(f"{name}-quick", rows)
    space = (folder / "space.yaml").read_text()
    (folder / "space.yaml").write_text(space.replace("kl_top: 0.1", "active_units_top: 1"))
    assert main([name, str(folder)]) == 0
    assert "wrote" not in capsys.readouterr().out
