"""Parameters, operations, memory and times: counted by hand, and in the order that theory gives."""

import pytest

from ouvae.training.costs import AUTOGRAD, measure
from ouvae.training.counts import count_parameters, member_bytes, multiply_adds, saved_bytes

IMAGE = (3, 4)


def test_parameters_are_counted(make_cell):
    """q(z_1|x), q(z_2|z_1), p(z_1|z_2) and p(x|z_1), each with one hidden layer of 8."""
    networks = ((12, 6), (3, 4), (2, 6), (3, 12))
    expected = sum((inputs + 1) * 8 + 9 * outputs for inputs, outputs in networks)
    assert count_parameters(make_cell(), IMAGE) == expected


def test_multiply_adds_are_those_of_the_affine_layers(make_cell):
    """Per image. The hidden layer of p(z_1|z_2) sees 3 draws of z_2; its head sees their mean."""
    inference = 12 * 8 + 8 * 6 + 3 * 8 + 8 * 4
    generative = 3 * 2 * 8 + 8 * 6 + 3 * 8 + 8 * 12
    assert multiply_adds(make_cell(batch_size=10), IMAGE) == 3 * 10 * (inference + generative)


WITHOUT_LAYERS = """
import torch
from torch import nn
from ouvae.declared import SystemTraits
from ouvae.systems import System, Terms

class WithoutLayers(System):
    traits = SystemTraits()

    def __init__(self, cell, image_shape):
        super().__init__(cell, image_shape)
        self.logits = nn.Parameter(torch.zeros(12))

    def forward(self, x, draws, rho=None, closed_form=True):
        return Terms((x * self.logits).sum(-1), torch.zeros(2, len(x)), ())
"""


def test_a_system_without_layers_has_multiply_adds_too(make_cell, tmp_path, monkeypatch):
    """Progress divides by them."""
    (tmp_path / "without_layers.py").write_text(WITHOUT_LAYERS)
    monkeypatch.syspath_prepend(tmp_path)
    cell = make_cell(system="without_layers:WithoutLayers", smoothed_networks=(), batch_size=10)
    assert multiply_adds(cell, IMAGE) == 3 * 10 * 12


def test_saved_bytes_grow_with_the_batch_and_not_with_the_weights(make_cell):
    sizes = [saved_bytes(make_cell(batch_size=batch), IMAGE) for batch in (10, 20, 40)]
    assert sizes[1] - sizes[0] == pytest.approx((sizes[2] - sizes[1]) / 2, rel=0.02)
    halved = saved_bytes(make_cell(batch_size=20, precision="float32"), IMAGE)
    assert halved == pytest.approx(sizes[1] / 2, rel=0.02)


def test_smoothing_the_generative_networks_keeps_less_than_importance_samples(make_cell):
    sizes = {"latents": (4, 4, 4), "hidden": (16, 16), "batch_size": 50}
    plain = saved_bytes(make_cell(**sizes, smoothed_networks=()), (8, 8))
    smoothed = saved_bytes(make_cell(**sizes, ou_samples=5), (8, 8))
    weighted = {"objective": "iwae", "importance_samples": 5, "smoothed_networks": ()}
    assert plain < smoothed < saved_bytes(make_cell(**sizes, **weighted), (8, 8)) < 5 * plain


def test_costs_are_measured_side_by_side(make_cell, data):
    cells = [make_cell(rho=0.5), make_cell(hidden=(16, 16))]
    small, large = measure(cells, data, "cpu", rounds=3, steps=2)
    assert small.memory_kind == AUTOGRAD
    assert len(small.seconds_per_epoch) == len(large.seconds_per_epoch) == 3
    assert min(small.seconds_per_epoch) > 0
    assert small.parameters < large.parameters
    (untimed,) = measure(cells[:1], data, "cpu", rounds=0, steps=2)
    assert untimed.seconds_per_epoch == []
    assert untimed.memory_bytes == small.memory_bytes


def test_a_member_on_a_gpu_holds_a_block_of_inputs_besides(make_cell):
    """In float64, for each of 10 images: 60 pixels, 4 + 3 base draws, 2 times 3 draws of the operator."""
    cell = make_cell(latents=(4, 3), batch_size=10, ou_samples=2)
    on_cpu, on_gpu = (member_bytes(cell, (6, 10), device) for device in ("cpu", "cuda"))
    assert on_gpu - on_cpu == 15 * 8 * 10 * (60 + 7 + 2 * 3)
    assert on_cpu == 8 * (4 * count_parameters(cell, (6, 10)) + 10 * (60 + 13)) + saved_bytes(cell, (6, 10))
