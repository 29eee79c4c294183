"""Minibatches and noise come in blocks, and how they are read changes nothing."""

import pytest
import torch

from ouvae.training import pack as pack_module
from ouvae.training.feed import Feed
from ouvae.training.noise import draw_count
from ouvae.training.pack import PackTraining
from tests.ouvae.packs import MEMBERS, assert_close, parameters, through_a_file, train

IMAGES = torch.linspace(0, 1, 23 * 12, dtype=torch.float64).view(23, 12)


def feed(cell, block, seeds=(0, 1), dynamic=True):
    return Feed(cell, IMAGES, dynamic, seeds, block)


def steps(source, count):
    """Return copies of the next steps' minibatches and draws."""
    return [tuple(value.clone() for value in source.next()) for _ in range(count)]


def assert_equal(ours, theirs):
    for mine, yours in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, yours, strict=True))


def test_a_step_has_a_minibatch_and_draws_of_each_seed(make_cell):
    cell = make_cell(batch_size=5)
    x, noise = feed(cell, 3).next()
    assert x.shape == (2, 5, 12)
    assert noise.shape == (2, draw_count(cell, (5,)))


@pytest.mark.parametrize("block", [1, 3])
def test_seeds_read_what_each_would_read_alone(make_cell, block):
    cell = make_cell(batch_size=5)
    together = steps(feed(cell, block), 7)
    for row in (0, 1):
        alone = steps(feed(cell, block, seeds=(row,)), 7)
        assert_equal(
            [(x[row], noise[row]) for x, noise in together], [(x[0], noise[0]) for x, noise in alone]
        )


def test_minibatches_do_not_depend_on_the_block(make_cell):
    """Of images that are given, that is: pixels are drawn for a block at once."""
    cell = make_cell(batch_size=5)
    single, triple = (steps(feed(cell, block, dynamic=False), 11) for block in (1, 3))
    assert_equal([x for x, _ in single], [x for x, _ in triple])


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("block", [1, 3])
def test_a_feed_goes_on_exactly_wherever_it_was_left(make_cell, block, at):
    cell = make_cell(batch_size=5)
    whole, begun, resumed = (feed(cell, block) for _ in range(3))
    expected = steps(whole, 8)
    steps(begun, at)
    resumed.load_state_dict(through_a_file(begun.state_dict()))
    assert_equal(steps(resumed, 8 - at), expected[at:])


def test_more_images_in_a_minibatch_than_there_are_is_all_of_them(make_cell):
    x, _ = feed(make_cell(batch_size=100), 1).next()
    assert x.shape == (2, 23, 12)


@pytest.fixture
def _blocks(monkeypatch):
    monkeypatch.setitem(pack_module.BLOCK_STEPS, "cpu", 4)


@pytest.mark.usefixtures("_blocks")
def test_a_pack_fed_in_blocks_is_its_members_alone_and_goes_on_from_within_one(make_cell, data):
    case = make_cell()
    whole = train(PackTraining(case, MEMBERS, data))
    for member, ours in zip(MEMBERS, whole.outcomes(), strict=True):
        (alone,) = train(PackTraining(case, [member], data)).outcomes()
        assert_close(ours, alone)
    begun = train(PackTraining(case, MEMBERS, data), until=6)
    resumed = PackTraining(case, MEMBERS, data)
    resumed.load_state_dict(through_a_file(begun.state_dict()))
    train(resumed)
    for name, value in parameters(whole).items():
        assert torch.equal(parameters(resumed)[name], value)
