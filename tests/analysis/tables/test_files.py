"""Tables of a run: known thresholds, files that other tools read alike, and refusals."""

import math
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import TableError
from analysis.statistics.curves import curves
from analysis.statistics.rule import Rules
from analysis.statistics.summary import read_rule, thresholds_table
from analysis.tables.files import read_costs, read_history, read_members, read_settings, table_of, write_table
from analysis.tables.replacing import replacing
from analysis.tables.schema import COSTS, HISTORY, MEMBERS, THRESHOLDS
from analysis.tables.seal import BLANK, sealed
from tests.analysis.conftest import RULE

CELLS = {(16, 16): [0.73, 0.77], (8, 8): [0.88, 0.88], (4, 4): [1.2, 1.3]}


def plain(value):
    """A value of any of the readers in plain Python: lists, dicts, numbers, None."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    return value


def test_rows_hold_the_known_thresholds_in_the_order_of_the_cells(make_members):
    table = thresholds_table(make_members(CELLS), RULE)
    assert table.schema.equals(THRESHOLDS, check_metadata=True)
    first, second, third = table.to_pylist()
    assert [row["cell"] for row in (first, second, third)] == [
        "digits mlp 16,16",
        "digits mlp 8,8",
        "digits mlp 4,4",
    ]
    # 0.3 nats at 0.70, none at 0.75
    assert first["status"] == "transition"
    assert first["seeds"][0]["critical_value"] == pytest.approx(0.725)
    assert first["critical_low"] < 0.725 < first["critical_value"] < 0.775 < first["critical_high"]
    assert first["half_width"] == pytest.approx((first["critical_high"] - first["critical_low"]) / 2)
    assert first["spread_left_low"] < first["spread_left"] < first["spread_left_high"]
    assert (first["n_seeds"], first["n_resolved"], first["n_members"], first["n_diverged"]) == (2, 2, 22, 0)
    assert second["critical_value"] == pytest.approx(0.875, abs=0.005)
    assert (third["status"], third["critical_value"], third["confidence"]) == ("always_active", None, 0.95)
    assert third["critical_low"] > 0.8
    assert (third["critical_high"], third["half_width"], third["n_resolved"]) == (None, None, 0)
    assert third["seeds"][1] == {
        "seed": 1,
        "status": "always_active",
        "n_members": 11,
        "critical_value": None,
        "low": 1.0,
        "high": None,
        "jump": None,
    }


def test_the_half_width_that_was_asked_for_is_that_of_what_was_located(make_members):
    located = Rules({"kl_top": 0.1, "kl_top_pair": 0.1}, 0.95, {"kl_top": 0.05})
    rows = thresholds_table(make_members(CELLS), located).to_pylist()
    assert [row["half_width_asked"] for row in rows[:2]] == [0.05, None]


def test_a_threshold_given_takes_the_place_of_the_run_s_own(make_members):
    members = make_members({(16, 16): [0.73]})
    by_run, given = (thresholds_table(members, Rules({"kl_top": nats}, 0.95)) for nats in (0.2, 1.0))
    assert by_run["active_from"].to_pylist() == [0.2]
    assert given["active_from"].to_pylist() == [1.0]
    # 10 (0.73 - rho) = 1 at 0.63, which lies between 0.60 and 0.65
    assert given["seeds"][0][0]["critical_value"].as_py() == pytest.approx(0.625)
    assert by_run["seeds"][0][0]["critical_value"].as_py() == pytest.approx(0.725)


@pytest.mark.parametrize("how", ["diverged", "failed"])
def test_lost_members_are_counted_and_left_out(make_members, how):
    rho = (0.5, 0.6, 0.7, 0.8)
    members = make_members({(8, 8): [0.65, 0.65]}, rho=rho, **{how: [((8, 8), 1, 0.7)]})
    row = thresholds_table(members, RULE).to_pylist()[0]
    assert (row["n_members"], row["n_diverged"] + row["n_failed"], row[f"n_{how}"]) == (8, 1, 1)
    assert [seed["high"] for seed in row["seeds"]] == [0.7, 0.8]
    all_lost = make_members({(8, 8): [0.65, 0.65]}, rho=rho, **{how: [((8, 8), 1, r) for r in rho]})
    row = thresholds_table(all_lost, RULE).to_pylist()[0]
    assert (row["status"], row["n_seeds"], row["n_resolved"]) == ("transition", 2, 1)
    assert [seed["status"] for seed in row["seeds"]] == ["transition", "unresolved"]


def test_a_cell_of_which_nothing_is_left_has_a_row(make_members):
    rho = (0.5, 0.7)
    failed = [((8, 8), seed, value) for seed in range(2) for value in rho]
    rows = thresholds_table(make_members({(8, 8): [0.6, 0.6], (4, 4): [0.6]}, rho=rho, failed=failed), RULE)
    lost, whole = rows.to_pylist()
    assert (lost["status"], lost["critical_value"], lost["collapsed_side"]) == ("unresolved", None, "high")
    assert (lost["n_seeds"], lost["n_members"], lost["n_diverged"], lost["n_failed"]) == (2, 4, 0, 4)
    assert (whole["status"], whole["n_failed"]) == ("transition", 0)


def test_failed_members_round_trip(make_members, tmp_path):
    members = make_members({(8, 8): [0.6]}, rho=(0.5, 0.7), failed=[((8, 8), 0, 0.7)])
    write_table(members, tmp_path / "members.parquet")
    assert read_members(tmp_path).equals(members)
    whole, lost = members.to_pylist()
    assert (whole["failure"], lost["failure"]) == (None, "OutOfMemoryError: CUDA out of memory")
    assert (lost["parameters"], lost["kl_top_nats"], lost["seconds"]) == (None, None, 0)


def test_curves_are_sorted_and_complete(make_members):
    members = make_members({(8, 8): [0.7]}, rho=(0.9, 0.5, 0.7), diverged=[((8, 8), 0, 0.9)])
    rho, kl = curves(members)["cell-8,8"][0]
    assert rho.tolist() == [0.5, 0.7]
    assert kl == pytest.approx([2.0, 0.0])


def test_members_that_give_no_curve_are_all_named(make_members):
    members = make_members({(8, 8): [0.7]}, rho=(0.5, 0.8, 0.6, 0.5))
    rows = members.to_pylist()
    rows[2]["kl_top_nats"] = None
    rows[1]["kl_top_nats"] = float("nan")
    rows[1]["rho"] = 0.9
    with pytest.raises(TableError) as refusal:
        curves(pa.Table.from_pylist(rows, schema=MEMBERS))
    assert "digits mlp 8,8 at rho 0.5, seed 0" in str(refusal.value)
    assert "without a finite kl_top_nats: 8,8-0-0.8, 8,8-0-0.6" in str(refusal.value)


def test_a_rule_is_the_runs_own_and_its_confidence_is_that_of_the_intervals(made_run):
    (made_run / "space.yaml").write_text("name: made\nactive_from: {kl_top: 0.2}\nconfidence: 0.8\n")
    rule = read_rule(made_run)
    assert rule == read_rule(made_run / "members.parquet") == Rules({"kl_top": 0.2}, 0.8)
    table = thresholds_table(read_members(made_run), rule)
    assert set(table["active_from"].to_pylist()) == {0.2}
    assert set(table["confidence"].to_pylist()) == {0.8}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "[",
        "",
        "name: made\n",
        "active_from: {kl_top: x}\nconfidence: 1\n",
        "active_from: 1\nconfidence: 1\n",
    ],
)
def test_a_run_that_does_not_say_its_rule_is_refused(made_run, text):
    (made_run / "space.yaml").unlink()
    if text is not None:
        (made_run / "space.yaml").write_text(text)
    with pytest.raises(TableError, match=r"space\.yaml.*give the folder that a sweep wrote"):
        read_rule(made_run)


def test_a_row_that_lacks_a_column_or_has_what_is_none_is_refused(make_members):
    whole = make_members({(8, 8): [0.7]}).to_pylist()
    assert table_of(whole, MEMBERS).num_rows == len(whole)
    bad = {name: value for name, value in whole[0].items() if name != "rho"} | {"colour": "red", "hue": 1}
    with pytest.raises(TableError) as refusal:
        table_of([*whole[1:], bad], MEMBERS)
    assert "columns missing: rho" in str(refusal.value)
    assert "columns unknown: colour, hue" in str(refusal.value)


def test_what_an_older_table_lacks_is_filled_in(made_run):
    """A key has its neutral value then, a metric is null; what has neither is missing."""
    whole = read_members(made_run)
    later = ["kl_warmup", "start", "gradient_rho", "free_bits_nats", "active_units", "code_digest"]
    pq.write_table(whole.drop_columns(later), made_run / "members.parquet")
    filled = read_members(made_run)
    assert filled.drop_columns(["active_units"]).equals(whole.drop_columns(["active_units"]))
    assert filled["active_units"].null_count == filled.num_rows
    pq.write_table(whole.drop_columns(["steps", "value"]), made_run / "members.parquet")
    with pytest.raises(TableError, match="columns missing: steps, value"):
        read_members(made_run)


def test_tables_of_the_version_before_are_read(made_run):
    """When rho was the only control parameter: its column is the value of members and evaluations."""
    members, history = read_members(made_run), read_history(made_run)
    names = {"critical_exact": "rho_c_exact"}
    old = members.drop_columns(["control", "value"])
    old = old.rename_columns([names.get(name, name) for name in old.column_names])
    of_history = history.rename_columns(["rho" if name == "value" else name for name in history.column_names])
    for table, name in ((old, "members"), (of_history, "history")):
        metadata = {"schema_version": "4", "table": name}
        pq.write_table(table.replace_schema_metadata(metadata), made_run / f"{name}.parquet")
    assert read_members(made_run).equals(members)
    assert read_history(made_run).equals(history)
    assert set(members["control"].to_pylist()) == {"rho"}


def test_members_and_history_round_trip(made_run, make_members, make_history):
    members = read_members(made_run)
    assert members.schema.equals(MEMBERS, check_metadata=True)
    assert members.num_rows == 66
    assert read_members(str(made_run / "members.parquet")).equals(members)
    history = read_history(made_run)
    assert history.schema.equals(HISTORY, check_metadata=True)
    assert history.equals(make_history(members))


@pytest.mark.parametrize("name", ["members", "thresholds"])
def test_a_table_is_read_alike_by_every_reader(make_members, tmp_path, name):
    """DuckDB asks for pytz to hand over moments."""
    pytest.importorskip("pytz")
    members = make_members(CELLS, diverged=[((8, 8), 1, 0.5)])
    table = members if name == "members" else thresholds_table(members, RULE)
    path = tmp_path / f"{name}.parquet"
    write_table(table, path)
    rows = plain(table.to_pylist())
    assert pq.read_table(path).equals(table)
    relation = duckdb.sql(f"select * from read_parquet('{path}')")
    from_duckdb = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    assert plain(from_duckdb) == rows
    assert plain(pl.read_parquet(path).to_dicts()) == rows
    assert plain(pd.read_parquet(path).to_dict("records")) == rows


def test_a_folder_named_like_a_partition_adds_no_column(make_members, tmp_path):
    write_table(make_members({(8, 8): [0.7]}), tmp_path / "budget=3000" / "members.parquet")
    assert read_members(tmp_path / "budget=3000").schema.names == MEMBERS.names


def test_a_missing_run_and_a_missing_file_are_told_apart(tmp_path):
    with pytest.raises(TableError, match=r"no such run: .*nowhere; give the folder"):
        read_members(tmp_path / "nowhere")
    (tmp_path / "space.yaml").write_text("name: made\n")
    with pytest.raises(TableError, match=r"holds no members.parquet \(found: space.yaml\)"):
        read_members(tmp_path)


@pytest.mark.parametrize("content", [b"", b"rho,kl\n0.5,1\n", b"PAR1 cut off PAR1"])
def test_a_file_that_is_not_parquet_is_refused(tmp_path, content):
    (tmp_path / "members.parquet").write_bytes(content)
    with pytest.raises(TableError, match="is not a readable parquet file"):
        read_members(tmp_path)


def test_a_file_cut_in_its_data_is_refused(made_run):
    path = made_run / "members.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(600) + whole[604:])
    with pytest.raises(TableError, match="is not a readable parquet file"):
        read_members(made_run)


def test_a_flipped_bit_never_gives_another_table(made_run):
    path = made_run / "members.parquet"
    whole, table, refused = path.read_bytes(), read_members(made_run), 0
    bits = range(0, 8 * len(whole), 8 * len(whole) // 300)
    for bit in bits:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            assert read_members(made_run).equals(table)
        except TableError:
            refused += 1
    assert refused > 0.9 * len(bits)


def test_a_table_that_another_program_wrote_anew_is_read(made_run):
    """It has no seal, and that of the first file does not travel with the table."""
    path = made_run / "members.parquet"
    table = pq.read_table(path)
    for rewritten in (table, table.slice(0, 3)):
        pq.write_table(rewritten, path)
        assert read_members(made_run).num_rows == len(rewritten)


def test_settings_that_were_changed_are_refused(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_bytes(sealed(b"confidence: 0.8\n# " + BLANK + b"\n"))
    assert read_settings(tmp_path) == {"confidence": 0.8}
    path.write_bytes(path.read_bytes().replace(b"0.8", b"0.9"))
    with pytest.raises(TableError, match=r"space\.yaml cannot be used: .*changed.*delete the line with"):
        read_settings(tmp_path)
    path.write_bytes(path.read_bytes().partition(b"#")[0])
    assert read_settings(tmp_path) == {"confidence": 0.9}


def test_all_departures_from_the_schema_come_in_one_message(make_members, tmp_path):
    table = make_members({(8, 8): [0.7]}).slice(0, 0).drop_columns(["value", "seed"])
    table = table.append_column("colour", pa.array([], pa.string()))
    table = table.set_column(table.column_names.index("depth"), "depth", pa.array([], pa.float64()))
    pq.write_table(table, tmp_path / "members.parquet")
    with pytest.raises(TableError) as refusal:
        read_members(tmp_path)
    message = str(refusal.value)
    for problem in (
        "columns missing: value, seed",
        "columns unknown: colour",
        "column depth is double, it must be int32",
        "no rows",
    ):
        assert problem in message


def test_a_table_without_a_version_or_of_another_kind_is_refused(made_run, make_members):
    bare = read_members(made_run).replace_schema_metadata(None)
    pq.write_table(bare, made_run / "members.parquet")
    with pytest.raises(TableError, match="schema_version is none"):
        read_members(made_run)
    old = bare.replace_schema_metadata({"schema_version": "3", "table": "members"}).drop_columns(["rho"])
    pq.write_table(old, made_run / "members.parquet")
    with pytest.raises(TableError, match="its schema_version is 3, this project reads 5\nread it"):
        read_members(made_run)
    with pytest.raises(TableError, match="it is a history table"):
        read_members(made_run / "history.parquet")


def test_only_the_history_may_have_no_rows(made_run):
    write_table(HISTORY.empty_table(), made_run / "history.parquet")
    assert read_history(made_run).num_rows == 0
    write_table(MEMBERS.empty_table(), made_run / "members.parquet")
    with pytest.raises(TableError, match="it has no rows"):
        read_members(made_run)


def test_what_departs_from_its_schema_is_not_written(make_members, tmp_path):
    members, path = make_members({(8, 8): [0.7]}), tmp_path / "members.parquet"
    rows = members.to_pylist()
    del rows[3]["seed"]
    with pytest.raises(TableError, match="column seed has 1 nulls, it may have none"):
        write_table(pa.Table.from_pylist(rows, schema=MEMBERS), path)
    with pytest.raises(TableError, match="schema is none of members, history, thresholds"):
        write_table(pa.table({"rho": [0.5]}), path)
    assert not path.exists()


def test_columns_are_written_in_the_order_of_the_schema(make_members, tmp_path):
    members = make_members({(8, 8): [0.7]})
    write_table(members.select(members.column_names[::-1]), tmp_path / "members.parquet")
    assert pq.read_schema(tmp_path / "members.parquet").names == MEMBERS.names


def test_writing_replaces_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "file"
    with replacing(path) as file:
        file.write(b"old")
    with path.open("rb") as reader:
        with replacing(path) as file:
            file.write(b"newer")
        assert reader.read() == b"old"
    with pytest.raises(RuntimeError, match="halfway"), replacing(path) as file:
        file.write(b"new")
        raise RuntimeError("halfway")
    assert path.read_bytes() == b"newer"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    with pytest.raises(TableError, match="cannot write"), replacing(path / "below"):
        pass


@pytest.mark.process
def test_analysis_needs_none_of_what_trains_and_sweeps():
    forbidden = ["torch", "ray", "optuna", "mlflow", "sweeps", "search_spaces"]
    code = (
        "import sys, analysis.figures, analysis.thresholds\n"
        f"found = [n for n in {[*forbidden, 'matplotlib']} if n in sys.modules]\n"
        "assert not found, found"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=300)


def test_costs_are_read_as_they_were_written_and_missed_by_name(cost_row, write_run, made_run):
    rows = [cost_row("vae", (40, 20), [4.0, 4.4]), cost_row("counted", (100,) * 15, memory_kind="cuda peak")]
    costs = read_costs(write_run("table9-quick", costs=rows))
    assert costs.schema.equals(COSTS, check_metadata=True)
    assert costs.to_pylist() == rows
    with pytest.raises(TableError, match="holds no costs"):
        read_costs(made_run)
