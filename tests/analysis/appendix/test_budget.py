"""Which rows can be compared."""

import pytest

from analysis.appendix.budget import BUDGET, unequal
from analysis.tables.schema import MEMBERS


def test_the_budget_is_made_of_columns_of_the_members():
    assert set(BUDGET) <= set(MEMBERS.names)
    assert len(set(BUDGET)) == len(BUDGET)


@pytest.mark.parametrize("key", BUDGET)
def test_one_row_that_differs_in_one_key_is_enough(key):
    row = dict.fromkeys(BUDGET, 1)
    rows = [row, row, row | {key: 2}]
    assert unequal(rows) == f"they differ in {key}"
    assert unequal(rows, apart_from=(key,)) == ""


def test_keys_that_rows_lack_are_none_of_all():
    costs = [{"batch_size": 64, "rho": 1.0}, {"batch_size": 64, "rho": 0.9}]
    assert unequal(costs) == ""
    assert unequal([*costs, {"batch_size": 100, "steps": 5}]) == "they differ in steps, batch_size"
    assert unequal([]) == ""
