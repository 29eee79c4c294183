"""The discretized mixture of logistics: probabilities, their dependence between channels, and extremes."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from ouvae.declared import Cell
from ouvae.parts.likelihoods import likelihood_of
from ouvae.parts.logistic_mixture import LogisticMixture, bin_log_probability

VALUES = torch.arange(256, dtype=torch.float64) / 255
MEAN, LOG_SCALE = slice(1, 4), slice(4, 7)


def parameters(seed, channels, components, scale=1.0):
    """Return random maps [parameter, component, 1] of one pixel, with log scales about -2."""
    generator = torch.Generator().manual_seed(seed)
    count = {1: 3, 3: 10}[channels]
    maps = scale * torch.randn(count, components, 1, generator=generator, dtype=torch.float64)
    maps[1 + channels : 1 + 2 * channels] -= 2
    return maps


def mixture(components):
    return LogisticMixture(Cell(dataset="digits", latents=(2,), mixture_components=components))


def log_density(maps, x):
    """Return log p of pixels x [..., channels] under one pixel's maps."""
    return mixture(maps.shape[1]).log_density(x, maps.flatten())


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0, 40.0])
@pytest.mark.parametrize("components", [1, 2, 10])
def test_the_probabilities_of_a_grey_pixel_sum_to_one(components, scale):
    for seed in range(5):
        maps = parameters(seed, 1, components, scale)
        total = log_density(maps, VALUES[:, None]).exp().sum().item()
        assert total == pytest.approx(1, abs=1e-9)


def colours(red, green, blue):
    return torch.cartesian_prod(
        *(torch.as_tensor(values).double().reshape(-1) for values in (red, green, blue))
    )


@pytest.mark.parametrize("scale", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("components", [1, 3])
def test_the_conditional_of_each_channel_sums_to_one(components, scale):
    """The 256^3 probabilities of a coloured pixel, in a chain over channels, sum to one.

    p(blue|red, green) does if the sum over blue is the same whatever the parameters of blue; p(green|red)
    if the sum over both is a mixture's probability of red alone; and the last sums to one by itself.
    """
    for seed in range(3):
        maps, other = parameters(seed, 3, components, scale), parameters(seed + 10, 3, components, scale)
        deaf = maps.clone()
        for of_blue in (3, 6, 8, 9):
            deaf[of_blue] = other[of_blue]
        for red, green in [(0, 0), (0.2, 1), (128 / 255, 77 / 255), (1, 0)]:
            pixels = colours(red, green, VALUES)
            first, second = (log_density(outputs, pixels).logsumexp(0) for outputs in (maps, deaf))
            assert first.item() == pytest.approx(second.item(), abs=1e-9)
            assert not torch.equal(log_density(maps, pixels), log_density(deaf, pixels))
        red_alone = maps[[0, 1, 4]]
        for red in (0, 31 / 255, 1):
            marginal = log_density(maps, colours(red, VALUES, VALUES)).logsumexp(0).exp()
            alone = log_density(red_alone, torch.tensor([[red]], dtype=torch.float64)).exp()
            assert marginal.item() == pytest.approx(alone.item(), abs=1e-9)
        assert log_density(red_alone, VALUES[:, None]).exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_it_is_the_mixture_written_out():
    """One coloured pixel by hand, with scipy's logistic on [-1, 1] and bins of 2/255."""
    maps = parameters(3, 3, 4, 0.7)
    weights = maps[0, :, 0].softmax(0).numpy()
    mean, scale = maps[MEAN, :, 0].numpy(), maps[LOG_SCALE, :, 0].exp().numpy()
    red_in_green, red_in_blue, green_in_blue = np.tanh(maps[7:, :, 0].numpy())
    for bytes_of_pixel in [(0, 0, 0), (255, 255, 255), (12, 200, 99), (255, 0, 128), (127, 128, 1)]:
        red, green, _ = values = [2 * level / 255 - 1 for level in bytes_of_pixel]
        centres = [mean[0], mean[1] + red_in_green * red, mean[2] + red_in_blue * red + green_in_blue * green]
        probability = weights.copy()
        for channel, (value, byte) in enumerate(zip(values, bytes_of_pixel, strict=True)):
            logistic = scipy.stats.logistic(centres[channel], scale[channel])
            above = 1.0 if byte == 255 else logistic.cdf(value + 1 / 255)
            below = 0.0 if byte == 0 else logistic.cdf(value - 1 / 255)
            probability *= above - below
        actual = log_density(maps, torch.tensor(bytes_of_pixel, dtype=torch.float64) / 255)
        assert actual.item() == pytest.approx(math.log(probability.sum()), abs=1e-7)


@pytest.mark.parametrize(("image_shape", "channels"), [((2, 3), 1), ((1, 2, 3), 1), ((3, 2, 3), 3)])
def test_an_image_is_its_pixels_in_the_layout_of_maps(make_cell, image_shape, channels):
    """x is [channel, row, column], the outputs are [parameter, component, row, column], both flat."""
    case = make_cell(likelihood="logistic_mixture", mixture_components=2)
    likelihood, per_pixel = likelihood_of(case), {1: 6, 3: 20}[channels]
    assert likelihood.outputs(image_shape) == per_pixel * 6
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (5, channels, 2, 3), generator=generator).double() / 255
    outputs = torch.randn(4, 5, per_pixel, 2, 3, generator=generator, dtype=torch.float64)
    actual = likelihood.log_density(x.flatten(1), outputs.flatten(2))
    assert actual.shape == (4, 5)
    pixels = sum(
        likelihood.log_density(x[..., row, column], outputs[..., row, column])
        for row in range(2)
        for column in range(3)
    )
    torch.testing.assert_close(actual, pixels, rtol=1e-11, atol=1e-11)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 4, 4\); it takes 1 or 3 channels"):
        mixture(3).outputs((2, 4, 4))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_parameters_give_finite_values_and_gradients(channels, dtype):
    count = {1: 3, 3: 10}[channels]
    for size in (10.0, 1e3, 1e6):
        for seed in range(5):
            generator = torch.Generator().manual_seed(seed)
            signs = torch.randint(-1, 2, (6, count * 4), generator=generator).to(dtype)
            outputs = (size * signs).requires_grad_()
            x = torch.randint(256, (6, channels), generator=generator).to(dtype) / 255
            x[0], x[1] = 0, 1
            density = mixture(4).log_density(x, outputs)
            density.sum().backward()
            assert density.isfinite().all()
            assert (density <= 1e-6).all()
            assert outputs.grad.isfinite().all()


def test_the_tails_do_not_underflow():
    """Far from the mean the logarithm falls linearly, where the difference of two sigmoids is zero."""
    value, log_scale = torch.tensor(0.5), torch.tensor(-6.0)
    means = torch.tensor([-3.0, -2.0, -1.0, 2.0, 3.0, 4.0])
    actual = bin_log_probability(value, means, log_scale)
    slope = math.exp(6)
    steps = actual.diff()[[0, 1, 3, 4]]
    torch.testing.assert_close(steps, slope * torch.tensor([1.0, 1.0, -1.0, -1.0]), rtol=1e-3, atol=0)


def test_the_log_scale_is_clamped_as_in_the_paper():
    value, mean = torch.zeros(()), torch.full((), 0.01)
    at_limit, below = (
        bin_log_probability(value, mean, torch.tensor(log_scale)) for log_scale in (-7.0, -20.0)
    )
    assert torch.equal(at_limit, below)


def test_the_gradient_is_that_of_the_density():
    maps = parameters(5, 3, 3).requires_grad_()
    x = torch.tensor([[0, 17, 255], [90, 200, 31]], dtype=torch.float64) / 255
    assert torch.autograd.gradcheck(lambda outputs: log_density(outputs, x), maps)


def test_the_mean_of_a_grey_pixel_is_that_of_its_probabilities():
    """For logistics with negligible mass beyond black and white."""
    maps = parameters(3, 1, 4)
    maps[1] *= 0.2
    maps[2] -= 2
    expected = (log_density(maps, VALUES[:, None]).exp() * VALUES).sum()
    actual = mixture(4).mean(maps.flatten(), (1, 1))
    assert actual.item() == pytest.approx(expected.item(), abs=1e-3)


def test_the_mean_of_a_coloured_pixel_is_where_narrow_logistics_are():
    maps = parameters(4, 3, 1)
    maps[MEAN] *= 0.2
    maps[LOG_SCALE] = -7
    mean = mixture(1).mean(maps.flatten(), (3, 1, 1))
    near = colours(*([(value + by / 255) for by in (-8, 0, 8)] for value in mean.tolist()))
    assert log_density(maps, near).argmax() == len(near) // 2
