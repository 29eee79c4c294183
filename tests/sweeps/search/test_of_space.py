"""Searches of a space: how many probes a round has."""

import pytest

from sweeps.record.agreement import fixed_probes
from sweeps.record.paths import Paths
from sweeps.search.of_space import with_probes
from tests.sweeps.conftest import opened


@pytest.mark.parametrize(
    ("slots", "device", "probes"),
    [(1, "cpu", 12), (2, "cpu", 12), (4, "cpu", 24), (16, "cpu", 48), (2, "cuda", 24), (64, "cuda", 48)],
)
def test_auto_follows_the_slots_of_a_cell(make_space, slots, device, probes):
    space = make_space(latents="[[4, 4], [6, 6]]", probes="auto", search="locate")
    assert with_probes(space, None, slots, device).probes == probes


def test_a_run_keeps_its_number_and_a_given_one_stays(make_space, tmp_path):
    auto = make_space(probes="auto", search="locate")
    assert fixed_probes(Paths(tmp_path / "run")) is None
    with opened(tmp_path / "run", with_probes(auto, None, 2, "cpu")):
        pass
    fixed = fixed_probes(Paths(tmp_path / "run"))
    assert fixed == 24
    assert with_probes(auto, fixed, 64, "cuda").probes == 24
    assert with_probes(make_space(probes=5, search="locate"), fixed, 64, "cuda").probes == 5
