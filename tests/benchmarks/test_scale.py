"""The benchmark of scale: it measures what it says, and size changes no result."""

import csv
import itertools
import random
from pathlib import Path

import pytest

from analysis.statistics.rule import rules_of
from analysis.statistics.summary import thresholds_table
from analysis.tables.files import table_of
from analysis.tables.schema import HISTORY, MEMBERS
from benchmarks import scale
from ouvae.declared import labels
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack
from sweeps.record import fragments
from sweeps.record.rows import trained
from tests.sweeps.conftest import finish, opened, planned_cells, schedule_of, write_tables

TIMED = ("finished_at", "pack_id", "pack_members", "seconds")


def plain(space):
    """Return members and history, a member at a time, as plain rows in the order of the tables."""
    cells = planned_cells(space)
    members, history = [], []
    for cell, name in zip(cells, labels(cell.cell for cell in cells), strict=True):
        for seed in sorted(space.seeds):
            for rho in space.values():
                pack = Pack(cell, (Point(rho, seed),))
                fragment = trained(space.name, pack, scale.result(pack))
                members += [row | {"cell": name} for row in fragment.members.to_pylist()]
                history += fragment.history.to_pylist()
    return table_of(members, MEMBERS), table_of(history, HISTORY)


def shuffled(folder, space, every):
    """Take a sweep to its end, packs in any order, tables refreshed after so many; return the tables."""
    dice = random.Random(0)  # noqa: S311 - no secret
    with opened(folder, space) as ledger:
        schedule = schedule_of(space, 8, ledger)
        for count in itertools.count():
            for state in schedule.cells:
                dice.shuffle(state.waiting)
            if (pack := schedule.next_pack()) is None:
                return [table.to_pylist() for table in write_tables(ledger, space)]
            finish(schedule, ledger, pack, scale.result(pack))
            if count % every == 0:
                write_tables(ledger, space)


@pytest.mark.parametrize(("number", "merged"), [(360, 5), pytest.param(10_000, 64, marks=pytest.mark.proof)])
def test_size_changes_no_table(tmp_path, monkeypatch, number, merged):
    """They are those of single members in a row, whatever finishes first, is merged, or is read again."""
    monkeypatch.setattr(fragments, "MERGED_PACKS", merged)
    space = scale.space_of(4, number, "sweep")
    tables = shuffled(tmp_path, space, merged)
    assert len(list(tmp_path.glob("fragments/merged-*.members.parquet"))) > 1
    assert shuffled(tmp_path, space, merged) == tables
    members, history = plain(space)
    thresholds = thresholds_table(members, rules_of(space.model_dump()))
    for ours, table in zip(tables, (members, history, thresholds), strict=True):
        expected = table.to_pylist()
        assert len(ours) == len(expected)
        for row, other in zip(ours, expected, strict=True):
            assert {key: row[key] for key in row if key not in TIMED} == {
                key: other[key] for key in other if key not in TIMED
            }
    assert len(tables[0]) == number


@pytest.mark.process
@pytest.mark.proof
def test_a_row_is_of_its_sweep(tmp_path: Path, capsys):
    out = tmp_path / "scale.csv"
    assert scale.main(["--members", "120", "--cells", "2", "--track", "cells", "--out", str(out)]) == 0
    (row,) = csv.DictReader(out.open())
    assert (row["members"], row["cells"], row["track"]) == ("120", "2", "cells")
    assert f"{row['ms_a_member']} ms a member" in capsys.readouterr().out
