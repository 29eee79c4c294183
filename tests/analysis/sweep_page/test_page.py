"""The page: all that it says, whatever names say, and how much of a wide run is in it."""

import json
import re
import shutil
import statistics
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from analysis.charts.cells import chart_cells
from analysis.charts.looks import MOST_CELLS
from analysis.report import main, write_report
from analysis.results import Results, read_results
from analysis.sweep_page import page as page_module
from analysis.sweep_page.answers import compared, in_words
from analysis.sweep_page.page import render

BAD_TEXT = "digits </script><img src=x onerror=alert(1)> {{ 7 * 7 }}"
CELLS = {(8, 8): [0.88, 0.84, 0.91, 0.86, 0.87, 0.9], (16, 16): [0.63, 0.66, 0.6, 0.61, 0.64, 0.65]}
"""Thresholds so far apart that the comparison is decided."""


@pytest.fixture(autouse=True)
def without_scripts(monkeypatch):
    """Leave Vega out, which takes seconds."""
    monkeypatch.setattr(page_module, "vega", lambda: "")


class Page(HTMLParser):
    """What is in a page: its tags with their attributes, its texts, and its data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._script = ""
        self.data = {}
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._script = dict(attributes).get("id", tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self._script = ""

    def handle_data(self, data):
        if self._script == "data":
            self.data = json.loads(data)
        elif not self._script:
            self.texts.append(data)


def test_it_says_question_answer_settings_and_origin(make_run, make_members):
    question = "Does the threshold fall with the size?"
    run = make_run(make_members(CELLS, commit="c0ffee"), question=question, seeds=[0, 1, 2])
    said = Page(render([Results(run)])).text
    assert question in said
    source = Results(run)
    for row in source.thresholds.to_pylist():
        assert f"of {row['cell']} is {row['critical_value']:.3f} [{row['critical_low']:.3f}," in said
    assert "The one comparison is decided" in said
    assert "of digits mlp 8,8 is higher than that of digits mlp 16,16 by" in said
    for text in ("8, 8", "16, 16", "seeds 0, 1, 2", "2.13.0", "3.11.7", "git checkout c0ffee"):
        assert text in said, text
    assert f"--space {run}/space.yaml --set device=cpu --out {run}-again" in said


def test_the_answer_in_words_begins_with_the_thresholds_in_short(make_run, make_members):
    lines = in_words(Results(make_run(make_members(CELLS), question="Does it fall?"))).split("\n")
    assert re.fullmatch(r"8,8: ρ_c = 0\.8\d+ \[.+\]; 16,16: ρ_c = 0\.6\d+ \[.+\]", lines[0])
    assert lines[1:3] == ["", "Does it fall?"]


def test_a_run_that_mixes_kinds_of_machines_says_so(make_run, make_members):
    here, elsewhere = (make_members(CELLS, processor=name) for name in ("a CPU", "another CPU"))
    mixed = pa.concat_tables([here.slice(0, 20), elsewhere.slice(20)])
    said = Page(render([Results(make_run(mixed))])).text
    assert f"another CPU ({len(mixed) - 20} members), a CPU (20 members)" in said
    assert "numbers differ between them" in said
    assert "numbers differ between them" not in Page(render([Results(make_run(here))])).text


@pytest.mark.parametrize("commit", [None, "unknown"])
def test_a_run_without_a_commit_is_made_again_by_what_is_there(make_run, make_members, commit):
    said = Page(render([Results(make_run(make_members(CELLS, commit=commit)))])).text
    assert "git checkout" not in said


def test_a_run_whose_space_has_no_question_says_so(made_run):
    assert "The space keeps no question" in Page(render([Results(made_run)])).text


@pytest.fixture
def two_runs(write_run, make_members):
    """Return two runs of one space, of which the second is trained half as long and has other thresholds."""

    def make(*steps):
        runs = []
        for index, number in enumerate(steps):
            onsets = {size: [onset - 0.3 * index for onset in own] for size, own in CELLS.items()}
            rows = [
                row | {"member_id": f"{row['member_id']} {number}", "cell_id": f"{row['cell_id']} {number}"}
                for row in make_members(onsets, steps=number).to_pylist()
            ]
            runs.append(Results(write_run(f"run{index}", rows)))
        return runs

    return make


def test_several_runs_are_asked_once_and_compared(two_runs):
    said = Page(render(two_runs(2000, 1000))).text
    assert said.startswith("run0, run1 ")
    assert said.count("The space keeps no question") == 1
    assert "of digits mlp 8,8 2000 steps is higher than that of digits mlp 8,8 1000 steps by" in said
    assert "of digits mlp 8,8 1000 steps is higher than that of digits mlp 16,16 1000 steps by" in said


def test_runs_with_members_in_common_are_named_by_their_folders_and_not_compared(made_run, tmp_path):
    copy = shutil.copytree(made_run, tmp_path / "copy")
    runs = [Results(made_run), Results(copy)]
    said = Page(render(runs)).text
    assert said.startswith("made in run, made in copy ")
    assert len(compared(chart_cells(runs))) == 2 * runs[0].comparisons.num_rows == 2


def test_whatever_texts_say_stays_text(make_run, make_members):
    members = make_members(CELLS)
    for name in ("member_id", "commit", "torch_version", "data_digest"):
        place = members.schema.get_field_index(name)
        bad = [f"{BAD_TEXT}{index}" * (name == "member_id") or BAD_TEXT for index in range(members.num_rows)]
        members = members.set_column(place, members.schema.field(name), pa.array(bad))
    made = Page(render([Results(make_run(members, question=BAD_TEXT))]))
    assert [tag for tag, _ in made.tags if tag == "img"] == []
    assert [tag for tag, _ in made.tags].count("script") == 3
    assert BAD_TEXT in made.text
    assert made.data["tables"]["members"]["member"] == members["member_id"].to_pylist()


def test_nothing_in_it_is_elsewhere(made_run):
    tags = Page(render([Results(made_run)])).tags
    links = [own[name] for _, own in tags for name in ("src", "href", "data", "action") if name in own]
    assert links == ["data:,", "#top"]
    (policy,) = [own["content"] for tag, own in tags if "http-equiv" in own]
    assert "default-src 'none'" in policy


def test_every_chart_has_its_place_and_its_tables(made_run):
    made = Page(render([Results(made_run)]))
    places = [own["id"] for tag, own in made.tags if own.get("class") == "chart"]
    charts = made.data["charts"]
    assert [f"chart-{chart['name']}" for chart in charts] == places
    assert {name for chart in charts for name in chart["tables"]} == made.data["tables"].keys()
    expected = {"thresholds-kl_top", "sizes-0", "map-0-2", "training"}
    expected |= {f"curve-{name}" for name in ("kl_top_nats", "kl_nats_1", "kl_nats_2", "elbo_nats")}
    expected |= {"curve-active_units_1", "curve-active_units_2"}
    assert {chart["name"] for chart in charts} == expected


def test_a_wide_run_is_bounded_and_says_what_is_left_out(make_run, make_members, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_ROWS", 5)
    cells = {(4, size): [0.9 - size / 200, 0.88 - size / 200] for size in range(1, 41)}
    made = Page(render([Results(make_run(make_members(cells)))]))
    assert "the first 36 of 40 cells" in made.text
    assert f"{36 * 22} of {40 * 22} members" in made.text
    assert "28 more cells are in the table below" in made.text
    assert "35 more rows are in thresholds.parquet" in made.text
    assert "775 more rows are in comparisons.parquet" in made.text  # of 40 * 39 / 2
    assert len(made.data["cells"]) == MOST_CELLS
    assert len(json.dumps(made.data)) < 500_000


def test_members_without_numbers_are_told(make_run, make_members):
    lost = [((8, 8), 0, 0.5)]
    run = make_run(make_members({(8, 8): [0.88, 0.84]}, failed=lost, diverged=[((8, 8), 1, 0.5)]))
    made = Page(render([Results(run)]))
    assert "22 (1 diverged, 1 failed)" in made.text
    assert "OutOfMemoryError: CUDA out of memory" in made.text
    assert sorted(made.data["tables"]["members"]["status"])[-2:] == ["diverged", "failed"]


def test_a_run_of_which_no_member_counts_has_a_page(make_run, make_members):
    lost = [((8, 8), 0, rho) for rho in (0.5, 1.0)]
    made = Page(render([Results(make_run(make_members({(8, 8): [0.8]}, rho=(0.5, 1.0), failed=lost)))]))
    assert "nothing is known of digits mlp 8,8" in made.text
    assert made.data["tables"]["members"]["status"] == ["failed", "failed"]


def test_runs_stand_side_by_side_and_cells_of_both_are_told_apart(make_run, make_members):
    runs = [make_run(make_members(CELLS), name) for name in ("one", "two")]
    made = Page(render(read_results(runs)))
    names = [cell["name"] for cell in made.data["cells"]]
    assert names == [f"digits mlp {sizes} of {run}" for run in ("one", "two") for sizes in ("8,8", "16,16")]
    for run in ("one", "two"):
        assert f"of digits mlp 8,8 of {run} is higher than that of digits mlp 16,16 of {run} by" in made.text


def test_the_tables_at_hand_give_the_page_of_the_files(made_run):
    source = Results(made_run)
    names = ("members", "history", "thresholds", "comparisons")
    again = Results(made_run, {name: getattr(source, name) for name in names})
    assert render([again]) == render([source])


def test_the_command_writes_the_page_where_it_belongs(make_run, make_members, capsys):
    runs = [make_run(make_members(CELLS), name) for name in ("one", "two")]
    assert main([str(runs[0])]) == 0
    assert capsys.readouterr().out == f"wrote {runs[0]}/report.html\n"
    assert main([str(run) for run in runs]) == 0
    assert capsys.readouterr().out == f"wrote {runs[0].parent}/report.html\n"
    here = write_report(read_results([runs[0] / "members.parquet"]), runs[0] / "mine.html")
    assert here.read_bytes() == (runs[0] / "report.html").read_bytes()


def test_runs_that_cannot_be_read_are_named_and_nothing_is_written(made_run, capsys):
    (made_run / "history.parquet").unlink()
    assert main([str(made_run), "nowhere"]) == 2
    error = capsys.readouterr().err
    assert "holds no history.parquet" in error
    assert "no such run: nowhere" in error
    assert not (made_run.parent / "report.html").exists()


def test_the_curves_stand_in_a_table_with_intervals_over_seeds(make_run, make_members):
    members = make_members(CELLS)
    said = Page(render([Results(make_run(members))])).text
    rows = [row for row in members.to_pylist() if row["latents"] == [8, 8]]
    rho = rows[0]["rho"]
    values = [row["kl_top_nats"] for row in rows if row["rho"] == rho]
    assert f"{rho:.4g} {len(values)} {statistics.fmean(values):z.2f}" in said


def test_a_value_of_one_member_has_no_line_in_the_table_of_numbers(make_run, make_members):
    members = make_members({(8, 8): [0.88]})
    assert "Means over seeds" not in Page(render([Results(make_run(members))])).text
