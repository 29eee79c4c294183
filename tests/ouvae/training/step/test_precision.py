"""Training that multiplies in bfloat16: what it rounds, and what it leaves in float32."""

import pytest
import torch

from ouvae.declared import Cell
from ouvae.parts.activations import ACTIVATIONS
from ouvae.parts.affine import Affine
from ouvae.training.pack import PackTraining
from tests.ouvae.packs import MEMBERS, train


def test_products_are_rounded_and_heads_are_float32():
    torch.manual_seed(0)
    x = torch.randn(5, 7)
    for activation, dtype in (*((name, torch.bfloat16) for name in ACTIVATIONS), (None, torch.float32)):
        layer = Affine(7, 3, activation)
        with torch.autocast("cpu", torch.bfloat16):
            low = layer(x)
        assert low.dtype == dtype
        torch.testing.assert_close(low.float(), layer(x), rtol=0.02, atol=0.02)
        assert not torch.equal(low.float(), layer(x))


def test_weights_and_gradients_are_float32_and_near_those_of_float32(make_cell, data):
    packs = {name: PackTraining(make_cell(precision=name), MEMBERS, data) for name in ("float32", "bfloat16")}
    (losses, gradients, _), (low, low_gradients, _) = (
        packs[name].losses_and_gradients() for name in ("float32", "bfloat16")
    )
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, losses, rtol=0.01, atol=0.01)
    assert not torch.equal(low, losses)
    for name, value in low_gradients.items():
        assert value.dtype == packs["bfloat16"].state_dict()["parameters"][name].dtype == torch.float32
        error = (value - gradients[name]).norm() / gradients[name].norm()
        assert error < 0.05, name


def test_measurements_use_float32(make_cell, data):
    cells = [make_cell(precision=name, steps=2, eval_every=2) for name in ("float32", "bfloat16")]
    full, low = (train(PackTraining(cell, MEMBERS, data)).outcomes() for cell in cells)
    for ours, theirs in zip(low, full, strict=True):
        assert ours.history[0] == theirs.history[0]  # at the initial weights
        assert ours.history[1] != theirs.history[1]


def test_convolutions_are_refused(make_cell):
    keys = make_cell().model_dump() | {"dataset": "mnist", "architecture": "conv", "hidden": (4, 4)}
    problems = Cell(**{**keys, "precision": "bfloat16"}).problems()
    assert any("precision: bfloat16 with architecture conv" in problem for problem in problems)
    assert not any("precision" in problem for problem in Cell(**{**keys, "precision": "float32"}).problems())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_traced_step_is_the_eager_step_to_the_bit(make_cell, data, precision):
    cell = make_cell(precision=precision, latents=(4, 3))
    traced = PackTraining(cell.model_copy(update={"steps": 500}), MEMBERS, data).losses_and_gradients()
    eager = PackTraining(cell, MEMBERS, data).losses_and_gradients()
    assert torch.equal(traced[0], eager[0])
    for name, value in eager[1].items():
        assert torch.equal(traced[1][name], value)
