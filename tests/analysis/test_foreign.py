"""Thresholds of a table of any columns: the command and its Python, what they say, write and refuse."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from analysis import TableError, thresholds_of
from analysis.statistics.curves import curves_of
from analysis.statistics.estimate import cell_threshold
from analysis.statistics.scale import Scale
from analysis.thresholds import main

BETAS = tuple(np.geomspace(0.25, 16, 7).tolist())
ROLES = {"control": "beta", "value": "kl", "seed": "seed"}
OPTIONS = ["--control", "beta", "--value", "kl", "--seed", "seed"]


def runs(centres=None, seeds=6):
    """Return a table of models whose KL falls to 0 at a beta near a model's centre."""
    rows = []
    for model, centre in (centres or {"a": 1.5, "b": 6.0}).items():
        dice = np.random.default_rng(0)
        for seed in range(seeds):
            onset = centre * 10 ** (0.05 * dice.standard_normal())
            rows += [(model, seed, beta, max(0.0, 5 * (1 - beta / onset))) for beta in BETAS]
    return dict(zip(("model", "seed", "beta", "kl"), map(list, zip(*rows, strict=True)), strict=True))


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return a writer of runs.csv into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(table=None, name="runs.csv"):
        pyarrow.csv.write_csv(pa.table(table or runs()), name)
        return name

    return write


def ended(arguments):
    try:
        return main(arguments)
    except SystemExit as exit_:
        return exit_.code


def test_a_group_has_the_threshold_of_its_curves():
    table = runs()
    found = thresholds_of(table, **ROLES, by=["model"], scale="log")
    for row in found.thresholds.to_pylist():
        members = zip(*(table[name] for name in ("model", "seed", "beta", "kl")), strict=True)
        curves = curves_of((seed, beta, kl) for model, seed, beta, kl in members if model == row["model"])
        expected = cell_threshold(curves, 0.1, 0.95, Scale("log"))
        assert row["critical_value"] == expected.critical_value
        assert (row["critical_low"], row["critical_high"]) == (expected.critical_low, expected.critical_high)
        assert (row["half_width"], row["seeds"], row["members"]) == (expected.half_width, 6, 42)
    (comparison,) = found.comparisons.to_pylist()
    assert (comparison["first"], comparison["differs_in"], comparison["verdict"]) == (
        "model=a",
        "model",
        "lower",
    )
    assert comparison["ratio"] == pytest.approx(1.5 / 6, rel=0.15)
    assert comparison["ratio_low"] < comparison["ratio"] < comparison["ratio_high"] < 1


def test_any_kind_of_frame_is_the_same_table(written):
    table = runs()
    expected = thresholds_of(table, **ROLES, by=["model"]).thresholds
    written(table)
    pq.write_table(pa.table(table), "runs.parquet")
    for frame in (
        pd.DataFrame(table),
        pl.DataFrame(table),
        pa.table(table),
        "runs.csv",
        Path("runs.parquet"),
    ):
        assert thresholds_of(frame, **ROLES, by=["model"]).thresholds.equals(expected), type(frame)


def test_groups_are_compared_where_they_differ_in_one_column():
    table = runs({"a": 1.0, "b": 2.0})
    both = {name: [*column, *column] for name, column in table.items()}
    both["size"] = [8] * len(table["kl"]) + [16] * len(table["kl"])
    pairs = thresholds_of(both, **ROLES, by=["model", "size"]).comparisons.to_pylist()
    assert sorted((row["first"], row["second"], row["differs_in"]) for row in pairs) == [
        ("model=a, size=16", "model=b, size=16", "model"),
        ("model=a, size=8", "model=a, size=16", "size"),
        ("model=a, size=8", "model=b, size=8", "model"),
        ("model=b, size=8", "model=b, size=16", "size"),
    ]


def test_names_of_seeds_and_rows_without_a_seed():
    table = runs({"a": 1.5})
    named = table | {"seed": [f"run {seed}" for seed in table["seed"]]}
    assert thresholds_of(named, **ROLES).thresholds.equals(thresholds_of(table, **ROLES).thresholds)
    blank = (
        pa.table(table | {"seed": ["", *named["seed"][1:]]}),
        pa.table(table | {"seed": [float("nan")] * 42}),
    )
    assert [thresholds_of(frame, **ROLES).rows[0]["seeds"] for frame in blank] == [7, 42]
    probes = thresholds_of(table, control="beta", value="kl")
    assert probes.thresholds["seeds"].to_pylist() == [42]
    assert probes.next(2)["seed"].to_pylist() == [42, 43]


def test_rows_that_are_not_finite_are_left_out_and_counted(written, capsys):
    table = runs({"a": 1.5})
    usable = {name: column[3:] for name, column in table.items()}
    table["kl"][:3] = [float("nan"), float("inf"), None]
    lost, without = (thresholds_of(one, **ROLES) for one in (table, usable))
    assert lost.thresholds["critical_value"].equals(without.thresholds["critical_value"])
    assert (lost.rows[0]["diverged"], lost.rows[0]["members"]) == (3, 42)
    assert main([written(table), *OPTIONS]) == 0
    assert "3 rows without a finite beta or kl left out, as diverged" in capsys.readouterr().out


def test_next_continues_the_table(written, capsys):
    table = runs()
    assert main([written(table), *OPTIONS, "--by", "model", "--scale", "log", "--next", "6"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [*rows[0]] == ["model", "beta", "seed"]
    found = thresholds_of(table, **ROLES, by=["model"], scale="log")
    for model, row in zip("ab", found.rows, strict=True):
        proposed = [float(one["beta"]) for one in rows if one["model"] == model]
        assert np.median(proposed) == pytest.approx(row["critical_value"], rel=1e-5)
        assert [int(one["seed"]) for one in rows if one["model"] == model] == [*range(6, 12)]
    trained = {name: [*table[name]] for name in table}
    for one in rows:
        for name, value in (
            ("model", one["model"]),
            ("beta", float(one["beta"])),
            ("seed", int(one["seed"])),
        ):
            trained[name].append(value)
        trained["kl"].append(1.0 if float(one["beta"]) < {"a": 1.5, "b": 6.0}[one["model"]] else 0.0)
    again = thresholds_of(trained, **ROLES, by=["model"], scale="log")
    assert {*again.next(1)["seed"].to_pylist()} == {12}


@pytest.mark.parametrize(
    ("kl", "status", "side"), [(2.0, "always active", "above"), (0.0, "always collapsed", "below")]
)
def test_all_active_and_all_collapsed_are_results(written, capsys, kl, status, side):
    table = runs({"a": 1.5}) | {"kl": [kl] * 42}
    assert main([written(table), *OPTIONS]) == 0
    said = capsys.readouterr().out
    assert f"{status}, so that the critical beta lies {side} the trained values; train {side} them" in said
    assert "no row says at which end of beta models collapse; the high end is assumed" in said
    assert main([written(table), *OPTIONS, "--collapsed", "low"]) == 0
    said = capsys.readouterr().out
    assert f"lies {'below' if side == 'above' else 'above'} the trained values" in said
    assert "is assumed" not in said
    assert main([written(table), *OPTIONS, "--next", "3"]) == 0
    assert capsys.readouterr().out == "beta,seed\n"


def test_one_seed_is_said(written, capsys):
    assert main([written(runs({"a": 1.5}, seeds=1)), *OPTIONS]) == 0
    assert "one seed, whose spread is not seen" in capsys.readouterr().out


def test_files_and_formats(written, capsys):
    more = [*OPTIONS, "--by", "model", "--scale", "log"]
    name = written()
    assert main([name, *more, "--out", "found.parquet", "--figure", "curves.png"]) == 0
    text = capsys.readouterr().out
    found = thresholds_of(name, **ROLES, by=["model"], scale="log")
    assert text == f"{found}\nwrote found.parquet\nwrote curves.png\n"
    assert text.startswith("kl: active from 0.1; 95% interval; log scale\nmodel  critical beta  interval")
    assert pq.read_table("found.parquet").equals(found.thresholds)
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")
    assert main([name, *more, "--format", "markdown"]) == 0
    assert capsys.readouterr().out == found.table().to_markdown() + "\n"
    assert main([name, *more, "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["comparisons"] == found.comparisons.to_pylist()
    assert main([name, *more, "--out", "runs.parquet"]) == 0
    pq.write_table(pa.table(runs()), "runs.parquet")
    assert main(["runs.parquet", *more, "--out", "runs.parquet"]) == 2
    assert "holds no critical values; give --out a new file" in capsys.readouterr().err


def test_the_page_says_what_the_text_says(written):
    table = runs({"<b>a</b>": 1.5, "b": 6.0})
    found = thresholds_of(table, **ROLES, by=["model"], scale="log")
    page = found.page()
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert "<b>a</b>" not in page.partition('<script type="application/json"')[0]
    for line in found.table().lines:
        assert line[2] in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert [cell["name"] for cell in data["cells"]] == ["model=<b>a</b>", "model=b"]
    assert len(data["tables"]["members"]["x"]) == 84
    scales = re.findall(r'"scale": \{"domain": \[[^]]*\], "nice": false, "type": "log"\}', page)
    assert scales, "the axis of the control parameter is on the scale of the estimate"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", *OPTIONS], "error: no such file: nowhere.csv; give a CSV or Parquet file"),
        (["notes.txt", *OPTIONS], "notes.txt is neither of .csv and .parquet"),
        (["text.parquet", *OPTIONS], "text.parquet cannot be read as parquet: "),
        (
            ["runs.csv"],
            "name its columns with --control and --value, and --seed; there are model, seed, beta, kl",
        ),
        (
            ["runs.csv", "--control", "bta", "--value", "kl"],
            "no column 'bta', the columns are model, seed, beta, kl; did you mean 'beta'?",
        ),
        (["runs.csv", "--control", "beta", "--value", "beta"], "column 'beta' has two roles"),
        (
            ["runs.csv", "--control", "beta", "--value", "model"],
            "column 'model' must hold numbers, found 'a' in row 1",
        ),
        (
            ["runs.csv", *OPTIONS],
            "rows 1 and 43 both have beta 0.25 and seed 0; keep one, or name the column",
        ),
        (
            ["zero.csv", *OPTIONS, "--scale", "log"],
            "'beta' must be positive on a log scale, found 0 in row 2",
        ),
        (["single.csv", *OPTIONS], "'beta' has a single value, 0.5"),
        (["lost.csv", *OPTIONS], "no row has both a finite beta and a finite kl"),
        (["empty.csv", *OPTIONS], "empty.csv has no rows"),
        (["nothing.csv", *OPTIONS], "nothing.csv has no rows"),
        (["status.csv", *OPTIONS, "--by", "status"], "column 'status' has the name of a result's column"),
        (["zero.csv", *OPTIONS, "--active-from", "kl_top=1"], "one level without a name: --active-from 0.1"),
        (["zero.csv", *OPTIONS, "--active-from", "-1"], "'-1' is no positive number"),
        (["zero.csv", *OPTIONS, "--csv", "folder"], "--write and --csv are for a run"),
        (["zero.csv", *OPTIONS, "--figure", "f.jpg"], "--figure f.jpg must end in .png or .svg or .pdf"),
        (["zero.csv", *OPTIONS, "--next", "0"], "0 is no whole number above 0"),
    ],
)
def test_each_error_is_one_clear_line(written, capsys, arguments, message):
    written()
    Path("notes.txt").write_text("notes")
    Path("text.parquet").write_text("no parquet")
    Path("nothing.csv").write_text("")
    head = "beta,kl,seed,status\n"
    Path("empty.csv").write_text(head)
    Path("zero.csv").write_text(f"{head}1,0,0,x\n0,1,0,x\n")
    Path("single.csv").write_text(f"{head}0.5,0,0,x\n0.5,1,1,x\n")
    Path("lost.csv").write_text(f"{head}1,,0,x\n2,nan,0,x\n")
    Path("status.csv").write_text(f"{head}1,0,0,x\n2,1,0,x\n")
    assert ended(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert message in error
    assert len(error.splitlines()) == 1 or "usage:" in error


def test_frames_that_are_no_tables_and_bad_cells_are_refused():
    table = runs({"a": 1.5})
    with pytest.raises(TableError, match="column 'kl' must hold numbers, found 'x' in row 3"):
        thresholds_of(table | {"kl": [*table["kl"][:2], "x", *table["kl"][3:]]}, **ROLES)
    with pytest.raises(ValueError, match="active_from must be a number or 'half_plateau'"):
        thresholds_of(table, **ROLES, active_from="0.5")
    with pytest.raises(TableError, match="no table: int"):
        thresholds_of(3, **ROLES)
    with pytest.raises(TableError, match="no table: dict"):
        thresholds_of({"beta": [1, 2], "kl": [1]}, **ROLES)
    with pytest.raises(TableError, match=r"no column 'b'(.|\n)*no column 'k'"):
        thresholds_of(table, control="b", value="k")
