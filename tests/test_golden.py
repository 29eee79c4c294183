"""A run directory that an earlier version wrote is read, extended and resumed by this one."""

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis import figures, thresholds
from analysis.statistics.summary import read_rule, thresholds_table
from analysis.tables.files import read_history, read_members
from ouvae.data import load as load_data
from ouvae.declared import Cell, keys_of
from search_spaces import load
from sweeps import phase_transition
from sweeps.plan.cells import Point, plan_cells
from sweeps.plan.packs import Pack
from tests.sweeps.conftest import drawing_nothing

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.glob("v*"))

OTHER_NUMERICS = {"v4": 3, "v5": 4, "v6": 4, "v6-numerics5": 5, "v6-numerics6": 6}
"""Those with members of other numbers, each with its numerics version."""

OF_MEANS = ["v4", "v5"]
"""Those whose thresholds are means over the seeds that have one; they are medians over all seeds now."""

NOT_ESTIMATED = {*keys_of(Cell), "cell_id", "cell", "collapsed_side", "confidence", "n_seeds", "n_members"}
"""Columns of a threshold that do not depend on how it is estimated."""


TODAY = {
    "rho_c": "critical_value", "rho_c_low": "critical_low", "rho_c_high": "critical_high",
    "rho_c_exact": "critical_exact", "rho_low": "low", "rho_high": "high",
}  # fmt: skip
"""Columns of thresholds of versions in which every run swept rho, with their names of today."""


def of_today(row: dict) -> dict:
    """Return a row, and the rows in it, with the names of today."""
    names = {TODAY.get(name, name): value for name, value in row.items()}
    return {
        name: [of_today(entry) for entry in value] if name == "seeds" else value
        for name, value in names.items()
    }


@pytest.fixture
def run(request, tmp_path) -> Path:
    """Return a copy of the directory of a version, which is its name."""
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / request.param))


def test_there_is_a_directory_of_this_version():
    assert VERSIONS == ["v4", "v5", "v6", "v6-numerics5", "v6-numerics6", "v6-numerics7", "v7-numerics7"]


@pytest.mark.parametrize("run", VERSIONS, indirect=True)
def test_it_is_read_as_it_was_written(run, capsys):
    members = read_members(run)
    assert members.num_rows == 6
    assert read_history(run).num_rows == 6 * 3
    written = [of_today(row) for row in pq.read_table(run / "thresholds.parquet").to_pylist()]
    now = thresholds_table(members, read_rule(run)).to_pylist()
    for row, old in zip(now, written, strict=True):
        for key in NOT_ESTIMATED & old.keys() if run.name in OF_MEANS else old:
            expected = pytest.approx(old[key], rel=1e-9) if isinstance(old[key], float) else old[key]
            assert row[key] == expected, key
    assert thresholds.main([str(run)]) == 0
    assert "80%" in capsys.readouterr().out
    assert figures.main([str(run)]) == 0


@pytest.mark.parametrize("run", OTHER_NUMERICS, indirect=True)
def test_members_of_other_numerics_are_not_mixed_with_new_ones(run, capsys):
    space = GOLDEN / "space.yaml"
    before = {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}
    given = ["--space", str(space), "--out", str(run), "--address", "serial", "--set", "confidence=0.5"]
    given += ["--tracking-uri", f"sqlite:///{run.parent}/store/mlflow.db"]
    assert phase_transition.main(given) == 2
    assert {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()} == before
    assert [path.name for path in run.parent.iterdir()] == [run.name]
    version = OTHER_NUMERICS[run.name]
    weights = "measure its weights anew"
    said = capsys.readouterr().err
    assert f"holds members of numerics version {version}, and this version trains others" in said
    assert weights not in said
    assert read_members(run).num_rows == 6


@pytest.mark.parametrize(("name", "offered"), [("v6-numerics6", True), ("v6-numerics5", False)])
def test_kept_weights_of_the_same_training_can_be_measured_anew(name, offered, tmp_path, capsys):
    run = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
    (run / "weights").mkdir()
    (run / "weights" / "0123.safetensors").touch()
    given = ["--space", str(GOLDEN / "space.yaml"), "--out", str(run), "--address", "serial"]
    assert phase_transition.main(given) == 2
    said = capsys.readouterr().err
    assert (f"measure its weights anew with ouvae-evaluate {run}, give another --out" in said) == offered


def test_members_have_the_identities_of_the_version_that_last_changed_training():
    """Their weights are the same, whatever is measured of them since."""
    (planned,) = plan_cells(load(str(GOLDEN / "space.yaml")).swept(), lambda cell: load_data("digits"), "cpu")
    packs: dict[str, list[Point]] = {}
    for row in read_members(GOLDEN / "v6-numerics6").to_pylist():
        point = Point(row["rho"], row["seed"])
        assert (row["cell_id"], row["member_id"]) == (planned.cell_id, planned.member_id(point))
        packs.setdefault(row["pack_id"], []).append(point)
    assert {Pack(planned, tuple(sorted(own))).pack_id for own in packs.values()} == {*packs}


@pytest.mark.parametrize("run", sorted({*VERSIONS} - {*OTHER_NUMERICS}), indirect=True)
def test_it_is_extended_and_resumed(run, capsys):
    """Another cell and another seed, of which one pack was saved in the middle of its training."""
    before = read_members(run).to_pylist()
    (state,) = (run / "checkpoints").glob("*.pt")
    given = ["--space", str(GOLDEN / "space.yaml"), "--out", str(run), "--address", "serial"]
    given += ["--set", "latents=[[2, 2], [3, 2]]", "--set", "seeds=3"]
    with drawing_nothing():
        assert phase_transition.main(given) == 0
    said = capsys.readouterr().out
    assert "6 members are there already" in said
    assert "12 members" in said.splitlines()[-1]
    assert "set aside" not in said
    assert not state.exists()
    after = read_members(run).to_pylist()
    assert len(after) == 18
    assert {row["pack_id"] for row in after} >= {state.stem}
    now = {row["member_id"]: row for row in after}
    for row in before:
        assert {key: now[row["member_id"]][key] for key in row} == row
    assert not list((run / "fragments").glob("*.bad"))
    assert re.search(r"digits mlp 3,2 ", said)
