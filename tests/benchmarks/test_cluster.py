"""The simulated cluster: time and members add up, and what is found does not depend on the slots."""

import pytest

import search_spaces
from benchmarks.cluster import PACK_SECONDS, WORKER_SECONDS, simulate

KEYS = {"latents": [[10, 10, 10], [20, 20, 20]], "tolerance": 0.03, "probes": 12, "steps": 1000}


@pytest.fixture(scope="module")
def outcomes():
    """Return the outcomes of one space on 1, 2 and 8 slots, with a step of 1 ms for each member."""
    space = search_spaces.load("omniglot_mlp", keys=KEYS)
    return {slots: simulate(space, slots, 0, lambda cell, members: 1e-3 * members) for slots in (1, 2, 8)}


def test_members_are_those_of_the_search_on_any_number_of_slots(outcomes):
    assert len({outcome.members for outcome in outcomes.values()}) == 1
    for outcome in outcomes.values():
        assert outcome.training == pytest.approx(outcome.members * 1000 * 1e-3)


def test_slots_share_the_time(outcomes):
    alone = outcomes[1]
    assert alone.seconds > alone.training + WORKER_SECONDS + PACK_SECONDS
    for slots, outcome in outcomes.items():
        assert outcome.training / slots < outcome.seconds <= alone.seconds
        assert 0 < outcome.busy(slots) < 1
