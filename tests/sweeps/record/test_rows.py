"""Rows of the tables from what a worker reports of a pack."""

import pytest

from analysis.tables.files import table_of
from analysis.tables.schema import HISTORY, MEMBERS
from ouvae.declared import METRICS
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack
from sweeps.record.rows import failed_rows, rows

POINTS = (Point(0.5, 0), Point(1.0, 0), Point(0.5, 1))


@pytest.fixture
def pack(make_space, plan_cells) -> Pack:
    return Pack(plan_cells(make_space())[0], POINTS)


def kl_top(point: Point) -> float | None:
    return None if point.seed else 2 * (1 - point.rho)


def test_a_row_a_member_and_a_row_an_evaluation(pack, report_of):
    members, history = rows("made", pack, report_of(pack, kl_top))
    assert [row["member_id"] for row in members] == [pack.cell.member_id(point) for point in POINTS]
    assert [(row["rho"], row["seed"]) for row in members] == [(0.5, 0), (1.0, 0), (0.5, 1)]
    assert [row["kl_top_nats"] for row in members[:2]] == [1.0, 0.0]
    assert [row["kl_nats"] for row in members[:2]] == [[5.0, 1.0], [5.0, 0.0]]
    assert {row["seconds"] for row in members} == {2.0}
    assert {(row["train_images"], row["validation_images"], row["test_images"]) for row in members} == {
        (90, 30, 20)
    }
    assert {(row["pack_id"], row["pack_members"]) for row in members} == {(pack.pack_id, 3)}
    first = [row for row in history if row["member_id"] == members[0]["member_id"]]
    assert [(row["step"], row["kl_top_nats"]) for row in first] == [(0, 0.0), (10, 0.5), (20, 1.0)]
    assert len(history) == 3 + 3 + 2


def test_they_fit_the_schemas(pack, report_of):
    members, history = rows("made", pack, report_of(pack, kl_top))
    for schema, table in ((MEMBERS, members), (HISTORY, history)):
        made = table_of(table, schema)
        required = [field.name for field in schema if not field.nullable]
        assert all(made[name].null_count == 0 for name in required)


def test_a_diverged_member_has_its_step_and_no_metrics(pack, report_of):
    *_, diverged = rows("made", pack, report_of(pack, kl_top))[0]
    assert (diverged["status"], diverged["diverged_at_step"]) == ("diverged", 15)
    assert [diverged[metric.name] for metric in METRICS] == [None] * len(METRICS)


def test_a_member_that_diverged_before_its_first_evaluation(pack, report_of):
    report = report_of(pack, kl_top)
    report["outcomes"][0] |= {"history": [], "diverged_at_step": 0}
    members, history = rows("made", pack, report)
    assert (members[0]["status"], members[0]["diverged_at_step"]) == ("diverged", 0)
    assert members[0]["elbo_nats"] is None
    assert members[1]["status"] == "completed"
    assert {row["member_id"] for row in history} == {row["member_id"] for row in members[1:]}


def test_a_reason_may_name_a_path_that_is_no_text(pack):
    failed = table_of(failed_rows("made", pack, "OSError: '/data/\udcff'"), MEMBERS)
    assert failed["failure"].to_pylist() == ["OSError: '/data/?'"] * 3
