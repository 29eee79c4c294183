"""Runs in Python: what is loaded, that it is what the commands say, and every example of a docstring."""

import ast
import base64
import doctest
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import analysis
from analysis import Run, TableError, compare, load
from analysis.charts import cells
from analysis.charts.cells import chart_cells
from analysis.charts.curves import order_parameters
from analysis.phase_diagram import write_phase_diagram
from analysis.results import Results
from analysis.statistics.summary import Summary
from analysis.tables.files import read_history, read_members, write_table
from analysis.tables.schema import HISTORY
from tests.analysis.conftest import RHO, RULE, SPACE, linear_onset, of_kl_weight, panels

PACKAGE = Path(analysis.__file__).parent


@pytest.fixture
def write(tmp_path, make_history, monkeypatch):
    """Return a writer of run folders `runs/NAME` in the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, members: pa.Table, space: str = SPACE) -> Path:
        folder = Path("runs", name)
        write_table(members, folder / "members.parquet")
        write_table(make_history(members), folder / "history.parquet")
        (folder / "space.yaml").write_text(space)
        return folder

    return write


@pytest.fixture
def runs(write, make_members):
    """Write runs/digits, of two sizes, and runs/digits_k10, of the same sizes with K = 10 draws."""
    write("digits", make_members({(8, 8): [0.88, 0.84, 0.91], (16, 16): [0.73, 0.76, 0.70]}))
    own = {"ou_samples": 10, "space": "digits_k10"}
    rows = make_members({(8, 8): [0.78, 0.74, 0.81], (16, 16): [0.63, 0.66, 0.60]}, **own).to_pylist()
    for row in rows:
        row["cell_id"] += "-k10"
        row["member_id"] += "-k10"
    write("digits_k10", pa.Table.from_pylist(rows, schema=read_members("runs/digits").schema))


def examples() -> list[doctest.DocTest]:
    """Return the examples of all docstrings of `analysis`, of which doctest by itself misses some."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                name = f"{path.stem}.{getattr(node, 'name', '')}"
                text = ast.get_docstring(node)
                found.append(doctest.DocTestParser().get_doctest(text, {}, name, str(path), 0))
    return [one for one in found if one.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_the_example_of_a_docstring_is_right(example, runs):
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert said == []


def test_each_name_that_is_exported_has_an_example():
    named = {one.name.partition(".")[2] for one in examples()}
    assert {*analysis.__all__} - named == {"TableError"}
    with pytest.raises(AttributeError, match="'analysis' has no attribute 'lod'"):
        _ = analysis.lod


def test_tables_are_those_of_the_files_and_of_the_command_and_nothing_is_written(runs):
    folder = Path("runs/digits")
    (folder / "thresholds.parquet").write_text("of an older version")
    there = sorted(folder.iterdir())
    run, members = load(folder), read_members(folder)
    summary = Summary(members, RULE)
    expected = {
        "members": members,
        "history": read_history(folder),
        "thresholds": summary.thresholds,
        "comparisons": summary.comparisons,
    }
    for name, table in expected.items():
        own = getattr(run.arrow, name)
        assert own.column_names[0] == "run"
        assert own.drop_columns("run").equals(table), name
        frame = getattr(run, name)
        assert isinstance(frame, pd.DataFrame)
        assert getattr(run, name) is frame
        assert isinstance(getattr(run.polars, name), pl.DataFrame)
        assert getattr(run.polars, name).columns == frame.columns.tolist()
        assert len(frame) == getattr(run.polars, name).height == table.num_rows
    assert sorted(folder.iterdir()) == there


def test_frames_are_grouped_and_written_in_both_libraries(runs, tmp_path):
    run = load("runs/digits")
    sizes = run.members.groupby("latents", sort=False).size()
    assert sizes.to_dict() == {"8,8": 33, "16,16": 33}
    run.polars.members.write_csv(tmp_path / "members.csv")
    again = pl.read_csv(tmp_path / "members.csv")
    assert again["latent_top"].to_list() == [8] * 33 + [16] * 33


def test_thresholds_of_seeds_are_those_that_were_made(runs):
    seeds = load("runs/digits").seeds
    for cell, rho_cs in {"8,8": [0.88, 0.84, 0.91], "16,16": [0.73, 0.76, 0.70]}.items():
        own = seeds[seeds["latents"] == cell]
        assert own["seed"].tolist() == [0, 1, 2]
        # active from 0.1 nats, which a slope of 10 reaches 0.01 below the onset
        onsets = pd.Series(rho_cs, index=own.index) - 0.01
        assert (own["low"] <= onsets + 1e-9).all()
        assert (onsets <= own["high"] + 1e-9).all()


def test_several_runs_stand_under_one_another_each_by_its_own_rule(runs, write, make_members):
    other = SPACE.replace("0.95", "0.68")
    write("wide", make_members({(4, 4): [0.8, 0.85]}), other)
    Path("runs/notes.txt").write_text("no run")
    Path("runs/begun").mkdir()
    run = load("runs/*")
    assert run.members["run"].unique().tolist() == ["digits", "digits_k10", "wide"]
    confidence = run.thresholds.set_index("run")["confidence"].to_dict()
    assert confidence == {"digits": 0.95, "digits_k10": 0.95, "wide": 0.68}
    alone = load("runs/wide").thresholds
    pd.testing.assert_frame_equal(run.thresholds.query("run == 'wide'").reset_index(drop=True), alone)
    assert set(run.comparisons["run"]) == {"digits", "digits_k10"}, "of cells of one run"
    twice = load("runs/wide", "runs/w*", "runs/digits/members.parquet")
    assert twice.members["run"].unique().tolist() == ["wide", "digits"]
    assert repr(twice) == "load('runs/wide', 'runs/digits/members.parquet')"
    assert repr(load(["runs/wide", Path("runs/digits")])) == "load('runs/wide', 'runs/digits')"
    with pytest.raises(TableError, match="load takes the folder of a run or several, found none"):
        load()


def test_the_table_of_runs_of_two_control_parameters_names_neither(write, make_members):
    members = make_members({(8, 8): [0.88, 0.84, 0.91]})
    write("first", members)
    assert load("runs/first").table().head[2] == "rho_c"
    write("second", of_kl_weight(members), f"{SPACE}kl_weight: [0.5, 1.0]\n")
    assert load("runs/second").table().head[2] == "kl_weight_c"
    assert load("runs/*").table().head[3] == "critical value"


def test_runs_of_one_name_are_told_apart_by_their_paths(write, make_members):
    members = make_members({(8, 8): [0.8]})
    for name in ("a/digits", "b/digits", "c/other"):
        write(name, members)
    assert load("runs/*/*").thresholds["run"].tolist() == ["runs/a/digits", "runs/b/digits", "other"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("nowhere", "no such run: nowhere; give the folder that a sweep wrote"),
        ("runs", r"runs holds no members.parquet, and runs below it do; load them with 'runs/\*'"),
        ("none*", r"no folder none\* holds a members.parquet \(found: nothing\); give the folders"),
        ("run?", r"no folder run\? holds a members.parquet \(found: runs\)"),
    ],
)
def test_what_is_no_run_is_said_at_once(runs, pattern, said):
    with pytest.raises(TableError, match=said):
        load(pattern)
    with pytest.raises(TableError, match=said):
        load("runs/digits", pattern)


def test_members_are_at_hand_where_there_is_no_rule(runs):
    Path("runs/digits/space.yaml").unlink()
    run = load("runs/digits")
    assert len(run.members) == 66
    with pytest.raises(TableError, match=r"space.yaml cannot be read .* give the folder that a sweep wrote"):
        _ = run.thresholds


def test_curves_are_the_values_of_each_seed_at_the_end(runs):
    run = load("runs/*")
    curves = run.curves("cell-16,16")
    assert curves.columns.tolist() == ["run", "cell", "seed", "rho", "kl_top_nats"]
    wide = curves.pivot(index="rho", columns="seed", values="kl_top_nats")
    assert wide.index.tolist() == list(RHO)
    for seed, onset in enumerate([0.73, 0.76, 0.70]):
        assert wide[seed].tolist() == [linear_onset(rho, onset) for rho in RHO]
    assert set(curves["run"]) == {"digits"}
    assert load("runs/digits").curves("digits mlp 16,16").equals(curves)
    unmeasured = run.curves("cell-16,16", "information_top")
    assert unmeasured.empty
    assert unmeasured.columns[-1] == "information_top_nats"


def test_a_cell_of_two_runs_has_the_curves_of_both(write, make_members):
    for name, onset in (("a", 0.8), ("b", 0.7)):
        write(name, make_members({(8, 8): [onset]}))
    curves = load("runs/*").curves("digits mlp 8,8")
    assert curves.groupby("run")["kl_top_nats"].max().round(9).to_dict() == {"a": 3.0, "b": 2.0}


def test_members_without_a_value_are_in_no_curve(write, make_members):
    write("lossy", make_members({(8, 8): [0.8]}, diverged=[((8, 8), 0, RHO[2])]))
    assert load("runs/lossy").curves("digits mlp 8,8")["rho"].tolist() == [*RHO[:2], *RHO[3:]]


def test_a_cell_or_order_parameter_that_is_not_there_is_said_with_those_that_are(runs):
    run = load("runs/*")
    with pytest.raises(
        TableError, match="no cell 'digits mlp 9,9'; choose from:\n  - digits mlp 8,8, cell_id"
    ):
        run.curves("digits mlp 9,9")
    with pytest.raises(TableError, match="2 cells are 'digits mlp 8,8'; choose by cell_id from:\n") as error:
        run.curves("digits mlp 8,8")
    assert "  - digits mlp 8,8, cell_id cell-8,8-k10" in str(error.value)
    with pytest.raises(TableError, match="no order parameter 'kl'; choose from kl_top, information_top, "):
        run.curves("cell-8,8", "kl")


def test_the_plot_is_the_chart_of_the_run(runs, monkeypatch, tmp_path):
    chart = load("runs/digits").plot()
    assert chart.to_dict() == order_parameters(chart_cells([Results("runs/digits")])).to_dict()
    assert len(panels(load("runs/*").plot())) == 4
    monkeypatch.setattr(cells, "MOST_CELLS", 1)
    assert load("runs/digits").plot().spec["title"]["text"].endswith("the first 1 of 2 cells")


def test_a_notebook_shows_the_plot_and_it_saves_itself(runs, tmp_path):
    chart = load("runs/digits").plot()
    bundle, metadata = chart._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == "<Chart order_parameters: Order parameters against ρ>"
    assert 400 < metadata["image/png"]["width"] < 700
    assert chart._repr_mimebundle_(exclude=["image/png"])[0].keys() == {"text/plain"}
    begins = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}
    for kind, begin in begins.items():
        path = chart.save(tmp_path / f"new/transitions.{kind}")
        assert path.read_bytes().startswith(begin)
    with pytest.raises(ValueError, match=r"transitions.jpg: '.jpg' is none of .svg, .png, .pdf"):
        chart.save("transitions.jpg")


def test_runs_that_do_not_fit_into_one_figure_are_named(write, make_members):
    write("a", make_members({(8, 8): [0.8]}))
    write("b", make_members({(8, 8): [0.7], (4, 4): [0.7]}), SPACE.replace("kl_top", "active_units_top"))
    with pytest.raises(TableError) as error:
        load("runs/*").plot()
    assert str(error.value).splitlines() == [
        "the runs do not fit into one figure; draw each by itself:",
        "  - digits mlp 8,8 is in a, b",
        "  - a watches kl_top",
        "  - b watches active_units_top",
    ]


def test_polars_is_asked_for_where_it_is_not_installed(runs, monkeypatch):
    run = load("runs/digits")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars, or take the pandas frames"):
        _ = run.polars
    assert len(run.members) == 66


class TestCompare:
    def test_it_says_what_the_comparison_within_one_run_says(self, write, make_members):
        """Of one pair, whose p-value nothing corrects, all numbers are those of the pair in one run."""
        few = make_members({(8, 8): [0.88, 0.84, 0.91] * 4})
        many = make_members({(16, 16): [0.73, 0.76, 0.70] * 4})
        for name, members in (("few", few), ("many", many), ("both", pa.concat_tables([few, many]))):
            write(name, members, SPACE + "margin: 0.05\n")
        found = compare(load("runs/few"), load("runs/many"))
        within = load("runs/both").comparisons
        assert found[["first_run", "second_run"]].values.tolist() == [["few", "many"]]
        own = found.drop(columns=["first_run", "second_run"])
        pd.testing.assert_frame_equal(own, within.drop(columns="run"))
        assert (own["verdict"].item(), own["differs_in"].item()) == ("higher", "size")

    def test_the_other_way_round_it_says_the_opposite(self, runs):
        first, second = load("runs/digits"), load("runs/digits_k10")
        there, back = compare(first, second), compare(second, first)
        assert there["difference"].tolist() == pytest.approx([0.1, 0.1], abs=0.01)
        assert back["difference"].tolist() == pytest.approx((-there["difference"]).tolist())
        assert back["difference_low"].tolist() == pytest.approx((-there["difference_high"]).tolist())

    def test_cells_are_matched_by_their_keys_and_not_by_their_order(self, runs, write):
        members = read_members("runs/digits_k10")
        write("reversed", pa.concat_tables([members.slice(33), members.slice(0, 33)]))
        found = compare(load("runs/digits"), load("runs/reversed"))
        assert found[["first_cell", "second_cell"]].values.tolist() == [
            ["digits mlp 8,8"] * 2,
            ["digits mlp 16,16"] * 2,
        ]

    def test_the_rule_is_that_of_the_first_run(self, runs):
        settings = SPACE.replace("0.1", "1.0").replace("0.95", "0.8")
        Path("runs/digits_k10/space.yaml").write_text(settings)
        first, second = load("runs/digits"), load("runs/digits_k10")
        assert compare(first, second)["confidence"].unique().tolist() == [0.95]
        assert compare(second, first)["confidence"].unique().tolist() == [0.8]
        members = read_members("runs/digits_k10")
        assert first.thresholds["critical_value"].mean() - Summary(members, RULE).thresholds[
            "critical_value"
        ].to_pandas().mean() == (pytest.approx(compare(first, second)["difference"].mean(), abs=0.01))

    def test_replicates_with_other_seeds_differ_in_none(self, write, make_members):
        write("a", make_members({(8, 8): [0.8, 0.82, 0.84]}))
        rows = make_members({(8, 8): [0.81, 0.83, 0.79]}).to_pylist()
        fresh = [row | {"seed": row["seed"] + 10, "member_id": row["member_id"] + "+"} for row in rows]
        write("b", pa.Table.from_pylist(fresh, schema=read_members("runs/a").schema))
        (row,) = compare(load("runs/a"), load("runs/b")).to_dict("records")
        assert (row["differs_in"], row["verdict"]) == ("none", "undecided")

    def test_what_cannot_be_compared_is_said(self, runs, write, make_members):
        digits, both = load("runs/digits"), load("runs/*")
        with pytest.raises(TableError, match=r"compare takes two runs, found .*load them one by one"):
            compare(digits, both)
        with pytest.raises(TableError, match=r"have 66 members in common.*with other seeds"):
            compare(digits, digits)
        write("deep", make_members({(8, 8, 8): [0.8], (16, 16, 16): [0.7]}))
        with pytest.raises(TableError, match=r"no cell of .*digits.* corresponds to one of .*deep"):
            compare(digits, load("runs/deep"))


def test_a_run_whose_members_ended_before_an_evaluation_has_an_empty_history(write, make_members):
    folder = write("short", make_members({(8, 8): [0.8]}))
    write_table(HISTORY.empty_table(), folder / "history.parquet")
    run: Run = load(folder)
    assert run.history.empty
    assert {"kl_1_nats", "kl_top_nats"} - {*run.history.columns} == {"kl_1_nats"}, (
        "of no layer is anything known"
    )


def test_names_that_are_imported_late_are_listed():
    assert {"load", "compare", "Run", "TableError"} <= {*dir(analysis)}


def test_the_phase_diagram_of_several_runs_is_written_beside_them(runs):
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    paths = write_phase_diagram(["runs/digits", "runs/digits_k10"])
    assert paths == [Path("runs/phase_diagram.png"), Path("runs/phase_diagram.svg")]
    for path, content in before.items():
        assert path.read_bytes() == content
    assert write_phase_diagram(["runs/digits"])[0] == Path("runs/digits/figures/phase_diagram.png")
