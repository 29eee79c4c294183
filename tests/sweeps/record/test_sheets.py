"""Sheets in a run directory: kept with members, joined, and never in the way of numbers."""

import shutil
from dataclasses import replace

import pytest

from analysis.figures import write_figures
from analysis.tables.files import read_sheet
from ouvae.training.outcome import Sheet
from sweeps.plan.packs import Pack
from sweeps.record import merging
from sweeps.record.rows import sheet_rows
from tests.sweeps.conftest import held, opened, write_tables
from tests.sweeps.record.conftest import kl_top, points


def sheet(grey):
    return Sheet((2, 2), 1, 0.5, *[bytes([grey] * 4 * 8)] * 4)


@pytest.fixture
def run(tmp_path, make_space, train):
    """Return a maker of runs with these seeds; members at 0.5 and 1 of each have sheets of a grey."""

    def make(name, *seeds, grey=0):
        space = make_space(seeds=3)
        with opened(tmp_path / name, space) as ledger:
            for seed in seeds:
                pack = train(ledger, points(seed), space)
                ledger.sheets.add(sheet_rows(pack, {0: sheet(grey), 2: sheet(grey)}))
            write_tables(ledger, space)
        return tmp_path / name

    return make


def drawn(run):
    """Return what a run keeps of its one cell: seed, rho and grey."""
    (path,) = (run / "sheets").iterdir()
    return [(row["seed"], row["value"], row["samples"][0]) for row in read_sheet(run, path.stem).to_pylist()]


def test_a_member_that_is_trained_again_has_its_new_images(run, make_space, plan_cells):
    out = run("run", 0)
    assert drawn(out) == [(0, 0.5, 0), (0, 1.0, 0)]
    with opened(out, make_space(seeds=3)) as ledger:
        pack = Pack(plan_cells(make_space())[0], tuple(points(0)))
        ledger.sheets.add(sheet_rows(pack, {1: sheet(7), 2: sheet(9)}))
    assert drawn(out) == [(0, 0.5, 0), (0, 0.75, 7), (0, 1.0, 9)]


def test_a_merge_adds_images_of_members_without_any_also_after_a_kill(run):
    first, second = run("first", 0), run("second", 0, 1, grey=5)
    merging.merge(first, [second])
    both = [(0, 0.5, 0), (1, 0.5, 5), (0, 1.0, 0), (1, 1.0, 5)]
    assert sorted(drawn(first)) == sorted(both)
    shutil.rmtree(first / "sheets")
    merging.merge(first, [second])
    assert sorted(drawn(first)) == [(0, 0.5, 5), (0, 1.0, 5), (1, 0.5, 5), (1, 1.0, 5)]


def test_a_damaged_file_is_set_aside_and_stops_nothing(run, make_space, capsys):
    out = run("run", 0)
    (path,) = (out / "sheets").iterdir()
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert [file.name for file in write_figures(out) if file.name.startswith("sheet")] == []
    assert f"note: images are left out: {path} is not a readable parquet" in capsys.readouterr().err
    with held(out, make_space(seeds=3)) as ledger:
        assert any("set aside as .bad" in notice for notice in ledger.run.notices)
    with opened(out, make_space(seeds=3)):
        pass
    assert [file.name for file in (out / "sheets").iterdir()] == [f"{path.name}.bad"]


def test_images_come_with_a_result_and_cost_no_pack_where_they_cannot_be_written(
    tmp_path, make_space, plan_cells, result_of
):
    space = make_space(seeds=3)
    with opened(tmp_path / "run", space) as ledger:
        for seed in (0, 1):
            pack = Pack(plan_cells(space)[0], tuple(points(seed)))
            ledger.add(pack, replace(result_of(pack, kl_top), sheets={1: sheet(seed)}))
            if seed == 0:
                assert drawn(tmp_path / "run") == [(0, 0.75, 0)]
                shutil.rmtree(tmp_path / "run/sheets")
                (tmp_path / "run/sheets").write_bytes(b"in the way")
        assert len(ledger.members) == 6
    assert "a sheet is not kept: cannot write" in (tmp_path / "run/sweep.log").read_text()
