"""Phase boundaries: critical values against another key."""

import pyarrow as pa
import pytest

from analysis import TableError
from analysis.charts.boundaries import boundaries
from analysis.charts.cells import chart_cells
from analysis.charts.data import rows_of
from analysis.charts.looks import STYLES
from analysis.phase_diagram import main
from analysis.results import Results
from analysis.statistics.rule import Rules
from analysis.statistics.summary import Summary
from analysis.tables.files import table_of
from analysis.tables.schema import MEMBERS
from tests.analysis.conftest import legend, of_kl_weight, panels

WEIGHTS = (0.5, 1.0, 2.0)


@pytest.fixture
def run(make_members, make_run):
    """Return a run of three weights of the KL for two sizes; the threshold falls, and is beyond the last."""
    parts = []
    for weight, onset in zip(WEIGHTS, (0.9, 0.7, 0.2), strict=True):
        cells = {(8, 8): [onset] * 2, (4, 4): [onset - 0.05] * 2}
        made = make_members(cells, kl_weight=weight, critical_exact=onset)
        rows = [
            row | {name: f"{row[name]} {weight}" for name in ("cell_id", "member_id")}
            for row in made.to_pylist()
        ]
        parts.append(pa.Table.from_pylist(rows, schema=made.schema))
    return make_run(pa.concat_tables(parts))


def test_cells_that_agree_in_all_other_keys_are_a_line(run):
    results = Results(run)
    chart = boundaries(chart_cells([results]), "kl_weight")
    rows = rows_of(chart.tables["boundaries"])
    assert sorted((row["group"], row["x"]) for row in rows) == [(g, x) for g in (0, 1) for x in WEIGHTS]
    known = {(row["latents"][-1], row["kl_weight"]): row for row in results.thresholds.to_pylist()}
    for row in rows:
        threshold = known[(8, 4)[row["group"]], row["x"]]
        assert row["critical_value"] == pytest.approx(threshold["critical_value"], rel=1e-5)
    assert [row["bound"] for row in rows if row["bound"] is not None] == [0.5, 0.5]
    assert legend(chart) == ["digits mlp 8,8", "digits mlp 4,4", "ρ_c lies below", "exact"]
    (panel,) = panels(chart)
    assert panel["encoding"]["x"]["title"] == "weight of the KL β"
    assert panel["encoding"]["x"]["scale"]["type"] == "log"


def test_lines_that_are_left_out_are_counted(make_members, make_run):
    cells = {(size, size): [0.8] for size in range(1, len(STYLES) + 2)}
    parts = []
    for weight in (0.5, 1.0):
        rows = make_members(cells, kl_weight=weight).to_pylist()
        parts += [row | {"cell_id": f"{row['cell_id']} {weight}"} for row in rows]
    run = make_run(table_of(parts, MEMBERS))
    heading = boundaries(chart_cells([Results(run)]), "kl_weight").title
    assert heading.endswith(f", the first {len(STYLES)} of {len(STYLES) + 1} lines")


def test_the_command_writes_the_figure_and_refuses_what_is_no_axis(run, capsys):
    assert main([str(run), "--against", "kl_weight"]) == 0
    assert (run / "figures/phase_diagram_kl_weight.png").exists()
    capsys.readouterr()
    for key, problem in (
        ("rho", "against rho; choose from size"),
        ("steps", "all cells have steps"),
        ("x", "against x"),
    ):
        assert main([str(run), "--against", key]) == 2
        assert problem in capsys.readouterr().err


def test_runs_of_several_control_parameters_have_no_axis_in_common(make_members, make_run, run):
    members = of_kl_weight(make_members({(8, 8): [0.7]}))
    other = make_run(members, "other", kl_weight=[0.5, 1.0])
    with pytest.raises(TableError, match=r"sweep rho .* and kl_weight .*, which have no axis in common"):
        boundaries(chart_cells([Results(run), Results(other)]), "size")


@pytest.fixture
def cascade(make_members, make_run):
    """Return a run of two cells whose k-th unit turns on at 0.93 - 0.08 k. The first has exact values."""
    exact = [{"order_parameter": f"kl_top_unit_{k}", "value": 0.94 - 0.08 * k} for k in (1, 2, 3)]
    rows = make_members({(4,): [1.0], (3,): [1.0]}).to_pylist()
    for row in rows:
        units = [max(0.0, 0.93 - 0.08 * k - row["value"]) for k in range(1, row["latents"][0] + 1)]
        row |= {"kl_units_top_nats": units, "critical_exact_of": exact if row["latents"] == [4] else []}
    names = [f"kl_top_unit_{k}" for k in (1, 2, 3, 4)]
    return make_run(table_of(rows, MEMBERS), active_from={name: 0.001 for name in ["kl_top", *names]})


def test_against_the_unit_a_cell_is_a_line_through_its_units(cascade):
    chart = boundaries(chart_cells([Results(cascade)]), "unit")
    rows = rows_of(chart.tables["boundaries"])
    located = {(row["line"], row["x"]): row for row in rows if row["critical_value"] is not None}
    assert sorted(located) == [(f"digits mlp {n}", k) for n in (3, 4) for k in range(1, n + 1)]
    for (line, k), row in located.items():
        assert row["critical_value"] == pytest.approx(0.93 - 0.08 * k, abs=0.03)
        assert row["exact"] == (pytest.approx(0.94 - 0.08 * k) if line.endswith("4") and k < 4 else None)
    assert {row["panel"] for row in rows} == {"units of the top layer"}
    assert len(panels(chart)) == 1
    assert legend(chart)[-1] == "exact"


def test_a_unit_has_an_exact_value_of_its_own(cascade):
    rows = Results(cascade).thresholds.to_pylist()
    exact = {(row["latents"][0], row["order_parameter"]): row["critical_exact"] for row in rows}
    assert exact[4, "kl_top"] is exact[4, "kl_top_unit_4"] is exact[3, "kl_top_unit_1"] is None
    assert [exact[4, f"kl_top_unit_{k}"] for k in (1, 2, 3)] == pytest.approx([0.86, 0.78, 0.70])


def test_members_of_older_versions_have_the_exact_value_of_the_first_unit_only(cascade):
    members = Results(cascade).members.to_pylist()
    rows = [row | {"critical_exact_of": None, "critical_exact": 0.9} for row in members]
    watched = {"kl_top": 0.1, "kl_top_unit_1": 0.1, "kl_top_unit_2": 0.1, "active_units_top": 2}
    table = Summary(table_of(rows, MEMBERS), Rules(watched, 0.95)).thresholds
    assert table["critical_exact"].to_pylist()[:4] == [0.9, 0.9, None, None]


def test_a_run_without_units_has_no_cascade(run):
    with pytest.raises(TableError, match="fewer than two units of the top layer; sweep with kl_top_unit_1"):
        boundaries(chart_cells([Results(run)]), "unit")
