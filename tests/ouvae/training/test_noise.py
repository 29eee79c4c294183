"""Named streams, minibatches and binarization: what is shared and what is independent."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from ouvae.systems import draw_shapes
from ouvae.training.noise import Minibatches, binarize, sample_draws, stream, stream_seed

CPU = torch.device("cpu")


def numbered(count):
    """Return images of one pixel that holds the image's number."""
    return torch.arange(count, dtype=torch.float64)[:, None]


def take(batches, count):
    return [batches.next(1)[0] for _ in range(count)]


def pieces(draws):
    return list(itertools.chain.from_iterable(draws))


def test_streams_of_different_names_differ_and_of_the_same_name_agree():
    names = [
        ("noise", 0),
        ("noise", 1),
        ("weights", 0),
        ("minibatches", 0),
        ("minibatches", 10),
        ("validation",),
    ]
    first = {tuple(torch.rand(4, generator=stream(CPU, *name)).tolist()) for name in names}
    again = {tuple(torch.rand(4, generator=stream(CPU, *name)).tolist()) for name in names}
    assert len(first) == len(names)
    assert first == again


def test_stream_seeds_are_the_same_in_every_version_and_on_every_platform():
    """The first 16 bytes of `printf weights/0 | sha256sum`: a change moves every member's numbers."""
    assert stream_seed("weights", 0) == 0xB9F52686A65FED8C9294375B4CA89764


def test_all_bits_of_a_seed_are_used(monkeypatch):
    """PyTorch's `manual_seed` uses only the last 32 bits, so different seeds would share a stream."""
    monkeypatch.setattr("ouvae.training.noise.stream_seed", lambda *names: 7 + names[0] * 2**100)
    drawn = [torch.rand(4, generator=stream(CPU, number)).tolist() for number in range(3)]
    assert len(set(map(tuple, drawn))) == 3


def test_a_stream_is_the_mersenne_twister_that_numpy_seeds():
    """NumPy promises its seeding forever; its first number is the last of the block that is seeded."""
    expected = np.random.MT19937(stream_seed("noise", 3)).random_raw(1001)[1:]
    drawn = torch.empty(1000, dtype=torch.int32).random_(generator=stream(CPU, "noise", 3))
    assert drawn.tolist() == (expected % 2**31).tolist()


@pytest.mark.parametrize("subset", [(), ("generative",), ("inference", "likelihood")])
def test_draws_have_the_shapes_that_the_smoothed_networks_need(make_cell, subset):
    case = make_cell(latents=(4, 3, 2), smoothed_networks=subset, ou_samples=5)
    draws = sample_draws(case, (7,), [stream(CPU, "noise", seed) for seed in (0, 1)], torch.float32)
    assert [piece.shape for piece in draws.base] == [(2, 7, 4), (2, 7, 3), (2, 7, 2)]
    expected = {
        "generative": [(2, 5, 7, 3), (2, 5, 7, 2)],
        "likelihood": [(2, 5, 7, 4)],
        "inference": [(2, 5, 7, 4), (2, 5, 7, 3)],
    }
    for name, shapes in expected.items():
        actual = [piece.shape for piece in getattr(draws, name)]
        assert actual == (shapes if name in subset else [])
    assert all(piece.dtype == torch.float32 for piece in pieces(draws))
    assert draw_shapes(case, (7,))[0] == ((7, 4), (7, 3), (7, 2))


def test_draws_are_standard_normal_and_independent_of_one_another(make_cell):
    case = make_cell(
        latents=(2, 2), smoothed_networks=("generative", "inference", "likelihood"), ou_samples=2
    )
    batch = 20_000
    draws = sample_draws(case, (batch,), [stream(CPU, "noise", seed) for seed in (0, 1)], torch.float64)
    columns = torch.cat([piece.movedim(-2, 0).reshape(batch, -1) for piece in pieces(draws)], 1)
    assert columns.shape[1] == 2 * (2 + 2 + 3 * 2 * 2)
    assert stats.kstest(columns.flatten().numpy(), "norm").pvalue > 1e-3
    correlation = torch.corrcoef(columns.T) - torch.eye(columns.shape[1], dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(batch)


def test_a_seeds_draws_do_not_depend_on_its_neighbours_and_are_fresh_each_time(make_cell):
    case = make_cell(smoothed_networks=("generative", "likelihood"))

    def two_steps(*seeds):
        generators = [stream(CPU, "noise", seed) for seed in seeds]
        return [sample_draws(case, (7,), generators, torch.float64) for _ in range(2)]

    together, alone = two_steps(3, 1, 2), two_steps(1)
    for of_many, of_one in zip(together, alone, strict=True):
        assert all(torch.equal(a[1], b[0]) for a, b in zip(pieces(of_many), pieces(of_one), strict=True))
    assert not torch.equal(together[0].base[0][0], together[0].base[0][1])
    assert not torch.equal(alone[0].base[0], alone[1].base[0])


def test_an_epoch_holds_each_image_at_most_once():
    batches = Minibatches(numbered(23), dynamic=False, batch=5, seed=0)
    epochs = [torch.cat(take(batches, 4)).flatten().tolist() for _ in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_that_divides_the_images_gives_each_of_them_once_an_epoch():
    batches = Minibatches(numbered(20), dynamic=False, batch=5, seed=0)
    for _ in range(2):
        assert sorted(torch.cat(take(batches, 4)).flatten().tolist()) == list(range(20))


def test_fewer_images_than_a_batch_are_all_used_each_time():
    batches = Minibatches(numbered(4), dynamic=False, batch=10, seed=0)
    for batch in take(batches, 3):
        assert sorted(batch.flatten().tolist()) == list(range(4))


def test_minibatches_are_a_function_of_the_seed():
    def first(seed):
        return torch.cat(take(Minibatches(numbered(50), dynamic=False, batch=5, seed=seed), 3))

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


def test_dynamic_binarization_is_zero_or_one_with_the_pixels_mean_and_fresh_at_each_use():
    probabilities = torch.linspace(0, 1, 11, dtype=torch.float64)
    batches = Minibatches(probabilities.repeat(2000, 1), dynamic=True, batch=2000, seed=0)
    first, second = take(batches, 2)
    assert set(first.unique().tolist()) == {0, 1}
    deviation = (probabilities * (1 - probabilities) / 2000).sqrt()
    for batch in (first, second):
        assert ((batch.mean(0) - probabilities).abs() <= 5 * deviation).all()
    inner = slice(1, 10)
    correlation = torch.corrcoef(torch.cat([first[:, inner], second[:, inner]], 1).T)
    assert (correlation - torch.eye(18, dtype=torch.float64)).abs().max() < 5 / math.sqrt(2000)


def test_without_dynamic_binarization_images_are_unchanged():
    images = torch.rand(30, 4, generator=stream(CPU, "images"))
    batch = Minibatches(images, dynamic=False, batch=30, seed=0).next(1)[0]
    assert torch.equal(batch.sort(0).values, images.sort(0).values)


def test_binarization_never_flips_a_certain_pixel():
    images = torch.tensor([0.0, 1.0]).repeat(10_000, 1)
    assert torch.equal(binarize(images, stream(CPU, "pixels")), images)


@pytest.mark.parametrize("used", [0, 3, 4, 6])
def test_a_state_continues_with_the_same_minibatches(used):
    images = torch.rand(22, 40, generator=stream(CPU, "images"))
    original = Minibatches(images, dynamic=True, batch=5, seed=0)
    take(original, used)
    other = Minibatches(images, dynamic=True, batch=5, seed=9)
    take(other, 1)
    other.load_state_dict(original.state_dict())
    for ours, theirs in zip(take(other, 6), take(original, 6), strict=True):
        assert torch.equal(ours, theirs)
