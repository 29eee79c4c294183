"""Parameters, saved bytes and times: counted by hand, and in the order that theory gives."""

import pytest

from ouvae.training.costs import AUTOGRAD, measure
from ouvae.training.counts import count_parameters, member_bytes, saved_bytes

IMAGE = (3, 4)


def test_parameters_are_counted(make_cell):
    """q(z_1|x), q(z_2|z_1), p(z_1|z_2) and p(x|z_1), each with one hidden layer of 8."""
    networks = ((12, 6), (3, 4), (2, 6), (3, 12))
    expected = sum((inputs + 1) * 8 + 9 * outputs for inputs, outputs in networks)
    assert count_parameters(make_cell(), IMAGE) == expected


def test_saved_bytes_grow_with_the_batch_alone_and_not_with_the_weights(make_cell):
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
    members = [(make_cell(), 0.5), (make_cell(hidden=(16, 16)), 1.0)]
    small, large = measure(members, data, "cpu", rounds=3, steps=2)
    assert small.memory_kind == AUTOGRAD
    assert len(small.seconds_per_epoch) == len(large.seconds_per_epoch) == 3
    assert min(small.seconds_per_epoch) > 0
    assert small.parameters < large.parameters
    (untimed,) = measure(members[:1], data, "cpu", rounds=0, steps=2)
    assert untimed.seconds_per_epoch == []
    assert untimed.memory_bytes == small.memory_bytes


def test_a_member_on_a_gpu_holds_a_block_of_inputs_besides(make_cell):
    """Of float64, 60 pixels, and 4 + 3 base draws and 2 times 3 of the operator for each of 10 images."""
    cell = make_cell(latents=(4, 3), batch_size=10, ou_samples=2)
    on_cpu, on_gpu = (member_bytes(cell, (6, 10), device) for device in ("cpu", "cuda"))
    assert on_gpu - on_cpu == 15 * 8 * 10 * (60 + 7 + 2 * 3)
    assert on_cpu == 8 * (4 * count_parameters(cell, (6, 10)) + 10 * (60 + 13)) + saved_bytes(cell, (6, 10))
