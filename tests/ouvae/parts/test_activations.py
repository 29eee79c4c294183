"""Activations in place agree with PyTorch's; initial weights and normalisation follow their keys."""

import math

import pytest
import torch
from torch import nn

from ouvae.declared import Cell
from ouvae.parts.activations import ACTIVATIONS
from ouvae.parts.affine import Affine
from ouvae.parts.hermite_series import coefficients_of, hermite_polynomials
from ouvae.parts.networks import Hidden, gaussian_of_latent
from ouvae.systems import build

WRITTEN = [name for name, activation in ACTIVATIONS.items() if activation.write]
TOLERANCE = {torch.float32: 3e-7, torch.float64: 1e-15}
"""Rounding errors of numbers near 1, by type."""


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_written_over_their_argument_they_are_pytorchs(name, dtype):
    x = torch.linspace(-30, 30, 60_001, dtype=dtype)
    exact = ACTIVATIONS[name].layer()(x.double())
    written = ACTIVATIONS[name].write(x.mul_(ACTIVATIONS[name].factor))
    assert written.data_ptr() == x.data_ptr()
    error = (written.double() - exact).abs() / exact.abs().clamp_min(1)
    assert float(error.max()) <= TOLERANCE[dtype]


@pytest.mark.parametrize("name", WRITTEN)
def test_derivatives_follow_from_results(name):
    x = torch.linspace(-8, 8, 1001, dtype=torch.float64, requires_grad=True)
    result = ACTIVATIONS[name].layer()(x)
    (expected,) = torch.autograd.grad(result.sum(), x)
    actual = ACTIVATIONS[name].backward(torch.full_like(x, 3.0), result.detach())
    torch.testing.assert_close(actual, 3 * expected.detach(), rtol=1e-12, atol=1e-12)


def layer(initialisation: str) -> Affine:
    torch.manual_seed(0)
    return Affine(400, 300, "tanh", initialisation)


@pytest.mark.parametrize(
    ("initialisation", "deviation"), [("xavier", math.sqrt(2 / 700)), ("he", math.sqrt(2 / 400))]
)
def test_initial_weights_have_the_published_scale(initialisation, deviation):
    weights = layer(initialisation).weight.detach()
    assert float(weights.std()) == pytest.approx(deviation, rel=0.01)
    assert abs(float(weights.mean())) < 0.01 * deviation


def test_orthogonal_weights_are_orthogonal():
    weights = layer("orthogonal").weight.detach().double()
    torch.testing.assert_close(weights @ weights.T, torch.eye(300, dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize("initialisation", ["xavier", "he", "orthogonal"])
@pytest.mark.parametrize("architecture", ["mlp", "affine"])
def test_every_affine_layer_has_these_initial_weights(make_cell, initialisation, architecture):
    hidden = () if architecture == "affine" else (8, 8)
    cell = make_cell(initialisation=initialisation, architecture=architecture, hidden=hidden)
    layers = [module for module in build(cell, (3, 4)).modules() if isinstance(module, nn.Linear)]
    assert len(layers) == (4 if architecture == "affine" else 12)
    assert all(not module.bias.any() and module.weight.any() for module in layers)


def test_pytorchs_weights_are_the_default(make_cell):
    """The members of today keep their weights."""
    torch.manual_seed(3)
    network = gaussian_of_latent(make_cell(hidden=(8, 6)), 3, 2, (3, 4))
    torch.manual_seed(3)
    for (_, value), sizes in zip(network.named_children(), [None, (6, 4)], strict=True):
        plain = [nn.Linear(*size) for size in ([(3, 8), (8, 6)] if sizes is None else [sizes])]
        for layer, other in zip(value if sizes is None else [value], plain, strict=True):
            assert torch.equal(layer.weight, other.weight)
            assert torch.equal(layer.bias, other.bias)


def test_outputs_are_normalised_before_the_activation(make_cell):
    hidden = Hidden(make_cell(hidden=(50, 30), normalisation="layer", activation="tanh"), 7).double()
    seen = []
    for module in hidden:
        if isinstance(module, nn.Tanh):
            module.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    hidden(5 + 3 * torch.randn(20, 7, dtype=torch.float64))
    assert [values.shape[-1] for values in seen] == [50, 30]
    for values in seen:
        torch.testing.assert_close(values.mean(-1), torch.zeros(20, dtype=torch.float64), rtol=0, atol=1e-6)
        torch.testing.assert_close(values.var(-1, correction=0), torch.ones(20).double(), rtol=0, atol=1e-2)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (-2.0, 0.3), (0.5, 3.0)])
def test_hermite_coefficients_are_expectations(name, mean, scale):
    """Against sums over a fine grid; errors are relative to the unit's root mean square."""
    degree, xi = 6, torch.linspace(-14, 14, 200_001, dtype=torch.float64)
    weight = torch.exp(-0.5 * xi * xi)
    weight = weight / weight.sum()
    values = ACTIVATIONS[name].layer()(mean + scale * xi)
    expected = (torch.stack(hermite_polynomials(degree, xi)) * weight * values).sum(-1)
    unit = torch.ones((), dtype=torch.float64)
    actual = torch.stack(coefficients_of(name, degree, mean * unit, scale * unit))
    size = float((weight * values * values).sum().sqrt())
    # Kinks: of ReLUs in closed form, of ELU's second derivative not.
    tolerance = 1e-3 if name in ("tanh", "elu") else 1e-5
    assert float((actual - expected).abs().max()) <= tolerance * size


def test_neutral_values_are_left_out_of_identities(make_cell):
    keys = {"activation", "initialisation", "normalisation"}
    assert not keys & make_cell().identity().keys()
    assert keys <= make_cell(activation="elu", initialisation="he", normalisation="layer").identity().keys()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"architecture": "affine", "hidden": (), "activation": "tanh"},
            "activation: tanh with architecture affine, which does not use it; leave it out, or use "
            "architecture mlp or conv",
        ),
        (
            {"dataset": "mnist", "architecture": "conv", "hidden": (4, 4), "initialisation": "he"},
            "initialisation: he with architecture conv, which does not use it; leave it out, or use "
            "architecture mlp or affine",
        ),
        (
            {"dataset": "mnist", "architecture": "conv", "hidden": (4, 4), "normalisation": "layer"},
            "normalisation: layer with architecture conv, which does not use it; leave it out, or use "
            "architecture mlp",
        ),
        (
            {
                "system": "hermite",
                "hermite_degree": 4,
                "latents": (4,),
                "smoothed_networks": ("likelihood",),
                "normalisation": "layer",
            },
            "normalisation: layer with system hermite, which does not support it; use normalisation none",
        ),
    ],
)
def test_what_a_network_cannot_take_is_refused(make_cell, keys, expected):
    assert make_cell(**keys).problems() == [expected]


@pytest.mark.parametrize("key", ["activation", "initialisation", "normalisation"])
def test_what_does_not_exist_is_refused(key):
    with pytest.raises(ValueError, match=key):
        Cell(dataset="digits", latents=(3, 2), **{key: "swish"})
