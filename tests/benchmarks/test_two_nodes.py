"""The benchmark of two nodes: the times between packs."""

import numpy as np
import pytest

from benchmarks.two_nodes import times_between


def test_a_pack_follows_the_one_that_ended_last_before_it():
    """Two slots; the last pack comes to a third one, which was never used before."""
    starts, ends = np.array([[0.0, 2.0], [0.0, 3.0], [2.5, 4.0], [3.2, 5.0], [3.5, 6.0]]).T
    assert times_between(starts, ends) == pytest.approx([0.5, 0.2])


def test_a_slot_that_is_gone_is_followed_by_nothing():
    starts, ends = np.array([[0.0, 1.0], [0.0, 2.0], [2.0, 3.0], [3.1, 4.0]]).T
    assert times_between(starts, ends) == pytest.approx([0.0, 0.1])
