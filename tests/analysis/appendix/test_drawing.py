"""The figures beside the paper's."""

import math
from itertools import combinations, product

import pytest
from matplotlib import image

from analysis import style
from analysis.appendix.exhibits import datasets, figure4, figure5, figure6, table6
from analysis.appendix.loading import load

SIZES = (40,) * 4


def drawn(module, folder):
    return module.EXHIBIT.draw(load(module.EXHIBIT, folder))


def test_a_table_s_figure_shows_its_numbers(table6_run):
    kl_top, active, bound = drawn(table6, table6_run).axes
    points = {
        line.get_label(): float(line.get_xdata()[0])
        for line in kl_top.lines
        if -0.5 < float(line.get_ydata()[0]) < 0.5 and not line.get_label().startswith("_")
    }
    assert points == {"published": 0.82, "ours, with 95 % interval": 2.0}
    labels = [text.get_text() for text in kl_top.get_yticklabels()]
    assert labels == [row.label for row in table6.TABLE.rows if row.values]
    published = [line.get_xdata()[0] for line in active.lines if line.get_label() == "published"]
    assert published == [1, 1, 2, 1, *[40] * 4, 38, 38]  # none for rows of ours alone
    assert len([line for line in bound.lines if line.get_label().startswith("ours")]) == 2


def test_figure_4_has_both_curves_and_their_range(every_run):
    (ax,) = drawn(figure4, every_run / "figure4-quick").axes
    plain, smoothed = (line for line in ax.lines if "smoothing" in line.get_label())
    assert plain.get_ydata() == pytest.approx([math.sqrt(6)] * 3)
    assert smoothed.get_ydata() == pytest.approx([1] * 3)
    assert plain.get_xdata().tolist() == [0, 100, 200]
    assert len(ax.collections) == 2
    assert ax.get_yscale() == "log"


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
    figure = drawn(figure4, write_run("figure4-quick", rows, gradient_history(rows)))
    assert len(figure.axes) == members
    assert all("\ntrained with" in ax.get_title() for ax in figure.axes)
    figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_figures_5_and_6_have_a_panel_a_depth_or_architecture(every_run):
    by_depth = drawn(figure5, every_run / "figure5-quick")
    assert [ax.get_title() for ax in by_depth.axes] == ["3 layers", "4 layers"]
    entries = [text.get_text() for text in by_depth.axes[1].get_legend().get_texts()]
    assert entries == ["10,10,10,10", "20,20,20,20 (always collapsed)"]
    by_architecture = drawn(figure6, every_run / "figure6-quick")
    assert [ax.get_title() for ax in by_architecture.axes] == ["mlp", "conv"]
    highest = max(max(line.get_ydata()) for ax in by_architecture.axes for line in ax.lines)
    assert by_architecture.axes[0].get_ylim()[1] > highest
    for figure in (by_depth, by_architecture):
        figure.canvas.draw()
        width = figure.bbox.width
        for ax in figure.axes:
            box = ax.get_legend().get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= width
            assert box.y0 >= 0
            assert not ax.get_legend().get_window_extent().overlaps(ax.xaxis.label.get_window_extent())


def test_labels_of_three_panels_are_not_cut(make_members, write_run, tmp_path):
    rows = [
        row | {"dataset": data, "cell_id": data, "member_id": f"{data} {row['member_id']}"}
        for data in ("digits", "mnist", "omniglot")
        for row in make_members({(8,) * 3: [0.84, 0.87]}, space="datasets-quick").to_pylist()
    ]
    figure = drawn(datasets, write_run("datasets-quick", rows))
    png, _ = style.save(figure, tmp_path, "datasets")
    ink = image.imread(png)[:, 0, :3].min()
    assert ink == 1, "nothing touches the left edge"
