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


def test_more_images_than_there_are_is_refused_with_all_that_is_wrong(make_space):
    keys = {"batch_size": 5000, "eval_images": 251, "bound_samples": 5, "bound_images": 300}
    with pytest.raises(SweepError) as refused:
        DataSets(make_space(**keys).cells(), None)
    batch, *images = str(refused.value).splitlines()
    assert batch.startswith("batch_size: 5000 with")
    assert images[0] == "eval_images: 251 with 250 validation images in digits; use at most 250"
    assert images[1].startswith("bound_images: 300 with 250")
