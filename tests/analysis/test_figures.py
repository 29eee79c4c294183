"""The figures show what the tables say, stay legible and are reproducible to the byte."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.patches import Rectangle

from analysis import TableError, style
from analysis.figures import main, plot_order_parameters, plot_training, write_figures
from analysis.statistics.rule import Rules
from analysis.statistics.summary import thresholds_table
from analysis.tables.files import read_history, read_members, write_table
from analysis.tables.schema import HISTORY, MEMBERS
from tests.analysis.conftest import RHO, RULE

ROOT = Path(__file__).parents[2]
NAMES = [
    f"{stem}.{kind}" for stem in ("order_parameters", "training", "phase_diagram") for kind in ("png", "svg")
]
LONG_LABEL = "omniglot-{} convolutional {} budget 100000"
SEVEN = {
    (4, 4): [1.2, 1.3],
    (8, 8): [0.88, 0.84, 0.91],
    (10, 10): [0.92, 0.8],
    (16, 16): [0.73, 0.76],
    (8, 8, 8): [0.88],
    (40, 40, 40, 40): [0.62, 0.64, 0.6],
    (64, 64): [0.3, 0.2],
}


def lines(ax, label):
    """The lines of an axes that carry a label."""
    return [line for line in ax.lines if line.get_label() == label]


def bands(ax):
    """The interval bands of an axes."""
    return [p for p in ax.patches if isinstance(p, Rectangle) and "interval" in str(p.get_gid())]


def test_there_is_a_panel_a_cell_and_each_says_its_threshold(make_members, make_history):
    members = make_members(SEVEN)
    thresholds = thresholds_table(members, RULE)
    figure = plot_order_parameters(members, thresholds)
    assert len(figure.axes) == len(SEVEN)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "4,4\nalways active, $\\rho_c$ above 1.00"
    assert titles[4].startswith("8,8,8\n$\\rho_c$ = 0.8")
    assert titles[6].startswith("64,64\nalways collapsed, $\\rho_c$ below 0.")
    assert figure.get_suptitle().startswith("digits mlp \u00b7 relu \u00b7 3000 steps")
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    history = plot_training(make_history(members), thresholds)
    assert len(history.axes) == len(SEVEN) + 1  # and a colour bar


def test_the_band_is_the_interval_and_the_line_is_rho_c(make_members):
    members = make_members(SEVEN)
    thresholds = thresholds_table(members, RULE)
    figure = plot_order_parameters(members, thresholds)
    with_band = 0
    for ax, row in zip(figure.axes, thresholds.to_pylist(), strict=True):
        if row["status"] != "transition":
            assert not bands(ax)
            assert not lines(ax, r"$\rho_c$")
            continue
        (band,) = bands(ax)
        extent = band.get_x(), band.get_x() + band.get_width()
        ends = row["rho_c_low"], row["rho_c_high"] or RHO[-1]
        assert extent == pytest.approx(ends), "where it is open, to the last value that was trained"
        assert (band.get_y(), band.get_height()) == (0, 1)
        (line,) = lines(ax, r"$\rho_c$")
        assert set(line.get_xdata()) == {row["rho_c"]}
        with_band += 1
    assert with_band == 5


def test_seeds_mean_and_threshold_are_drawn(make_members):
    members = make_members({(8, 8): [0.88, 0.84]})
    (ax,) = plot_order_parameters(members, thresholds_table(members, Rules({"kl_top": 0.25}, 0.95))).axes
    (seeds,), (mean,) = lines(ax, "one seed"), lines(ax, "mean of seeds")
    (gap,) = np.flatnonzero(np.isnan(seeds.get_xdata()))
    own = [seeds.get_ydata()[:gap], seeds.get_ydata()[gap + 1 :]]
    assert mean.get_xdata() == pytest.approx(np.linspace(0.5, 1, 11))
    assert mean.get_ydata() == pytest.approx(np.mean(own, axis=0))
    assert mean.get_linewidth() > 2 * seeds.get_linewidth()
    (threshold,) = lines(ax, "active from here")
    assert set(threshold.get_ydata()) == {0.25}


@pytest.mark.parametrize("how", ["diverged", "failed"])
def test_lost_members_are_marked_above_the_curves_with_an_entry_in_the_legend(make_members, how):
    cells = {(8, 8): [0.88, 0.84], (16, 16): [0.7]}
    whole = make_members(cells)
    lost = make_members(cells, **{how: [((8, 8), 0, 0.5), ((8, 8), 1, 0.55)]})
    figures = [plot_order_parameters(m, thresholds_table(m, RULE)) for m in (whole, lost)]
    entries = [[t.get_text() for t in f.legends[0].get_texts()] for f in figures]
    assert how not in entries[0]
    assert entries[1] == [*entries[0], how]
    first, second = figures[1].axes
    (marks,) = lines(first, how)
    assert list(marks.get_xdata()) == [0.5, 0.55]
    height, highest = first.transAxes.inverted().transform(
        [
            marks.get_transform().transform([0.5, marks.get_ydata()[0]]),
            first.transData.transform([0.5, max(max(line.get_ydata()) for line in lines(first, "one seed"))]),
        ]
    )[:, 1]
    assert highest < height < 1
    assert not lines(second, how)


def test_diverged_and_failed_members_are_told_apart(make_members):
    lost = {"failed": [((16, 16), 0, 0.6), ((8, 8), 0, 0.5)], "diverged": [((8, 8), 1, 0.5)]}
    members = make_members({(16, 16): [0.7], (8, 8): [0.88, 0.84]}, **lost)
    figure = plot_order_parameters(members, thresholds_table(members, RULE))
    assert [text.get_text() for text in figure.legends[0].get_texts()][-2:] == ["diverged", "failed"]
    first, second = figure.axes
    assert not lines(first, "diverged")
    (diverged,), (failed,) = lines(second, "diverged"), lines(second, "failed")
    assert list(diverged.get_xdata()) == list(failed.get_xdata()) == [0.5]
    assert diverged.get_marker() != failed.get_marker()


def test_an_exact_threshold_is_dashed(make_members):
    members = make_members({(1,): [0.87]}, rho_c_exact=0.866)
    (ax,) = plot_order_parameters(members, thresholds_table(members, RULE)).axes
    (exact,) = lines(ax, r"$\rho_c$ exact")
    assert set(exact.get_xdata()) == {0.866}
    assert exact.is_dashed()
    assert not lines(ax, r"$\rho_c$")[0].is_dashed()


@pytest.mark.parametrize("how", ["diverged", "failed"])
def test_a_cell_of_lost_members_alone_is_still_drawn(make_members, how):
    rho = (0.5, 0.7)
    members = make_members({(8, 8): [0.6]}, rho=rho, **{how: [((8, 8), 0, r) for r in rho]})
    thresholds = thresholds_table(members, RULE)
    (ax,) = plot_order_parameters(members, thresholds).axes
    assert ax.get_title().endswith("unresolved")
    assert list(lines(ax, how)[0].get_xdata()) == [0.5, 0.7]
    panel = plot_training(HISTORY.empty_table(), thresholds).axes[0]
    assert [text.get_text() for text in panel.texts] == ["no evaluations"]


def test_an_order_parameter_that_no_member_has_is_an_empty_panel(make_members):
    members = make_members({(8, 8): [0.7]}, information_top_nats=None)
    thresholds = thresholds_table(members, Rules({"kl_top": 0.1, "information_top": 0.1}, 0.95))
    _, panel = plot_order_parameters(members, thresholds).axes
    assert panel.get_xlim()[0] < min(members["rho"].to_pylist())
    assert [line for line in panel.lines if len(line.get_xdata()) > 2] == []


def test_training_lines_are_coloured_by_rho_and_dashed_by_seed(make_members, make_history):
    members = make_members({(8, 8): [0.88, 0.84]}, rho=(0.5, 0.6, 0.7, 0.8))
    history = make_history(members)
    panel, _ = plot_training(history, thresholds_table(members, RULE)).axes
    drawn = [line for line in panel.lines if len(line.get_xdata()) == 7]
    assert len(drawn) == 8
    assert len({tuple(line.get_color()) for line in drawn}) == 4
    assert len({line.get_linestyle() for line in drawn}) == 2
    by_final = {line.get_ydata()[-1] for line in drawn}
    last = history.filter((np.array(history["step"]) == 3000).tolist())
    assert by_final == set(last["kl_top_nats"].to_pylist())
    luminance = [sum(line.get_color()[:3]) for line in drawn[:4]]
    assert luminance == sorted(luminance)


def test_members_of_one_rho_are_one_line_with_gaps_where_seeds_are_many(make_members, make_history):
    members = make_members({(8, 8): [0.88, 0.84, 0.8, 0.78, 0.76]}, rho=(0.5, 0.6, 0.7, 0.8))
    history = make_history(members)
    panel, _ = plot_training(history, thresholds_table(members, RULE)).axes
    drawn = [line for line in panel.lines if len(line.get_xdata()) == 5 * 7 + 4]
    assert len(drawn) == 4
    shown = sorted(kl for line in drawn for kl in line.get_ydata() if np.isfinite(kl))
    assert shown == sorted(history["kl_top_nats"].to_pylist())


@pytest.mark.parametrize(
    ("label", "cells"), [("digits mlp {}", 7), *((LONG_LABEL, cells) for cells in (1, 2, 3, 7))]
)
def test_titles_neither_overlap_nor_leave_the_figure(make_members, make_history, cells, label):
    rows = make_members(dict(list(SEVEN.items())[:cells])).to_pylist()
    for row in rows:
        latents = ",".join(map(str, row["latents"]))
        row["cell"] = label.format(latents, latents)
    members = pa.Table.from_pylist(rows, schema=MEMBERS)
    thresholds = thresholds_table(members, RULE)
    for figure, extra in (
        (plot_order_parameters(members, thresholds), 0),
        (plot_training(make_history(members), thresholds), 1),
    ):
        figure.canvas.draw()
        panels = figure.axes[: len(figure.axes) - extra]
        width, height = figure.bbox.size
        boxes = [ax.title.get_window_extent() for ax in panels]
        for box in [*boxes, figure.legends[0].get_window_extent()]:
            assert box.x0 >= 0
            assert box.x1 <= width
            assert box.y0 >= 0
            assert box.y1 <= height
        for left, right in pairwise(boxes):
            assert not left.overlaps(right)
        for index in range(3, cells):
            label_above = panels[index - 3].xaxis.label.get_window_extent()
            assert not boxes[index].overlaps(label_above)


@pytest.mark.process
def test_files_are_the_same_to_the_byte_in_another_process(made_run, tmp_path):
    with mpl.rc_context({"font.size": 20, "axes.grid": True}):
        here = write_figures(made_run)
        assert mpl.rcParams["font.size"] == 20
    assert [path.name for path in here] == NAMES
    assert {path.parent for path in here} == {made_run / "figures"}
    done = subprocess.run(
        [sys.executable, ROOT / "analysis" / "figures.py", "run", "--out", "elsewhere"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:-1] == [f"wrote elsewhere/{name}" for name in NAMES]
    for name in NAMES:
        data = (made_run / "figures" / name).read_bytes()
        assert data == (tmp_path / "elsewhere" / name).read_bytes()
        assert data[:4] == (b"\x89PNG" if name.endswith("png") else b"<?xm")


def test_drawing_again_replaces_the_files(made_run):
    assert write_figures(made_run) == write_figures(str(made_run / "members.parquet"))
    assert sorted(p.name for p in (made_run / "figures").iterdir()) == sorted(NAMES)


def test_figures_show_so_many_cells_and_say_how_many_there_are(made_run, monkeypatch):
    titles = {}

    def save(figure, folder, stem, real=style.save):
        titles[stem] = figure.get_suptitle()
        return real(figure, folder, stem)

    monkeypatch.setattr(style, "save", save)
    write_figures(made_run)
    assert not any("of 2 cells" in title for title in titles.values())
    monkeypatch.setattr(style, "MOST_CELLS", 1)
    write_figures(made_run)
    assert titles["order_parameters"].endswith(", the first 1 of 2 cells")
    assert titles["training"].endswith(", the first 1 of 2 cells")


def test_tables_of_two_runs_are_not_mixed(make_members, make_history):
    one, other = make_members({(8, 8): [0.8]}), make_members({(4, 4): [0.9]})
    message = "cells without a threshold: cell-8,8; thresholds without a cell: cell-4,4"
    with pytest.raises(TableError, match=message):
        plot_order_parameters(one, thresholds_table(other, RULE))
    with pytest.raises(TableError, match="cells without a threshold: cell-8,8"):
        plot_training(make_history(one), thresholds_table(other, RULE))


def test_problems_of_both_tables_come_in_one_message_before_anything_is_written(made_run, capsys):
    pq.write_table(read_members(made_run).drop_columns(["rho"]), made_run / "members.parquet")
    write_table(read_history(made_run), made_run / "history.parquet")
    (made_run / "history.parquet").write_text("no parquet")
    assert main([str(made_run)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "columns missing: rho" in message
    assert "history.parquet is not a readable parquet file" in message
    assert not (made_run / "figures").exists()


def test_a_missing_run_is_said_once(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("no such run") == 1


def test_the_intervals_of_a_runs_figures_are_of_its_own_confidence(made_run):
    settings = (made_run / "space.yaml").read_text()
    (made_run / "space.yaml").write_text(settings.replace("confidence: 0.95", "confidence: 0.68"))
    write_figures(made_run)
    drawn = (made_run / "figures" / "order_parameters.svg").read_text()
    assert "<!-- 68% interval -->" in drawn
    assert "95%" not in drawn
