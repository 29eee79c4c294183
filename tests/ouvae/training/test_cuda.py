"""On a GPU: a step as one graph gives the numbers of its separate operations."""

import numpy as np
import pytest
import torch

from ouvae.training.pack import PackTraining
from ouvae.training.step.captured import Captured
from tests.ouvae.packs import CASES, MEMBERS, assert_close, numbers, parameters, poison, through_a_file, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


@pytest.fixture(params=["two layers", "ambient, all smoothed, warm-up", "linear Gaussian"])
def case(request, make_cell):
    return make_cell(**CASES[request.param])


def pack_of(case, data, members=MEMBERS):
    return PackTraining(case, members, data, "cuda")


def test_a_captured_function_is_the_function_and_keeps_its_state():
    total = torch.zeros(3, device="cuda")

    def add(x, y):
        total.add_(x)
        return (total * y,)

    captured = Captured(add)
    for call in range(4):
        x = torch.full((3,), float(call), device="cuda")
        y = torch.tensor(2.0, device="cuda")
        (result,) = captured(x, y)
        assert result.tolist() == [2.0 * sum(range(call + 1))] * 3
    kept = result.clone()
    captured(x, y)
    assert result.tolist() == kept.tolist()  # results are copies


def test_a_pack_of_graphs_trains_to_the_numbers_of_its_operations(case, data, monkeypatch):
    captured = train(pack_of(case, data))
    monkeypatch.setattr(PackTraining, "_captured", lambda _, function: function)
    plain = train(pack_of(case, data))
    for name, value in parameters(plain).items():
        torch.testing.assert_close(parameters(captured)[name], value, rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(captured.outcomes(), plain.outcomes(), strict=True):
        assert_close(ours, theirs)


def test_members_are_what_they_would_be_alone(case, data):
    together = train(pack_of(case, data)).outcomes()
    for member, ours in zip(MEMBERS, together, strict=True):
        (alone,) = train(pack_of(case, data, [member])).outcomes()
        assert_close(ours, alone)


def test_the_loss_is_that_of_a_cpu(case, data):
    here, there = PackTraining(case, MEMBERS, data), pack_of(case, data)
    inputs = here._next_inputs()
    losses, kl, gradients = here._losses(*inputs)
    theirs = there._losses(*(value.to("cuda") for value in inputs))
    for ours, other in zip((losses, kl, *gradients), (*theirs[:2], *theirs[2]), strict=True):
        torch.testing.assert_close(ours, other.cpu(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("at", [1, 3, 7])
def test_a_pack_is_interrupted_within_a_block_and_goes_on_exactly(make_cell, data, at):
    case = make_cell()
    whole = train(pack_of(case, data))
    begun = train(pack_of(case, data), until=at)
    resumed = pack_of(case, data)
    resumed.load_state_dict(through_a_file(begun.state_dict()))
    train(resumed)
    for name, value in parameters(whole).items():
        assert torch.equal(parameters(resumed)[name], value)


def test_a_member_that_diverges_stays_in_the_graph_and_is_ignored(make_cell, data):
    case = make_cell(select="best", bound_samples=3)
    pack = train(pack_of(case, data), until=3)
    poison(pack, 1)
    outcomes = train(pack).outcomes()
    assert outcomes[1].diverged_at_step is not None
    assert outcomes[1].test is None
    for ours, theirs in zip(outcomes, train(pack_of(case, data)).outcomes(), strict=True):
        if ours is not outcomes[1]:
            assert_close(ours, theirs)
            assert ours.test == theirs.test
    assert np.isfinite(numbers(outcomes[1])).all()
