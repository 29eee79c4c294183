"""Convolutional pieces: shapes, layout, receptive fields, and packs."""

import math

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from ouvae.parts import networks
from ouvae.parts.convolution import strides
from ouvae.systems import build
from ouvae.training.noise import single_draws
from ouvae.training.pack import PackTraining, initial_model
from tests.ouvae.packs import rho_one_is_plain, train
from tests.ouvae.tensors import images

TIGHT = {"rtol": 1e-11, "atol": 1e-11}
HIDDEN = [(3,), (3, 4), (3, 4, 5), (3, 4, 5, 2), (4,) * 5]


@pytest.fixture
def conv(make_cell):
    """Return a factory of cells of a small convolutional model."""
    return lambda **changes: make_cell(**{"architecture": "conv", "hidden": (3, 4, 5), **changes})


def seeded(build_piece, dtype=torch.float64):
    torch.manual_seed(4)
    return build_piece().to(dtype)


def pieces(case, image_shape):
    """Return each piece by name with the sizes of its input and output."""
    grid = [side // 4 for side in image_shape[-2:]]
    features, pixels = case.hidden[-1] * math.prod(grid), math.prod(image_shape)
    return {
        "image": (networks.image_features(case, image_shape), pixels, features),
        "latent": (networks.latent_features(case, 7, image_shape), 7, features),
        "feature": (networks.hidden_layers(case, image_shape), features, features),
        "gaussian": (networks.gaussian_head(case, 6, image_shape), features, 12),
        "pixel": (networks.pixel_head(case, image_shape, 2 * pixels), features, 2 * pixels),
        "gaussian of image": (networks.gaussian_of_image(case, image_shape, 6), pixels, 12),
        "gaussian of latent": (networks.gaussian_of_latent(case, 7, 6, image_shape), 7, 12),
        "pixels of latent": (networks.pixels_of_latent(case, 7, image_shape, pixels), 7, pixels),
    }


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("image_shape", [(28, 28), (32, 32), (3, 32, 32), (8, 8), (4, 12), (2, 4, 4)])
def test_every_piece_maps_flat_vectors_with_any_leading_axes(conv, hidden, image_shape):
    for name, (piece, inputs, outputs) in pieces(conv(hidden=hidden), image_shape).items():
        piece.double()
        x = torch.randn(2, 1, 3, inputs, dtype=torch.float64)
        with torch.no_grad():
            actual = piece(x)
            assert actual.shape == (2, 1, 3, outputs), name
            torch.testing.assert_close(actual[1], piece(x[1]), **TIGHT)
            torch.testing.assert_close(actual[1, 0, 2], piece(x[1, 0, 2]), **TIGHT)


def test_every_piece_runs_without_numbers(conv):
    with torch.device("meta"):
        for piece, inputs, outputs in pieces(conv(), (3, 8, 8)).values():
            assert piece(torch.empty(2, 5, inputs)).shape == (2, 5, outputs)


def test_pieces_run_packed(conv):
    """Stacked weights under vmap, with the model itself on the meta device, give each model's numbers."""
    case = conv()
    torch.manual_seed(1)
    copies = [pieces(case, (3, 8, 12)) for _ in range(3)]
    for name, (_, inputs, _) in copies[0].items():
        models = [copy[name][0].double() for copy in copies]
        x = torch.randn(3, 4, inputs, dtype=torch.float64)
        stacked, _ = stack_module_state(models)
        alone = torch.stack([model(inputs) for model, inputs in zip(models, x, strict=True)]).detach()
        base = models[0].to("meta")
        packed = vmap(lambda weights, inputs, base=base: functional_call(base, weights, (inputs,)))(
            stacked, x
        )
        torch.testing.assert_close(packed.detach(), alone, **TIGHT)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (1, (4,)),
        (2, (2, 2)),
        (3, (1, 2, 2)),
        (4, (1, 2, 2, 1)),
        (5, (1, 2, 1, 2, 1)),
        (6, (1, 2, 1, 2, 1, 1)),
    ],
)
def test_strides_lead_to_a_quarter_and_start_at_full_resolution(layers, expected):
    assert strides(layers) == expected
    assert math.prod(expected) == 4


@pytest.mark.parametrize("image_shape", [(12,), (5, 8), (8, 6), (3, 8, 10), (1, 3, 8, 8)])
def test_other_shapes_are_refused_with_what_is_allowed(conv, image_shape):
    with pytest.raises(ValueError, match=r"takes images \(rows, columns\).*multiples of 4") as error:
        networks.image_features(conv(), image_shape)
    assert str(image_shape) in str(error.value)
    for make in (networks.latent_features, networks.pixels_of_latent):
        arguments = (6, image_shape) if make is networks.latent_features else (6, image_shape, 12)
        with pytest.raises(ValueError, match="architecture conv"):
            make(conv(), *arguments)


def sensitivity(piece, inputs, outputs):
    """Return how strongly each output depends on each input, [outputs, inputs], summed over a few inputs."""
    total = torch.zeros(outputs, inputs, dtype=torch.float64)
    for x in torch.randn(6, inputs, dtype=torch.float64):
        total += torch.autograd.functional.jacobian(piece, x).abs()
    return total


@pytest.mark.parametrize("hidden", [(12,), (12, 12), (12, 12, 12), (12,) * 5])
def test_features_see_the_pixels_around_them_and_no_others(conv, hidden):
    """Layout and receptive field at once: the feature of a cell of the grid, the pixels near that cell."""
    shape, grid = (2, 20, 28), (5, 7)
    case = conv(hidden=hidden)
    piece = seeded(lambda: networks.image_features(case, shape))
    actual = sensitivity(piece, math.prod(shape), 12 * math.prod(grid)).reshape(12, *grid, *shape).sum(0)
    reach, resolution = 0, 1
    for stride in strides(len(hidden)):
        reach, resolution = reach + resolution, resolution * stride
    if len(hidden) == 1:
        reach = 3
    for row in range(grid[0]):
        for column in range(grid[1]):
            seen = actual[row, column].sum(0).nonzero()
            assert len(seen) > 0
            distance = (seen - 4 * torch.tensor([row, column])).abs()
            assert distance.max() <= reach
    assert (actual.sum((0, 1)) > 0).all(), "a pixel is left out"
    assert (actual.sum((0, 1, 3, 4)) > 0).all(), "a channel is left out"


def test_outputs_see_the_features_around_them_and_no_others(conv):
    """An output is at [map, row, column], where images and likelihoods have it."""
    shape, maps, channels = (3, 12, 16), 6, 4
    case = conv(hidden=(8, channels))
    features, outputs = channels * 3 * 4, maps * 12 * 16
    piece = seeded(lambda: networks.pixel_head(case, shape, outputs))
    actual = sensitivity(piece, features, outputs).reshape(maps, 12, 16, channels, 3, 4)
    assert (actual.sum((3, 4, 5)) > 0).all()
    for row, column in [(0, 0), (5, 13), (11, 3), (7, 15)]:
        for output_map in range(maps):
            seen = actual[output_map, row, column].sum(0).nonzero()
            centre = torch.tensor([row, column])
            assert ((4 * seen + 1.5 - centre).abs() <= 6.5).all()
            assert (seen == centre // 4).all(1).any()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_rho_one_is_the_plain_vae_in_a_pack_of_mixed_rho(conv, draw, precision):
    smoothed = ("generative", "inference", "likelihood")
    case = conv(latents=(4, 3, 2), smoothed_networks=smoothed, precision=precision)
    x = images(7, 96, getattr(torch, precision))
    assert rho_one_is_plain(case, (8, 12), x, draw(case, 7)) == (True, False)


def test_a_convolutional_model_learns(conv, data_of):
    """Images of two kinds: 64 fair coins without z, and nearly certain pixels given its one bit."""
    case = conv(
        hidden=(12, 12, 12),
        latents=(3,),
        steps=150,
        eval_every=150,
        batch_size=20,
        learning_rate=3e-3,
        smoothed_networks=(),
        precision="float32",
    )
    pack = PackTraining(case, [(1.0, 0), (1.0, 1)], data_of((8, 8)))
    for outcome in train(pack).outcomes():
        first, last = (metrics["elbo_nats"] for metrics in outcome.history)
        assert first < -64 * math.log(2)
        assert last > -30


def test_the_signal_keeps_its_size_through_the_layers(conv):
    """At the start, what a latent variable does to the pixels does not fade with the number of layers."""
    spread = []
    for layers in (2, 10):
        case = conv(hidden=(32,) * layers)
        network = seeded(lambda case=case: networks.pixels_of_latent(case, 8, (16, 16), 256))
        with torch.no_grad():
            spread.append(network(torch.randn(200, 8, dtype=torch.float64)).std(0).mean().item())
    assert spread[0] > 0.1
    assert spread[1] > 0.1 * spread[0]


def test_gaussians_start_at_unit_scale(conv):
    """However large the input: random scales of a stack multiply, and its KL starts at any size."""
    case, image_shape = conv(), (8, 12)
    heads = {
        "head": (networks.gaussian_head(case, 6, image_shape), 5 * 2 * 3),
        "image": (networks.gaussian_of_image(case, image_shape, 6), 96),
        "latent": (networks.gaussian_of_latent(case, 7, 6, image_shape), 7),
    }
    for name, (head, inputs) in heads.items():
        mean, log_scale = head(100 * torch.randn(4, inputs)).chunk(2, -1)
        assert (mean != 0).all(), name
        assert (log_scale == 0).all(), name


@pytest.mark.parametrize(
    ("latents", "published_millions"), [((160, *[32] * 3), 12.4), ((160, *[32] * 5), 16.8)]
)
def test_the_size_of_the_papers_models(conv, latents, published_millions):
    """Table 10 of Pervez and Gavves: CIFAR-10, 5 deterministic layers of 100; the latent sizes are ours."""
    case = conv(hidden=(100,) * 5, latents=latents, likelihood="logistic_mixture", mixture_components=10)
    with torch.device("meta"):
        model = build(case, (3, 32, 32))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters / 1e6 == pytest.approx(published_millions, rel=0.1)


def test_a_model_of_coloured_images_runs(conv):
    """The log density of bytes is negative, and differs between images."""
    case = conv(likelihood="logistic_mixture", mixture_components=3)
    model = initial_model(case, (3, 8, 8), 0)
    draws = single_draws(case, (4,), torch.Generator().manual_seed(3), torch.float64)
    x = torch.randint(256, (4, 192), generator=torch.Generator().manual_seed(0)).double() / 255
    terms = model(x, draws)
    assert terms.log_likelihood.shape == (4,)
    assert (terms.log_likelihood < 0).all()
    assert terms.log_likelihood.unique().numel() == 4
