"""Rows of the tables from the result of a pack."""

from dataclasses import replace

import pytest

from analysis import TableError
from analysis.tables.schema import HISTORY, MEMBERS
from ouvae.declared import METRICS
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack
from sweeps.record.rows import failed, trained

POINTS = (Point(0.5, 0), Point(1.0, 0), Point(0.5, 1))


@pytest.fixture
def pack(make_space, plan_cells) -> Pack:
    return Pack(plan_cells(make_space())[0], POINTS)


def kl_top(point: Point) -> float | None:
    return None if point.seed else 2 * (1 - point.value)


def rows(pack, result):
    """Return the rows of members and history of a trained pack."""
    fragment = trained("made", pack, result)
    return fragment.members.to_pylist(), fragment.history.to_pylist()


def test_a_row_a_member_and_a_row_an_evaluation(pack, result_of):
    members, history = rows(pack, result_of(pack, kl_top))
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


def test_they_fit_the_schemas(pack, result_of):
    fragment = trained("made", pack, result_of(pack, kl_top))
    for schema, made in ((MEMBERS, fragment.members), (HISTORY, fragment.history)):
        assert made.schema.equals(schema)
        required = [field.name for field in schema if not field.nullable]
        assert all(made[name].null_count == 0 for name in required)


def test_a_diverged_member_has_its_step_and_no_metrics(pack, result_of):
    *_, diverged = rows(pack, result_of(pack, kl_top))[0]
    assert (diverged["status"], diverged["diverged_at_step"]) == ("diverged", 15)
    assert [diverged[metric.name] for metric in METRICS] == [None] * len(METRICS)


def test_a_member_that_diverged_before_its_first_evaluation(pack, result_of):
    result = result_of(pack, kl_top)
    early = replace(result.outcomes[0], history=[], diverged_at_step=0)
    members, history = rows(pack, replace(result, outcomes=(early, *result.outcomes[1:])))
    assert (members[0]["status"], members[0]["diverged_at_step"]) == ("diverged", 0)
    assert members[0]["elbo_nats"] is None
    assert members[1]["status"] == "completed"
    assert {row["member_id"] for row in history} == {row["member_id"] for row in members[1:]}


def test_a_reason_may_name_a_path_that_is_no_text(pack):
    fragment = failed("made", pack, "OSError: '/data/\udcff'")
    assert fragment.members["failure"].to_pylist() == ["OSError: '/data/?'"] * 3


@pytest.mark.parametrize("kind", ["members", "history"])
def test_a_row_with_a_key_that_is_no_column_is_refused(pack, result_of, kind):
    """Such as a metric that is measured and not declared, or declared and not measured."""
    for spoil, said in (
        (lambda row: row | {"colour": 1}, "unknown: colour"),
        (lambda row: {key: value for key, value in row.items() if key != "elbo_nats"}, "elbo_nats"),
    ):
        result = result_of(pack, lambda point: 1.0)
        for outcome in result.outcomes:
            place = -1 if kind == "members" else 0
            outcome.history[place] = spoil(outcome.history[place])
        with pytest.raises(TableError, match=f"none of a (members|history) table(?s:.)*{said}"):
            trained("made", pack, result)
