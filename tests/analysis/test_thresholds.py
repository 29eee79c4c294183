"""The thresholds script: what it prints, what it writes and what it refuses."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import load
from analysis.statistics.rule import Rules
from analysis.statistics.scale import Scale
from analysis.statistics.summary import Summary, thresholds_table
from analysis.tables.files import read_members
from analysis.tables.schema import MEMBERS
from analysis.text.lines import format_results, format_sensitivity, format_thresholds
from analysis.text.printed import printed_thresholds
from analysis.thresholds import main
from tests.analysis.conftest import RULE, of_kl_weight

ROOT = Path(__file__).parents[2]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_text_is_aligned_and_says_everything(make_members):
    members = make_members(
        {(16, 16): [0.73, 0.73], (4, 4): [1.2, 0.8], (8, 8, 8): [0.88]},
        critical_exact=0.866,
        diverged=[((16, 16), 0, 0.5)],
        failed=[((16, 16), 1, 0.5), ((16, 16), 1, 0.55), ((8, 8, 8), 0, 0.5)],
    )
    lines = format_thresholds(thresholds_table(members, RULE)).splitlines()
    assert lines == [
        "kl_top: active from 0.1 nats of top-layer KL; 95% interval; 3000 steps",
        "cell              rho_c  interval        spread         seeds  members                    exact",
        "digits mlp 16,16  0.725  [0.682, 0.768]  -0.006 +0.006  2      22 (1 diverged, 2 failed)  0.8660",
        "digits mlp 4,4    0.927  above 0.616     -0.184 +0.193  2      22                         0.8660",
        "digits mlp 8,8,8  0.875  above 0.686     -0.018 +0.018  1      11 (1 failed)              0.8660",
    ]
    plain = make_members({(16, 16): [0.73, 0.73], (4, 4): [1.2, 0.8]})
    assert max(map(len, format_thresholds(thresholds_table(plain, RULE)).splitlines())) <= 80


@pytest.mark.process
def test_the_script_rewrites_the_table_from_the_members_alone(made_run, tmp_path):
    (made_run / "history.parquet").unlink()
    done = subprocess.run(
        [sys.executable, ROOT / "analysis" / "thresholds.py", "run", "--write"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    table = pq.read_table(made_run / "thresholds.parquet")
    sensitivity = format_sensitivity(read_members(made_run), RULE)
    comparisons = pq.read_table(made_run / "comparisons.parquet")
    results = format_results(table, comparisons)
    wrote = "wrote run/thresholds.parquet\nwrote run/comparisons.parquet\n"
    assert done.stdout == f"{results}\n\n{sensitivity}\n{wrote}"
    assert comparisons.equals(Summary(read_members(made_run), RULE).comparisons)
    assert comparisons.num_rows == 1
    assert table["n_diverged"].to_pylist() == [0, 1]


def test_the_confidence_is_the_runs_own(made_run, capsys):
    (made_run / "space.yaml").write_text("name: made\nactive_from: {kl_top: 0.1}\nconfidence: 0.68\n")
    assert main([str(made_run), "--write"]) == 0
    assert "68%" in capsys.readouterr().out
    table = pq.read_table(made_run / "thresholds.parquet")
    assert set(table["confidence"].to_pylist()) == {0.68}
    assert table.equals(thresholds_table(read_members(made_run), Rules({"kl_top": 0.1}, 0.68)))


def test_nothing_is_written_unless_it_is_asked_for(made_run, tmp_path, capsys):
    before = snapshot(made_run)
    for more in ([], ["--active-from", "kl_top=0.5"], ["--confidence", "0.68"], ["--csv", f"{tmp_path}/csv"]):
        assert main([str(made_run), *more]) == 0
    assert snapshot(made_run) == before


def test_a_table_by_other_settings_is_written_to_a_file_and_never_into_the_run(made_run, tmp_path, capsys):
    assert main([str(made_run), "--write"]) == 0
    before = snapshot(made_run)
    for setting in (["--active-from", "kl_top=0.5"], ["--confidence", "0.68"]):
        out = tmp_path / "elsewhere" / f"{setting[0]}.parquet"
        assert main([str(made_run), *setting, "--out", str(out)]) == 0
        assert main([str(made_run), *setting, "--write"]) == 2
        assert "--write is for the run's own rule" in capsys.readouterr().err
    written = pq.read_table(tmp_path / "elsewhere" / "--active-from.parquet")
    assert set(written["active_from"].to_pylist()) == {0.5}
    assert set(written["confidence"].to_pylist()) == {0.95}
    written = pq.read_table(out)
    assert set(written["active_from"].to_pylist()) == {0.1}
    assert set(written["confidence"].to_pylist()) == {0.68}
    assert snapshot(made_run) == before


class TestFormats:
    def test_json_has_all_numbers_of_both_tables(self, made_run, capsys):
        assert main([str(made_run), "--format", "json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        summary = Summary(read_members(made_run), RULE)
        assert printed["thresholds"] == json.loads(json.dumps(summary.thresholds.to_pylist(), default=str))
        assert len(printed["comparisons"]) == summary.comparisons.num_rows == 1

    @pytest.mark.parametrize("name", ["latex", "markdown", "csv"])
    def test_others_are_the_table_that_python_has(self, made_run, capsys, name):
        assert main([str(made_run), "--format", name]) == 0
        assert capsys.readouterr().out == getattr(load(made_run).table(), f"to_{name}")() + "\n"


def test_the_margin_of_the_run_stays_whatever_else_is_asked(made_run, capsys):
    with (made_run / "space.yaml").open("a") as file:
        file.write("margin: 0.1\n")
    assert main([str(made_run), "--active-from", "kl_top=0.5", "--confidence", "0.68"]) == 0
    assert "alike within ±0.1" in capsys.readouterr().out


def test_another_rule_keeps_the_control_parameter_and_its_scale(make_members, make_run, tmp_path, capsys):
    members = of_kl_weight(make_members({(8, 8): [0.88, 0.84, 0.91]}))
    folder = make_run(members, kl_weight={"low": 0.5, "high": 1.0, "points": 11, "scale": "log"})
    expected = load(folder).arrow.thresholds.to_pylist()
    settings = ["--active-from", "kl_top=0.1", "--confidence", "0.95"]
    for run in (folder, folder / "members.parquet"):
        assert main([str(run), *settings, "--format", "json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["thresholds"]
        names = ("control", "scale", "critical_value", "critical_low", "critical_high")
        assert {name: row[name] for name in names} == {name: expected[0][name] for name in names}
        (folder / "space.yaml").unlink(missing_ok=True)  # then the members tell both


def test_advice_is_of_what_would_help(make_members):
    rule = Rules({"kl_top": 0.1}, 0.95, {"kl_top": 0.001})
    members = make_members({(16, 16): [0.73, 0.74], (4, 4): [1.2, 1.3], (8, 8): [0.97, 1.2, 0.92]})
    text = format_thresholds(thresholds_table(members, rule))
    (advice,) = re.findall("digits mlp 16,16: (.*)", text)
    assert advice.endswith("after 22 members, for ±0.001 asked; raise max_members")
    for name in ("4,4", "8,8"):
        assert f"digits mlp {name}: rho_c may lie above all that was trained" in text


def test_spans_on_a_log_scale_are_in_decades(make_members):
    rules = Rules({"kl_top": 0.1}, 0.95, {"kl_top": 0.001}, control="kl_weight", scale=Scale("log"))
    table = thresholds_table(of_kl_weight(make_members({(8, 8): [0.73, 0.74]})), rules)
    assert re.search(r"±\d\.\d+ decades after 22 members, for ±0.001 asked", format_thresholds(table))
    assert "spread (decades)" in printed_thresholds(table.to_pylist()).head


def test_a_members_file_is_printed_and_written_only_on_demand(made_run, tmp_path, capsys):
    members = str(made_run / "members.parquet")
    assert main([members]) == 0
    assert main([members, "--write"]) == 2
    assert "digits mlp 16,16" in capsys.readouterr().out
    assert not (made_run / "thresholds.parquet").exists()
    assert main([members, "--out", str(tmp_path / "mine.parquet")]) == 0
    assert main([members, "--out", str(tmp_path / "mine.parquet")]) == 0


def test_tables_are_written_as_csv_by_the_rule_that_is_asked_for(made_run, tmp_path, capsys):
    out = tmp_path / "csv"
    assert main([str(made_run), "--active-from", "kl_top=0.5", "--csv", str(out)]) == 0
    said = capsys.readouterr().out
    names = ["members", "history", "thresholds", "comparisons", "seeds"]
    assert said.endswith("".join(f"wrote {out}/{name}.csv\n" for name in names))
    assert sorted(path.name for path in out.iterdir()) == sorted(f"{name}.csv" for name in names)
    assert sorted(path.name for path in made_run.iterdir()) == [
        "history.parquet", "members.parquet", "space.yaml"
    ]  # fmt: skip
    rows = list(csv.DictReader((out / "thresholds.csv").open()))
    assert [(row["latents"], row["latent_top"], row["active_from"]) for row in rows] == [
        ("8,8", "8", "0.5"),
        ("16,16", "16", "0.5"),
    ]
    table = thresholds_table(read_members(made_run), Rules({"kl_top": 0.5}, 0.95))
    assert [float(row["critical_value"]) for row in rows] == table["critical_value"].to_pylist()


def test_nothing_is_written_as_csv_of_a_run_that_lacks_a_table(made_run, tmp_path, capsys):
    (made_run / "history.parquet").unlink()
    assert main([str(made_run), "--csv", str(tmp_path / "csv")]) == 2
    assert "holds no history.parquet" in capsys.readouterr().err
    assert not (tmp_path / "csv").exists()
    assert not (made_run / "thresholds.parquet").exists()


def test_no_other_file_is_overwritten(made_run, capsys):
    for name in ("members.parquet", "history.parquet"):
        before = (made_run / name).read_bytes()
        assert main([str(made_run), "--out", str(made_run / name)]) == 2
        assert "exists and is no thresholds table" in capsys.readouterr().err
        assert (made_run / name).read_bytes() == before
    assert main([str(made_run), "--out", str(made_run)]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: no such run: nowhere; give the folder that a sweep wrote"),
        (["empty"], "holds no members.parquet (found: nothing)"),
        (["text"], "is not a readable parquet file"),
        (["run", "--active-from", "kl_top=-1"], "'-1' of kl_top is no positive number, and not half_plateau"),
        (["run", "--active-from", "kl=1"], "kl is none of kl_top, information_top, "),
        (["run", "--confidence", "95"], "95 does not lie between 0 and 1"),
    ],
)
def test_errors_go_to_stderr_with_exit_code_two(made_run, tmp_path, arguments, message, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "members.parquet").write_text("no parquet")
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = exit_.code
    out, error = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in error


def test_cells_with_one_label_are_told_apart(make_members):
    budgets = [make_members({(8, 8): [0.8]}, steps=steps, cell_id=f"cell-{steps}") for steps in (1000, 9000)]
    text = format_thresholds(thresholds_table(pa.concat_tables(budgets), RULE))
    assert "digits mlp 8,8 1000 steps" in text
    assert "digits mlp 8,8 9000 steps" in text
    twins = [make_members({(8, 8): [0.8]}, cell_id=f"{letter * 12}") for letter in "ab"]
    text = format_thresholds(thresholds_table(pa.concat_tables(twins), RULE))
    assert "digits mlp 8,8 aaaaaaaa" in text
    assert "digits mlp 8,8 bbbbbbbb" in text


def test_collapse_at_low_rho_is_said(make_members):
    rows = make_members({(8, 8): [0.7]}).to_pylist()
    for row in rows:
        row["kl_top_nats"] = max(0.0, row["rho"] - 0.7)
    table = thresholds_table(pa.Table.from_pylist(rows, schema=MEMBERS), RULE)
    assert "transition, collapsed at low rho" in format_thresholds(table)
