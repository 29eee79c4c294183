"""The paper's tables beside ours: numbers, missing and wrong runs, the figures and the page."""

import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations, product
from pathlib import Path

import matplotlib as mpl
import pytest

from analysis import TableError
from analysis.appendix.claims import HOLDS
from analysis.appendix.compare import Measured, compare
from analysis.appendix.figures import draw
from analysis.appendix.published import FIGURES, NAMES, TABLE5, TABLE6, TABLE9, TABLE10, TABLES
from analysis.appendix.runs import load, settings
from analysis.appendix.sections import build
from analysis.appendix.text import measured_text, published_text
from analysis.intervals import Interval
from analysis.paper import main, write_page
from analysis.tables import read_members

ROOT = Path(__file__).parents[3]
T2 = 4.302652729749464  # 0.975 quantile of Student's distribution, 2 degrees of freedom
SIZES = (40,) * 4


@pytest.fixture
def table6(paper_member, write_run):
    """The run of two rows of table 6, three seeds each, one member of the smoothed row diverged."""
    rows = []
    for seed, (bound, kl_top) in enumerate(((-90.0, 1.0), (-91.0, 2.0), (-92.0, 3.0))):
        numbers = {"test_bound_nats": bound, "kl_top": kl_top}
        rows.append(paper_member("table6-quick", SIZES, (1, 3 + seed, 9, 17), seed, **numbers))
        rows.append(
            paper_member("table6-quick", SIZES, (40, 40, 40, 24), seed, rho=0.85, **numbers, kl_warmup=0)
        )
    lost = {key: None for key in rows[-1] if key.startswith("test_")}
    rows[-1] |= {"status": "diverged", "diverged_at_step": 120, **lost}
    return write_run("table6-quick", rows)


@pytest.fixture
def every_run(table6, paper_member, cost_row, write_run, make_members):
    """Runs of all tables and figures of a budget; returns their folder."""
    rows = [
        paper_member("table5-quick", (16,) * depth, (16,) * depth, seed, architecture="conv", **columns)
        for seed, data in product(range(3), ("mnist_fixed", "omniglot"))
        for depth, columns in (
            (2, {"dataset": data}),
            (2, {"dataset": data, "system": "vampprior", "pseudo_inputs": 50}),
            (4, {"dataset": data, "rho": 0.9}),
        )
    ]
    write_run("table5-quick", rows)
    kinds = ({}, {"system": "hermite", "rho": 0.9, "hermite_degree": 3})
    rows = [
        paper_member("table7-quick", (64,), (18,), seed, **kind) for seed, kind in product(range(2), kinds)
    ]
    write_run("table7-quick", rows)
    sizes = (40, 30, 20, 10, 5)
    rows = [paper_member("table8-quick", (n,) * 4, (1, 3, n, n), s) for s, n in product(range(2), sizes)]
    write_run("table8-quick", rows)
    kinds = {"vae": {}, "iwae": {"objective": "iwae"}, "ou": {"rho": 0.9}}
    costs = [cost_row(name, SIZES, [4.0, 4.4], **kind) for name, kind in kinds.items()]
    write_run("table9-quick", costs=costs)
    costs = [cost_row(f"{n}{k}", (100,) * k, **kinds[n]) for n, k in product(kinds, (4, 6))]
    write_run("table10-quick", costs=costs)
    rows = [
        paper_member("figure4-quick", SIZES, (1, 3, 9, 17), seed, gradient_samples=100, gradient_rho=0.8)
        for seed in range(2)
    ]
    write_run("figure4-quick", rows, gradient_history(rows))
    cells = {(10,) * 3: [0.9, 0.92], (20,) * 3: [0.7, 0.69], (10,) * 4: [0.8, 0.82], (20,) * 4: [0.3, 0.2]}
    write_run("figure5-quick", make_members(cells, space="figure5-quick", dataset="omniglot").to_pylist())
    rows = make_members({(20,) * 3: [0.7, 0.74]}, space="figure6-quick").to_pylist()
    conv = [row | {"architecture": "conv", "cell_id": "conv"} for row in rows]
    write_run("figure6-quick", rows + conv)
    return table6.parent


def gradient_history(rows):
    """Histories of three steps, with the gradient's variances."""
    return [
        {key: row[key] for key in ("member_id", "cell_id", "rho", "seed")}
        | {"step": step, "gradient_variance": 2.0 + row["seed"], "gradient_variance_smoothed": 1.0}
        for row, step in product(rows, (0, 100, 200))
    ]


def row_of(rows, label):
    (row,) = (row for row in rows if row.published.label == label)
    return row


def test_means_and_intervals_of_a_table_are_the_known_ones(table6):
    rows = compare(TABLE6, load("table6", table6))
    vae = row_of(rows, "VAE")
    (bound,), (kl_top,) = vae.ours["bound"].parts, vae.ours["kl_top"].parts
    assert (bound.mean, bound.n) == (-91, 3)
    assert (bound.high - bound.mean, kl_top.high - kl_top.mean) == pytest.approx([T2 / math.sqrt(3)] * 2)
    assert [part.mean for part in vae.ours["active"].parts] == [1, 4, 9, 17]  # top first
    assert vae.budget == "3,000 steps, 3 seeds"
    smoothed = row_of(rows, "OU-VAE (ρ = 0.85)")
    assert smoothed.budget == "3,000 steps, 2 seeds (1 more diverged)"
    assert smoothed.ours["kl_top"].parts[0].mean == 1.5
    absent = row_of(rows, "IWAE (5 samples)")
    assert (absent.budget, absent.ours["bound"].parts) == ("", ())


def test_lost_members_are_told_of_a_row_and_have_no_say_in_its_settings(table6, fail, write_run):
    rows = read_members(table6).to_pylist()
    rows[1] = fail(rows[1])
    run = load("table6", write_run("table6-quick", rows))
    smoothed = row_of(compare(TABLE6, run), "OU-VAE (ρ = 0.85)")
    assert smoothed.budget == "3,000 steps, 1 seed (1 more diverged, 1 more failed)"
    assert dict(settings(run))["PyTorch"] == "2.13.0"


def test_a_run_of_failed_members_alone_has_a_page(paper_member, fail, write_run):
    rows = [fail(paper_member("table6-quick", SIZES, (1, 3, 9, 17), seed)) for seed in range(2)]
    section = build("table6", write_run("table6-quick", rows))
    assert row_of(section.rows, "VAE").budget == "3,000 steps, 0 seeds (2 more failed)"
    assert "PyTorch" not in dict(settings(section.run))
    assert section.verdicts == "not enough data, not enough data"


def test_lost_members_of_a_cell_are_told(make_members, write_run):
    lost = {"diverged": [((8, 8), 0, 0.5)], "failed": [((8, 8), 1, 0.5), ((8, 8), 1, 0.55)]}
    cells = {(8, 8): [0.8, 0.82], (16, 16): [0.6, 0.6]}
    rows = make_members(cells, space="figure5-quick", **lost).to_pylist()
    _, one, other = build("figure5", write_run("figure5-quick", rows)).cells
    assert one[1] == "3,000 steps, 2 seeds (members lost: 1 diverged, 2 failed)"
    assert other[1] == "3,000 steps, 2 seeds"


def test_numbers_are_printed_with_their_intervals(table6):
    columns = {column.key: column for column in TABLE6.columns}
    vae = row_of(compare(TABLE6, load("table6", table6)), "VAE")
    assert measured_text(columns["bound"], vae.ours["bound"]) == ("-91.00", "[-93.48, -88.52]")
    assert measured_text(columns["active"], vae.ours["active"]) == ("1, 4, 9, 17", "± 0, 2.5, 0, 0")
    no_less = Measured((Interval(-1e-4, -2e-4, 1e-4, 3),))
    assert measured_text(columns["kl_top"], no_less) == ("0.00", "[0.00, 0.00]")
    texts = [published_text(value) for value in (-87, 1.005, 0.636, 103, (1, 3, 9, 17), 4.6 / 4.2, None)]
    assert texts == ["-87", "1.005", "0.636", "103", "1, 3, 9, 17", "1.10", "-"]


def test_one_table_can_have_two_data_sets(paper_member, write_run):
    rows = [
        paper_member("table5-quick", (16, 16), (1, 1), seed, dataset=data, test_bound_nats=bound, steps=steps)
        for data, bound, steps in (("mnist_fixed", -95.0, 2000), ("omniglot", -115.0, 1000))
        for seed in range(2)
    ]
    vae, *others = compare(TABLE5, load("table5", write_run("table5-quick", rows)))
    assert [vae.ours[key].parts[0].mean for key in ("mnist", "omniglot")] == [-95, -115]
    assert vae.budget == "2,000 steps, 2 seeds or 1,000 steps, 2 seeds"
    assert not any(row.budget for row in others)


def test_costs_are_means_over_rounds_and_ratios_are_paired(cost_row, write_run):
    costs = [
        cost_row("vae", SIZES, [4.0, 8.0, 2.0]),
        cost_row("ou", SIZES, [5.0, 10.0, 2.5], rho=0.9),
        cost_row("iwae", SIZES, [8.0, 16.0, 4.0], objective="iwae", importance_samples=5),
    ]
    rows = compare(TABLE9, load("table9", write_run("table9-quick", costs=costs)))
    ours = row_of(rows, "OU-VAE").ours
    (seconds,), (relative,) = ours["seconds"].parts, ours["seconds_ratio"].parts
    assert seconds.mean == pytest.approx(17.5 / 3)
    assert (relative.mean, relative.low, relative.high) == pytest.approx((1.25, 1.25, 1.25))
    assert row_of(rows, "VAE").budget == "3 rounds of timing, batch size 64, cpu"


def test_memory_and_parameters_stand_without_interval(cost_row, write_run):
    costs = [
        cost_row("vae", (100,) * 6, memory_bytes=2**30, parameters=16_500_000),
        cost_row("ou", (100,) * 6, memory_bytes=2 * 2**30, parameters=16_500_000, rho=0.9),
    ]
    rows = compare(TABLE10, load("table10", write_run("table10-quick", costs=costs)))
    columns = {column.key: column for column in TABLE10.columns}
    ours = row_of(rows, "OU-VAE, 6 layers").ours
    texts = {key: measured_text(columns[key], ours[key]) for key in columns}
    assert texts == {
        "layers": ("6", ""),
        "memory": ("2.000", ""),
        "memory_ratio": ("2.00", ""),
        "parameters": ("16.50", ""),
    }
    assert row_of(rows, "OU-VAE, 6 layers").budget == "batch size 64, cpu, autograd saved bytes"
    assert not row_of(rows, "OU-VAE, 4 layers").budget


def test_a_row_that_is_two_models_is_refused(paper_member, write_run, capsys):
    rows = [paper_member("table6-quick", SIZES, (1, 3, 9, 17)) | {"cell_id": cell} for cell in ("a", "b")]
    assert main(["table6", str(write_run("table6-quick", rows))]) == 2
    message = capsys.readouterr().err
    assert "several models are one row of the paper's table" in message
    assert "digits mlp 40,40,40,40 at rho 1 (a)" in message
    with pytest.raises(TableError, match="is there more than once"):
        build("table6", write_run("table6-quick", [rows[0], rows[0]]))


def test_a_run_of_another_space_is_refused(table6, made_run, cost_row, write_run, capsys):
    for arguments, space in (
        (["table7", table6], "table6-quick"),
        (["table6", made_run], "made"),
        (["table10", table6], "table6-quick"),
        (["table1", table6], None),
    ):
        assert main(list(map(str, arguments))) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert (f"is a run of the space {space}, not of" if space else "no table or figure table1") in message
    costs = write_run("table9-quick", costs=[cost_row("vae", SIZES)])
    assert main(["table10", str(costs)]) == 2
    assert "give the run of table10, or make it: python sweeps/paper.py table10" in capsys.readouterr().err
    (costs / "space.yaml").unlink()
    assert load("table9", costs).budget == "quick"  # by the folder's name


def test_a_members_table_of_another_space_than_space_yaml_is_refused(table6, paper_member, write_run):
    (table6 / "space.yaml").write_text("name: 'table6-quick'\n")
    assert load("table6", table6).budget == "quick"
    (table6 / "space.yaml").write_text("name: table6-paper\n")
    assert load("table6", table6).budget == "paper"
    rows = [paper_member(space, SIZES, (1, 3, 9, 17)) for space in ("table6-quick", "digits")]
    with pytest.raises(TableError, match="members of several spaces: digits, table6-quick"):
        load("table6", write_run("table6-quick", rows))


def test_a_missing_run_is_told_and_is_no_error(tmp_path, capsys):
    assert main(["table6", str(tmp_path / "table6-paper")]) == 0
    out = capsys.readouterr().out
    assert "not run: python sweeps/paper.py table6 --budget paper" in out
    assert "40, 40, 40, 24" in out
    assert main(["figure5", "--runs", str(tmp_path)]) == 0
    assert "not run: python sweeps/paper.py figure5 --budget quick" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_any_run_has_every_published_number(tmp_path, capsys):
    assert main(["all", "--runs", str(tmp_path), "--budget", "paper"]) == 0
    out = capsys.readouterr().out
    page = (tmp_path / "paper.html").read_text()
    for name in NAMES:
        command = f"python sweeps/paper.py {name} --budget paper"
        assert f"{name}: not run: {command}" in out
        assert command in page
    texts = visible(page)
    for row in (row for table in TABLES.values() for row in table.rows):
        for value in row.values.values():
            assert published_text(value).replace("-", "\u2212") in texts, row.label


def test_a_damaged_run_stops_the_page_before_it_is_written(every_run, capsys):
    (every_run / "table6-quick" / "members.parquet").write_text("no parquet")
    (every_run / "figure4-quick" / "history.parquet").unlink()
    assert main(["all", "--runs", str(every_run)]) == 2
    message = capsys.readouterr().err
    assert "is not a readable parquet file" in message
    assert "holds no history.parquet" in message
    assert not (every_run / "paper.html").exists()


class Page(HTMLParser):
    """Collects what a page consists of; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.links, self.ids, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        assert len(given) == len(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[key] for key in ("href", "src") if key in given]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data.strip())


def visible(page):
    return Page(page).texts


def test_the_page_is_whole_and_needs_nothing_from_outside(every_run):
    sections = write_page(every_run, "quick", every_run / "paper.html")
    assert [section.name for section in sections] == list(NAMES)
    text = (every_run / "paper.html").read_text()
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(page.ids) == len(set(page.ids))
    inner = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inner} <= set(page.ids)
    assert {f"#{name}" for name in NAMES} <= set(inner)
    figures = [link for link in page.links if not link.startswith("#")]
    assert len(figures) == len(NAMES)
    assert all(link.startswith("data:image/svg+xml;base64,") for link in figures)
    assert {"script", "link", "iframe"}.isdisjoint(page.tags)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_the_page_says_published_numbers_ours_budgets_and_verdicts(every_run):
    write_page(every_run, "quick", every_run / "paper.html")
    text = (every_run / "paper.html").read_text()
    section = re.search(r'<section id="table6">.*?</section>', text, re.DOTALL).group()
    row = re.search(r'<tr><th scope="row">VAE</th>.*?</tr>', section, re.DOTALL).group()
    cells = visible(row)
    assert cells[:4] == ["VAE", "\u221286.4", "\u221291.00", "[\u221293.48, \u221288.52]"]
    assert cells[-2:] == ["1,000,000 steps", "3,000 steps, 3 seeds"]
    claims = re.search(r'<section id="claims">.*?</section>', text, re.DOTALL).group()
    figure5 = claims[
        claims.index('<tr><td><a href="#figure5">') : claims.index('<tr><td><a href="#figure6">')
    ]
    assert HOLDS in visible(figure5)
    assert "3,000 steps, 2 seeds" in visible(figure5)
    # published, the OU-VAE takes 4.6 s and the IWAE 4.4 s
    assert "wanted below 1, published 1.05, which misses it" in claims
    assert text == rewritten(every_run)


def rewritten(runs):
    write_page(runs, "quick", runs / "again.html")
    return (runs / "again.html").read_text()


def test_texts_of_the_runs_are_escaped(paper_member, make_members, write_run, tmp_path):
    hostile = "<script>alert('1')</script>&\"_"
    rows = [
        paper_member("table6-quick", SIZES, (1, 3, 9, 17), dataset=hostile, commit=hostile, device=hostile)
    ]
    write_run("table6-quick", rows)
    cells = {(8, 8): [0.8, 0.82], (16, 16): [0.6, 0.6]}
    rows = make_members(cells, space="figure5-quick").to_pylist()
    write_run("figure5-quick", [row | {"cell": f"{row['cell']} {hostile}"} for row in rows])
    write_page(tmp_path / "runs", "quick", tmp_path / "paper.html")
    text = (tmp_path / "paper.html").read_text()
    assert "<script" not in text
    assert "script" not in Page(text).tags
    assert sum(hostile in shown for shown in visible(text)) >= 3


def test_every_run_has_a_figure_as_png_and_svg(every_run, capsys):
    for name in NAMES:
        folder = every_run / f"{name}-quick"
        with mpl.rc_context({"font.size": 20}):
            assert main([name, str(folder)]) == 0
            assert mpl.rcParams["font.size"] == 20
        out = capsys.readouterr().out
        for kind, magic in (("png", b"\x89PNG"), ("svg", b"<?xm")):
            path = folder / "figures" / f"{name}.{kind}"
            assert f"wrote {path}" in out
            assert path.read_bytes()[:4] == magic
        assert (TABLES[name].title if name in TABLES else FIGURES[name].title) in out


def test_a_table_s_figure_shows_its_numbers(table6):
    kl_top, active, bound = draw(load("table6", table6)).axes
    points = {
        line.get_label(): float(line.get_xdata()[0])
        for line in kl_top.lines
        if -0.5 < float(line.get_ydata()[0]) < 0.5 and not line.get_label().startswith("_")
    }
    assert points == {"published": 0.82, "ours, with 95 % interval": 2.0}
    labels = [text.get_text() for text in kl_top.get_yticklabels()]
    assert labels == [row.label for row in TABLE6.rows]
    published = [line.get_xdata()[0] for line in active.lines if line.get_label() == "published"]
    assert published == [1, 1, 2, 1, 40, 40, 38]
    assert len([line for line in bound.lines if line.get_label().startswith("ours")]) == 2


def test_figure_4_has_both_curves_and_their_range(every_run):
    (ax,) = draw(load("figure4", every_run / "figure4-quick")).axes
    plain, smoothed = (line for line in ax.lines if "smoothing" in line.get_label())
    assert plain.get_ydata() == pytest.approx([math.sqrt(6)] * 3)
    assert smoothed.get_ydata() == pytest.approx([1] * 3)
    assert plain.get_xdata().tolist() == [0, 100, 200]
    assert len(ax.collections) == 2
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_figure_4_has_a_panel_a_member_kind_whose_title_has_room(paper_member, write_run, members):
    kinds = list(product(("smoothed-generative+likelihood", ""), (0.8, 1.0)))[:members]
    rows = [
        paper_member("figure4-quick", SIZES, (1, 3, 9, 17), rho=rho, cell_id=f"cell {label}",
                     cell=f"mnist mlp 40,40,40,40 {label}", gradient_samples=100, gradient_rho=0.8)
        for label, rho in kinds
    ]  # fmt: skip
    figure = draw(load("figure4", write_run("figure4-quick", rows, gradient_history(rows))))
    assert len(figure.axes) == members
    assert all("\ntrained with" in ax.get_title() for ax in figure.axes)
    figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_figures_5_and_6_have_a_panel_a_depth_or_architecture(every_run):
    by_depth = draw(load("figure5", every_run / "figure5-quick"))
    assert [ax.get_title() for ax in by_depth.axes] == ["3 layers", "4 layers"]
    entries = [text.get_text() for text in by_depth.axes[1].get_legend().get_texts()]
    assert entries == ["10,10,10,10", "20,20,20,20 (always collapsed)"]
    by_architecture = draw(load("figure6", every_run / "figure6-quick"))
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


def test_arguments_that_do_not_go_together_are_refused(table6, capsys):
    assert main(["all", str(table6)]) == 2
    assert "all takes no RUN" in capsys.readouterr().err
    assert main(["table6", str(table6), "--out", "page.html"]) == 2
    assert "only all writes a page" in capsys.readouterr().err
    assert main(["table6", str(table6), "--tracking-uri", "sqlite:///mlflow.db"]) == 2
    assert "only all logs a page" in capsys.readouterr().err


def test_the_script_runs_by_its_path(table6, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "analysis" / "paper.py", "table6", "runs/table6-quick"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrote runs/table6-quick/figures/table6.svg" in done.stdout


def test_no_module_hides_one_of_python_s_own():
    """A script has its folder in front of the path: a module named like Python's would take its place."""
    names = {path.stem for path in (ROOT / "analysis").glob("*.py")} - {"__init__"}
    assert names.isdisjoint(sys.stdlib_module_names)
