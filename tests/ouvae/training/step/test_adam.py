"""The optimizer of packs is PyTorch's Adam."""

import subprocess
import sys

import pytest
import torch

from ouvae.training.step.adam import Adam

SHAPES = [(3, 4, 2), (3, 5)]


def take_steps(take) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(7):
        take([torch.randn(shape, generator=generator) for shape in SHAPES])


def parameters() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_its_steps_are_those_of_pytorchs_class_to_the_bit(weight_decay):
    ours, theirs = parameters(), parameters()
    optimizer = Adam(ours, 0.01, weight_decay)
    other = torch.optim.Adam(
        theirs, lr=0.01, weight_decay=weight_decay, decoupled_weight_decay=True, fused=True
    )

    def take(gradients):
        for value, gradient in zip(theirs, gradients, strict=True):
            value.grad = gradient
        other.step()

    take_steps(optimizer.step)
    take_steps(take)
    assert all(map(torch.equal, ours, theirs))


def test_members_may_have_rates_of_their_own():
    """As optimizers of single members, also after the first member has left."""
    rates, decays = torch.tensor([0.01, 0.3, 0.002]), torch.tensor([0.0, 0.1, 0.7])
    packed, alone = parameters(), [parameters() for _ in rates]
    optimizer = Adam(packed, rates, decays)
    singles = [
        Adam(values, float(rate), float(decay))
        for values, rate, decay in zip(alone, rates, decays, strict=True)
    ]
    take_steps(optimizer.step)
    for single in singles:
        take_steps(single.step)
    optimizer.keep(torch.tensor([1, 2]))
    for value in packed:
        value.data = value.data[1:]
    gradients = [torch.ones(shape) for shape in SHAPES]
    optimizer.step([gradient[1:] for gradient in gradients])
    for member, (values, single) in enumerate(zip(alone[1:], singles[1:], strict=True)):
        single.step(gradients)
        for whole, other in zip(packed, values, strict=True):
            torch.testing.assert_close(whole[member], other[member + 1], rtol=1e-5, atol=1e-6)


def test_gradients_may_have_any_strides():
    """Gradients of convolutions are not contiguous."""
    ours, copies = parameters(), parameters()
    gradients = [torch.randn(shape[::-1]).permute(*reversed(range(len(shape)))) for shape in SHAPES]
    Adam(ours, 0.01, 0.0).step(gradients)
    Adam(copies, 0.01, 0.0).step(
        [gradient.clone(memory_format=torch.contiguous_format) for gradient in gradients]
    )
    assert not all(gradient.is_contiguous() for gradient in gradients)
    assert all(map(torch.equal, ours, copies))


def test_it_continues_from_its_state_and_keeps_selected_members():
    straight, stopped = parameters(), parameters()
    first, before = Adam(straight, 0.01, 0.0), Adam(stopped, 0.01, 0.0)
    gradients = [torch.ones(shape) for shape in SHAPES]
    for optimizer in (first, before, first):
        optimizer.step(gradients)
    after = Adam(stopped, 0.01, 0.0)
    after.load_state_dict(before.state_dict())
    rows = torch.tensor([0, 2])
    after.keep(rows)
    for value in stopped:
        value.data = value.data[rows]
    after.step([gradient[rows] for gradient in gradients])
    for whole, other in zip(straight, stopped, strict=True):
        assert torch.equal(whole[rows], other)


def test_a_short_training_does_not_load_the_compiler():
    """In a fresh process: another test may have loaded it here."""
    code = """
import sys
from ouvae.data import load
from ouvae.declared import Cell
from ouvae.training.pack import PackTraining
cell = Cell(dataset="digits", latents=(4, 4), hidden=(8,), steps=300, eval_every=300)
PackTraining(cell, [(0.5, 0), (0.9, 1)], load("digits")).train_step()
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
