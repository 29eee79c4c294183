"""Tables without lists: names, values and what reads them."""

import csv
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from analysis import TableError
from analysis.statistics.summary import thresholds_table
from analysis.tables.files import read_history, read_members, table_of
from analysis.tables.flat import flat, pandas_frame, seed_thresholds, write_csv
from analysis.tables.schema import COSTS, MEMBERS, SCHEMAS
from ouvae.declared import METRICS
from tests.analysis.conftest import RHO, RULE

GOLDEN = Path(__file__).parents[2] / "golden" / "v6-numerics7"


@pytest.fixture
def deep(make_members) -> pa.Table:
    """Return members of two and of three layers, one of which diverged."""
    cells = {(8, 4): [0.8, 0.9], (16, 8, 2): [0.7, 0.75]}
    return make_members(cells, diverged=[((8, 4), 1, RHO[0])])


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_no_table_keeps_a_list_or_has_two_columns_of_one_name(schema):
    table = flat(schema.empty_table())
    assert not [field for field in table.schema if pa.types.is_nested(field.type)]
    assert len({*table.column_names}) == table.num_columns
    assert table.schema.metadata == schema.metadata
    assert all({b"unit", b"description"} <= field.metadata.keys() for field in table.schema)


def test_layers_are_counted_from_the_data_and_the_top_has_one_name_at_every_depth(deep):
    columns = ["latents", "latent_1", "latent_2", "latent_3", "latent_top"]
    rows = flat(deep).select(columns).to_pylist()
    assert {tuple(row.values()) for row in rows} == {("8,4", 8, 4, None, 4), ("16,8,2", 16, 8, 2, 2)}
    names = flat(deep).column_names
    assert names[names.index("latents") :][:5] == columns
    assert "latent_4" not in names


def test_what_is_measured_of_a_layer_is_the_entry_of_the_list(deep):
    for row, own in zip(deep.to_pylist(), flat(deep).to_pylist(), strict=True):
        entries = [own[f"kl_{layer}_nats"] for layer in (1, 2, 3)]
        expected = row["kl_nats"] or []
        assert entries == [*expected, *[None] * (3 - len(expected))]
        assert "kl_nats" not in own


def test_the_top_column_that_a_table_has_is_the_last_entry_in_real_members():
    """They are declared apart, and a flat table has one of each."""
    rows, history = read_members(GOLDEN), read_history(GOLDEN)
    for table in (rows, history):
        for row, own in zip(table.to_pylist(), flat(table).to_pylist(), strict=True):
            tops = [(own[name], row[of][-1]) for name, of in TOPS.items()]
            assert [top for top, _ in tops] == pytest.approx([entry for _, entry in tops])


TOPS = {
    "kl_top_nats": "kl_nats",
    "signal_share_top": "signal_share",
    "active_units_top": "active_units",
    "active_units_one_draw_top": "active_units_one_draw",
}


def test_every_metric_of_a_layer_has_a_top():
    assert {*TOPS.values()} == {metric.name for metric in METRICS if metric.per_layer}
    assert {*TOPS} <= {*MEMBERS.names}


def test_an_entry_of_a_layer_may_be_null(make_members):
    rows = make_members({(8, 4): [0.8]}, signal_share=[0.5, None], rho=[0.5])
    (row,) = flat(rows).to_pylist()
    assert [row[f"signal_share_{layer}"] for layer in (1, 2, "top")] == [0.5, None, None]


def test_a_part_of_a_table_is_flat_as_the_whole_is(deep):
    assert flat(deep.slice(30)).equals(flat(deep).slice(30))
    assert flat(pa.concat_tables([deep.slice(0, 7), deep.slice(7)])).equals(flat(deep))


def test_other_lists_are_written_as_labels_write_them(make_members, cost_row):
    own = {"hidden": [64, 32], "smoothed_networks": [], "data_variance": None}
    row = flat(make_members({(8, 8): [0.8]}, **own)).to_pylist()[0]
    assert (row["hidden"], row["smoothed_networks"], row["data_variance"]) == ("64,32", "none", None)
    costs = flat(table_of([cost_row("a", (8, 8), [1.5, 2.0])], COSTS))
    assert costs["seconds_per_epoch"].to_pylist() == ["1.5,2.0"]


def test_the_thresholds_of_seeds_are_a_row_each(deep):
    thresholds = thresholds_table(deep, RULE)
    seeds = seed_thresholds(thresholds).to_pylist()
    expected = [(row["cell"], seed) for row in thresholds.to_pylist() for seed in row["seeds"]]
    found = [
        (row["cell"], {name: row[name] for name in own})
        for row, (_, own) in zip(seeds, expected, strict=True)
    ]
    assert found == expected
    assert {(row["cell"], tuple(row["latents"]), row["order_parameter"]) for row in seeds} == {
        ("digits mlp 8,4", (8, 4), "kl_top"),
        ("digits mlp 16,8,2", (16, 8, 2), "kl_top"),
    }


def test_whole_numbers_stay_whole_in_pandas_where_some_are_null(deep):
    frame = pandas_frame(deep)
    assert frame["seed"].dtype == "int64"
    assert frame["latent_3"].dtype == "Int64"
    assert frame["diverged_at_step"].dropna().tolist() == [120]
    assert frame.groupby("latents", sort=False).size().to_dict() == {"8,4": 22, "16,8,2": 22}
    assert frame.groupby("latent_3", dropna=False).size().to_dict() == {2: 22, pd.NA: 22}


def test_csv_has_every_digit_and_one_line_of_names(deep, tmp_path):
    (path,) = write_csv({"members": deep}, tmp_path / "new" / "folder")
    with path.open(newline="") as file:
        names, *rows = csv.reader(file)
    frame = pandas_frame(deep)
    assert names == list(frame.columns)
    assert len(rows) == deep.num_rows
    kinds = {"cell": str, "latents": str, "rho": float, "seed": int, "kl_top_nats": float, "latent_3": int}
    for name, kind in kinds.items():
        read = [kind(row[names.index(name)]) if row[names.index(name)] else None for row in rows]
        assert read == [None if pd.isna(value) else value for value in frame[name]]


def test_csv_that_cannot_be_written_is_one_clear_error(deep, tmp_path):
    (tmp_path / "taken").write_text("a file of the user's")
    with pytest.raises(TableError, match=r"cannot write .*members.csv"):
        write_csv({"members": deep}, tmp_path / "taken")


def test_spreadsheets_take_every_column(deep, tmp_path):
    """They know no time zone, and refuse moments that have one."""
    frame = pandas_frame(deep.slice(20, 4))
    frame.to_excel(tmp_path / "members.xlsx", index=False)
    read = pd.read_excel(tmp_path / "members.xlsx")
    assert read["latents"].tolist() == frame["latents"].tolist()
    assert read["finished_at"].tolist() == frame["finished_at"].tolist()
