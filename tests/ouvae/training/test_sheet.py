"""Sheets: what each member of a pack makes of images, as if alone."""

import math

import numpy as np
import pytest
import torch

from ouvae.systems import System
from ouvae.systems.vae import Hierarchy
from ouvae.training.pack import PackTraining, initial_model
from ouvae.training.sheet import SHEET_IMAGES, TRAVERSED, is_drawable, sheet_of
from tests.ouvae.packs import train

MEMBERS = [(0.5, 0), (0.9, 0), (0.5, 1)]
ROWS = ("images", "reconstructions", "samples", "traversal")


def pixels(sheet, row):
    return np.frombuffer(getattr(sheet, row), np.uint8).reshape(-1, *sheet.image_shape).astype(int)


@pytest.mark.parametrize(
    "keys", [{}, {"system": "lvae"}, {"system": "biva"}, {"system": "vampprior", "pseudo_inputs": 3}]
)
def test_the_images_of_a_packed_member_are_its_images_alone(make_cell, data, keys):
    if keys:
        keys = keys | {"smoothed_networks": ()}
    cell = make_cell(learning_rate=0.05, **keys)
    sheets = train(PackTraining(cell, MEMBERS, data)).sheets([2, 0])
    assert sorted(sheets) == [0, 2]
    for place, sheet in sheets.items():
        (alone,) = train(PackTraining(cell, [MEMBERS[place]], data)).sheets([0]).values()
        assert sheet.unit == alone.unit
        for row in ROWS:
            assert len(getattr(sheet, row)) == SHEET_IMAGES * math.prod(data.image_shape)
            assert np.abs(pixels(sheet, row) - pixels(alone, row)).max() <= 1, row
    assert sheets[0].samples != sheets[2].samples


def test_drawing_leaves_the_streams_of_training_and_of_torch_as_they_are(make_cell, data):
    packs = [PackTraining(make_cell(), MEMBERS, data) for _ in range(2)]
    for pack in packs:
        pack.train_step()
    before = torch.get_rng_state()
    packs[0].sheets([0, 1, 2])
    assert torch.equal(torch.get_rng_state(), before)
    losses = [train(pack).outcomes()[0].history for pack in packs]
    assert losses[0] == losses[1]


def test_the_unit_with_the_largest_kl_is_traversed_and_a_collapsed_layer_changes_nothing(make_cell, data):
    """The top layer's second unit has the mean 3 and a unit scale whatever the image: 4.5 nats."""
    model = initial_model(make_cell(), data.image_shape, 0).requires_grad_(False)
    images = torch.from_numpy(data.validation)
    head = list(model.inference[1].modules())[-1]
    head.weight.zero_()
    head.bias.copy_(torch.tensor([0.0, 3.0, 0.0, 0.0]))
    sheet = sheet_of(model, images, 0)
    assert (sheet.unit, sheet.unit_kl_nats) == (2, pytest.approx(4.5))
    top = torch.zeros(1, 2, dtype=torch.float64)
    seen = []
    model.generate_from = lambda z, generator: seen.append(z) or Hierarchy.generate_from(model, z, generator)
    sheet_of(model, images, 0)
    traversed = torch.cat([z for z in seen if len(z) == 1])
    assert torch.equal(traversed[:, 0], top[0, 0].expand(SHEET_IMAGES))
    assert traversed[:, 1].tolist() == pytest.approx(np.linspace(-TRAVERSED, TRAVERSED, SHEET_IMAGES))
    assert len(np.unique(pixels(sheet, "traversal"), axis=0)) == SHEET_IMAGES
    list(model.generative[0].modules())[-1].weight.zero_()
    assert len(np.unique(pixels(sheet_of(model, images, 0), "traversal"), axis=0)) == 1


def test_pixels_go_from_the_lowest_to_the_highest_of_data_beyond_black_and_white(make_cell, data):
    cell = make_cell(likelihood="gaussian", observation_variance=0.1)
    model = initial_model(cell, data.image_shape, 0)
    images = torch.from_numpy(data.validation)
    shown = pixels(sheet_of(model, images, 0), "images").reshape(SHEET_IMAGES, -1)
    assert np.abs(shown - 255 * images[:SHEET_IMAGES].numpy()).max() <= 0.5
    images = 8 * images - 4
    shown = pixels(sheet_of(model, images, 0), "images").reshape(SHEET_IMAGES, -1)
    low, high = float(images.min()), float(images.max())
    assert np.abs(shown - 255 * (images[:SHEET_IMAGES].numpy() - low) / (high - low)).max() <= 0.5


@pytest.mark.parametrize(
    ("shape", "drawable"),
    [((28, 28), True), ((1, 4, 4), True), ((3, 32, 32), True), ((2, 4, 4), False), ((4,), False)],
)
def test_only_images_have_a_sheet(make_cell, data_of, shape, drawable):
    assert is_drawable(shape) == drawable
    if math.prod(shape) <= 64:
        cell = make_cell(likelihood="gaussian", observation_variance=0.1)
        sheets = PackTraining(cell, MEMBERS[:1], data_of(shape)).sheets([0])
        assert [sheet.image_shape for sheet in sheets.values()] == [shape] * drawable


def test_a_system_without_methods_that_draw_has_no_sheet(make_cell, data, monkeypatch):
    monkeypatch.setattr(Hierarchy, "generate_from", System.generate_from)
    with pytest.raises(NotImplementedError, match="HierarchicalVAE has no method generate_from"):
        PackTraining(make_cell(), MEMBERS, data).sheets([0])


def test_members_that_diverged_have_no_sheet(make_cell, data):
    pack = PackTraining(make_cell(), MEMBERS, data)
    pack._diverged[1] = 3
    assert sorted(pack.sheets([0, 1])) == [0]
