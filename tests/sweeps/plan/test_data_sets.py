"""Data sets of cells: what a user's own loader raises is a refusal."""

import pytest

from sweeps import SweepError
from sweeps.plan.data_sets import DataSets


def test_an_error_of_a_users_loader_is_refused_with_its_place(make_space, monkeypatch):
    def broken(*arguments, **options):
        raise KeyError("boom")

    monkeypatch.setattr("sweeps.plan.data_sets.load", broken)
    with pytest.raises(
        SweepError, match=r"set digits cannot be loaded: KeyError: 'boom' \(test_data_sets.py, line \d+\)"
    ):
        DataSets(make_space().cells(), None)
